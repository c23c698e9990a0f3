"""Deployments on Vertex AI under faults: what fails leaves nothing, and what was lost is found again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from google.cloud.aiplatform_v1 import EndpointServiceClient, JobServiceClient, ModelServiceClient
from google.cloud.aiplatform_v1.types import Endpoint, Model, UploadModelRequest

from cloudmlops import Platform, connect
from cloudmlops.domain.capabilities import Capability
from cloudmlops.domain.endpoints import DeploymentSpec, DeploymentState, Scoring, TrafficReason
from cloudmlops.domain.models import ModelVersion
from cloudmlops.emulators.core.emulator import Emulator
from cloudmlops.emulators.core.faults import Fault, Refused
from cloudmlops.emulators.google.aiplatform.endpoints.fleet import Fleet, fleet_of
from cloudmlops.emulators.google.cloud import GoogleCloud
from cloudmlops.errors import (
    ConflictError,
    DeploymentFailedError,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
    QuotaExceededError,
    UnavailableError,
    WaitTimeoutError,
)
from cloudmlops.providers.deployment_rules import act_of
from cloudmlops.providers.vertex.backends import VertexBackends
from cloudmlops.providers.vertex.endpoints import VertexEndpoints
from cloudmlops.providers.vertex.mapping import endpoints as mapping
from cloudmlops.services.effects import handling
from cloudmlops.services.scoring import ScoringClient
from cloudmlops.testing.model_folders import write_scaling_model

from .conftest import Opened

pytestmark = pytest.mark.conformance(ci=True)

LONG = timedelta(minutes=2)
CHANGES = ("create", "delete", "deploy", "undeploy", "update")
Register = Callable[..., ModelVersion]


@pytest.fixture
def backends(opened: Opened) -> VertexBackends:
    return opened()


@pytest.fixture
def platform(backends: VertexBackends) -> Iterator[Platform]:
    with connect(backends.target) as platform:
        yield platform
        for status in platform.endpoints.list():
            platform.endpoints.delete(status.name)


@pytest.fixture
def register(platform: Platform, tmp_path: Path) -> Register:
    made = iter(range(100))

    def registered(factor: float = 1.0, *, fails: str | None = None) -> ModelVersion:
        return platform.models.register(
            "scaling", write_scaling_model(tmp_path / f"model-{next(made)}", factor=factor, fails=fails)
        )

    return registered


@pytest.fixture
def fleet(vertex_emulator: Emulator) -> Fleet:
    return fleet_of(vertex_emulator.state)


def native(backends: VertexBackends) -> list[Endpoint]:
    client = backends.wire.client(EndpointServiceClient)
    return list(client.list_endpoints(parent=backends.settings.parent))


def spec(version: ModelVersion, deployed_as: str = "act-1", name: str = "v1") -> DeploymentSpec:
    return DeploymentSpec(
        endpoint="scaling",
        name=name,
        model=version.model,
        version=version.version,
        artifact_uri=version.artifact_uri,
        deployed_as=deployed_as,
    )


def deploy(endpoints: VertexEndpoints, wanted: DeploymentSpec) -> None:
    endpoints.deploy(wanted, fetch=lambda _: None, actor="ada")


def sent(emulator: Emulator, call: str) -> list[dict[str, object]]:
    return [dict(found.request) for found in emulator.calls.list(call)]


def test_a_deployment_is_asked_for_with_machines_scaling_account_and_key(
    opened: Opened, register: Register, vertex_emulator: Emulator
) -> None:
    account, key = "a@p.iam.gserviceaccount.com", "projects/p/locations/europe-west4/keyRings/r/cryptoKeys/k"
    version = register()
    with connect(opened(service_account=account, encryption_key=key).target) as platform:
        platform.endpoints.deploy(version, to="scaling", machine="n2-highmem-4", replicas=(1, 3)).wait(timeout=LONG)

    asked = sent(vertex_emulator, "EndpointService.DeployModel")[-1]
    made = sent(vertex_emulator, "EndpointService.CreateEndpoint")[-1]
    assert asked["traffic_split"] == {"0": 100}
    assert asked["deployed_model"] == {
        "id": asked["deployed_model"]["id"],  # type: ignore[index]
        "model": asked["deployed_model"]["model"],  # type: ignore[index]
        "display_name": "v1",
        "service_account": account,
        "dedicated_resources": {
            "machine_spec": {"machine_type": "n2-highmem-4"},
            "min_replica_count": 1,
            "max_replica_count": 3,
        },
    }
    assert made["endpoint_id"] == "scaling"
    assert made["endpoint"]["encryption_spec"] == {"kms_key_name": key}  # type: ignore[index]


def test_a_failed_container_leaves_no_model_no_endpoint_and_no_machine(
    platform: Platform, register: Register, backends: VertexBackends, fleet: Fleet
) -> None:
    broken = platform.endpoints.deploy(register(fails="weights are missing"), to="scaling")

    with pytest.raises(DeploymentFailedError, match=r"exited unexpectedly(.|\n)*weights are missing"):
        broken.wait(timeout=LONG)

    assert native(backends) == []
    assert fleet.machines() == []
    assert broken.status.state is DeploymentState.FAILED


def test_a_lost_answer_after_the_deployment_was_begun_deploys_once(
    platform: Platform, register: Register, backends: VertexBackends, vertex_emulator: Emulator, fleet: Fleet
) -> None:
    version = register(2.0)
    vertex_emulator.faults.set(Fault(matching="aiplatform/EndpointService.DeployModel", lose_response=True))

    deployment = platform.endpoints.deploy(version, to="scaling").wait(timeout=LONG)

    assert deployment.status.state is DeploymentState.HEALTHY
    assert len(native(backends)[0].deployed_models) == len(fleet.machines()) == 1
    assert platform.endpoints.predict("scaling", [[1, 0]]) == [2.0]


@pytest.mark.parametrize("call", ["CreateEndpoint", "UpdateEndpoint", "UndeployModel", "DeleteEndpoint"])
def test_a_lost_answer_of_another_call_does_no_harm(
    call: str, platform: Platform, register: Register, backends: VertexBackends, vertex_emulator: Emulator, fleet: Fleet
) -> None:
    versions = register(1.0), register(2.0)
    vertex_emulator.faults.set(Fault(matching=f"aiplatform/EndpointService.{call}", lose_response=True))

    one, two = [platform.endpoints.deploy(version, to="scaling").wait(timeout=LONG) for version in versions]
    platform.endpoints.shift_traffic("scaling", {two.name: 100})
    platform.endpoints.undeploy("scaling", one.name)

    assert platform.endpoints.status("scaling").traffic == {two.name: 100}
    platform.endpoints.delete("scaling")
    assert (native(backends), fleet.machines()) == ([], [])


def test_no_machines_left_in_the_quota_is_told_at_once_and_leaves_nothing(
    platform: Platform, register: Register, backends: VertexBackends, fleet: Fleet, vertex_emulator: Emulator
) -> None:
    version = register()
    fleet.quota = 0

    with pytest.raises(QuotaExceededError, match="quota"):
        platform.endpoints.deploy(version, to="scaling")

    assert len(vertex_emulator.calls.list("DeployModel")) == 1
    assert (native(backends), fleet.machines(), platform.endpoints.list()) == ([], [], [])


def test_a_service_that_is_gone_leaves_nothing_and_another_try_succeeds(
    platform: Platform, register: Register, backends: VertexBackends, vertex_emulator: Emulator
) -> None:
    version = register()
    gone = Refused("UNAVAILABLE", "try later")
    vertex_emulator.faults.set(Fault(matching="*.DeployModel", refused=gone, times=2))

    with pytest.raises(UnavailableError, match="try later"):
        platform.endpoints.deploy(version, to="scaling")

    assert native(backends) == []
    platform.endpoints.deploy(version, to="scaling").wait(timeout=LONG)


def test_a_deployment_that_comes_to_be_after_it_was_given_up_is_removed(
    platform: Platform, opened: Opened, register: Register, vertex_emulator: Emulator, fleet: Fleet
) -> None:
    versions = register(1.0), register(2.0)
    platform.endpoints.deploy(versions[0], to="scaling").wait(timeout=LONG)
    patient, hasty = opened(), opened(timeout="1.5")
    vertex_emulator.calls.clear()
    vertex_emulator.faults.set(Fault(matching="*.DeployModel", delay_seconds=3.5, times=2))
    with pytest.raises(UnavailableError):
        deploy(hasty.endpoints, spec(versions[1], "act-2", "v2"))
    assert [found.name for found in patient.endpoints.list()[0].deployments] == ["v1"]
    until(lambda: "ALREADY_EXISTS" in {call.status for call in vertex_emulator.calls.list("DeployModel")})
    until(lambda: len(native(patient)[0].deployed_models) == 2)

    status = patient.endpoints.get("scaling")

    assert [(found.name, found.traffic_percent) for found in status.deployments] == [("v1", 100)]
    assert len(native(patient)[0].deployed_models) == len(fleet.machines()) == 1
    known = patient.endpoints.deployment("scaling", "act-2")
    assert known is not None
    assert known.state is DeploymentState.FAILED


def until(reached: Callable[[], bool], *, seconds: float = 30.0) -> None:
    end = datetime.now(UTC) + timedelta(seconds=seconds)
    while not reached():
        assert datetime.now(UTC) < end


def test_an_operation_that_does_not_end_is_waited_for_as_long_as_one_wants(
    platform: Platform, register: Register, vertex_emulator: Emulator
) -> None:
    versions = register(1.0), register(2.0)
    operations = vertex_emulator.cloud(GoogleCloud).vertex.operations
    platform.endpoints.deploy(versions[0], to="scaling").wait(timeout=LONG)
    operations.takes = timedelta(hours=1)
    try:
        second = platform.endpoints.deploy(versions[1], to="scaling", traffic_percent=50)
        with pytest.raises(WaitTimeoutError, match="still starting"):
            second.wait(timeout=timedelta(seconds=0.2))
        assert platform.endpoints.status("scaling").traffic == {"v1": 100}
        with pytest.raises(ConflictError, match="still being deployed"):
            platform.endpoints.undeploy("scaling", "v2")
        vertex_emulator.clock.advance(timedelta(hours=1))
    finally:
        operations.takes = timedelta(0)

    second.wait(timeout=LONG)

    assert platform.endpoints.status("scaling").traffic == {"v1": 50, "v2": 50}


def noted_by_a_killed_process(backends: VertexBackends, wanted: DeploymentSpec, native_model: str) -> datetime:
    """Write the journal's first entry as a process does that is killed after it, long ago."""
    identity = mapping.deployed_id(wanted.deployed_as)
    asked = act_of(wanted, actor="ada", native_model=native_model, deployed_id=identity, machine="n1-standard-2")
    long_ago = datetime.now(UTC) - timedelta(hours=1)
    entry = {"id": "x", "number": 1, "kind": "begun", "act": asked, "at": long_ago.isoformat()}
    assert backends.objects.create("endpoints/scaling/000000000001.json", json.dumps(entry).encode())
    return long_ago


def test_a_process_that_died_before_it_asked_has_deployed_nothing(opened: Opened, register: Register) -> None:
    version = register()
    long_ago = noted_by_a_killed_process(opened(), spec(version), "projects/p/models/m@1")
    other = opened()

    found = other.endpoints.deployment("scaling", "act-1")

    assert found is not None
    assert (found.state, found.created_at) == (DeploymentState.FAILED, long_ago)
    assert "ended before Vertex AI was asked" in found.failure
    with pytest.raises(NotFoundError):
        other.endpoints.get("scaling")


def test_what_a_process_asked_for_before_it_died_is_found_and_finished(
    opened: Opened, register: Register, vertex_emulator: Emulator
) -> None:
    version, operations = register(2.0), vertex_emulator.cloud(GoogleCloud).vertex.operations
    killed, other = opened(), opened()
    native_model = killed.endpoints._deploying.native_model("scaling", version.version)
    noted_by_a_killed_process(killed, spec(version), native_model)
    killed.endpoints._deploying._create("scaling")
    act = killed.endpoints._journal.read("scaling").acts["act-1"]
    operations.takes = timedelta(hours=1)
    try:
        killed.endpoints._deploying._deployed(spec(version), act, killed.endpoints._journal.read("scaling"), Endpoint())
        found = other.endpoints.deployment("scaling", "act-1")
        assert found is not None
        assert found.state is DeploymentState.STARTING
        vertex_emulator.clock.advance(timedelta(hours=1))
    finally:
        operations.takes = timedelta(0)

    until(lambda: healthy(other))

    assert other.endpoints.get("scaling").traffic == {"v1": 100}
    other.endpoints.delete("scaling")


def healthy(backends: VertexBackends) -> bool:
    found = backends.endpoints.deployment("scaling", "act-1")
    return found is not None and found.state is DeploymentState.HEALTHY


def test_two_first_deployments_at_once_share_one_endpoint(platform: Platform, register: Register, fleet: Fleet) -> None:
    versions = [register(1.0), register(2.0)]

    with ThreadPoolExecutor(2) as pool:
        begun = list(pool.map(lambda version: platform.endpoints.deploy(version, to="scaling"), versions))
    for deployment in begun:
        deployment.wait(timeout=LONG)

    status = platform.endpoints.status("scaling")
    assert sorted(found.name for found in status.deployments) == ["v1", "v2"]
    assert sum(status.traffic.values()) == 100
    assert len(fleet.machines()) == 2


def test_what_other_tools_change_is_seen(platform: Platform, register: Register, backends: VertexBackends) -> None:
    one = platform.endpoints.deploy(register(1.0), to="scaling").wait(timeout=LONG)
    two = platform.endpoints.deploy(register(2.0), to="scaling").wait(timeout=LONG)
    client = backends.wire.client(EndpointServiceClient)
    shown = native(backends)[0]
    ids = {deployed.display_name: deployed.id for deployed in shown.deployed_models}
    changed = Endpoint(name=shown.name, traffic_split={ids[two.name]: 100})

    client.update_endpoint(endpoint=changed, update_mask={"paths": ["traffic_split"]})

    history = backends.endpoints.traffic_history("scaling")
    assert [(dict(change.traffic), change.reason) for change in history] == [
        ({one.name: 100}, TrafficReason.DEPLOYED),
        ({two.name: 100}, TrafficReason.SHIFTED),
    ]
    client.undeploy_model(endpoint=shown.name, deployed_model_id=ids[one.name]).result(timeout=60)
    assert one.status.state is DeploymentState.GONE
    assert [found.name for found in platform.endpoints.status("scaling").deployments] == [two.name]


def test_what_others_make_while_one_deploys_is_left_to_them(
    platform: Platform, register: Register, backends: VertexBackends, vertex_emulator: Emulator
) -> None:
    client, parent = backends.wire.client(EndpointServiceClient), backends.settings.parent
    theirs = Endpoint(display_name="scaling", labels={"team": "payments"})
    made: list[object] = []

    def make() -> None:
        if not made:
            made.append(theirs)
            client.create_endpoint(parent=parent, endpoint=theirs, endpoint_id="scaling").result(timeout=60)

    version = register()
    vertex_emulator.faults.set(Fault(matching="aiplatform/EndpointService.CreateEndpoint", times=None, before=make))

    with pytest.raises(ConflictError, match="was not made by this library: its labels are team=payments"):
        platform.endpoints.deploy(version, to="scaling")

    assert [(dict(one.labels), len(one.deployed_models)) for one in native(backends)] == [({"team": "payments"}, 0)]
    client.delete_endpoint(name=f"{parent}/endpoints/scaling").result(timeout=60)


def test_who_asks_later_and_elsewhere_finds_the_same(opened: Opened, platform: Platform, register: Register) -> None:
    with handling("one event"):
        first = platform.endpoints.deploy(register(2.0), to="scaling").wait(timeout=LONG)
    platform.endpoints.status("scaling")

    with connect(opened().target) as elsewhere:
        assert elsewhere.endpoints.status("scaling") == platform.endpoints.status("scaling")
        assert elsewhere.endpoints.predict("scaling", [[1, 0]]) == [2.0]
        changes = elsewhere._backends.endpoints.traffic_history("scaling")
        assert [(dict(change.traffic), change.actor) for change in changes] == [
            ({first.name: 100}, "anonymous@emulator")
        ]


@pytest.mark.parametrize("kind", ["dedicated", "shared"])
def test_endpoints_are_reached_by_their_address(kind: str, opened: Opened, register: Register) -> None:
    version = register(3.0)
    with connect(opened(endpoints=kind).target) as platform:
        platform.endpoints.deploy(version, to="with_underscore").wait(timeout=LONG)

        assert platform.endpoints.predict("with_underscore", [[2, 0]]) == [6.0]
        assert platform.endpoints.status("with_underscore").name == "with_underscore"
        platform.endpoints.delete("with_underscore")


def test_a_private_endpoint_is_asked_within_its_network(opened: Opened, register: Register) -> None:
    version = register()
    network = "projects/123/global/networks/vpc"
    backends = opened(endpoints="private", network=network)
    with connect(backends.target) as platform:
        platform.endpoints.deploy(version, to="scaling").wait(timeout=LONG)

        assert native(backends)[0].network == network
        url = backends.endpoints.scoring("scaling").url
        assert url.startswith("http://scaling.aiplatform.googleapis.com/v1/models/")
        platform.endpoints.delete("scaling")


def test_requests_over_tls_go_through_the_proxy_that_the_environment_names(
    platform: Platform,
    register: Register,
    backends: VertexBackends,
    vertex_emulator: Emulator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    platform.endpoints.deploy(register(2.0), to="scaling").wait(timeout=LONG)
    url = backends.endpoints.scoring("scaling").url
    outside = url.replace(vertex_emulator.url, "https://europe-west4-aiplatform.googleapis.com")
    sealed = vertex_emulator.environment()
    for name in ("HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy", "SSL_CERT_FILE"):
        monkeypatch.setenv(name, sealed[name])

    client = ScoringClient(lambda _: Scoring(url=outside))

    assert client.predict("scaling", [[1, 0]]) == client.predict("scaling", [[1, 0]]) == [2.0]


def test_requests_carry_a_token_that_is_renewed(opened: Opened) -> None:
    from google.oauth2.credentials import Credentials

    wire = opened().wire
    given = Credentials(token="first")  # type: ignore[no-untyped-call]
    wire.__dict__["credentials"] = given
    headers = wire.headers({"host": "a"})
    assert dict(headers)["authorization"] == "Bearer first"

    given.token = "second"

    assert headers["authorization"] == "Bearer second"
    assert headers["host"] == "a"


def test_who_may_not_remove_leaves_it_to_the_next_who_may(
    platform: Platform, register: Register, backends: VertexBackends, vertex_emulator: Emulator
) -> None:
    access = vertex_emulator.cloud(GoogleCloud).access
    broken = register(fails="weights are missing")
    access.deny("aiplatform.endpoints.delete")

    with pytest.raises(DeploymentFailedError, match="weights are missing"):
        platform.endpoints.deploy(broken, to="scaling").wait(timeout=LONG)

    assert platform.endpoints.status("scaling").deployments == []
    access.allow()
    assert platform.endpoints.list() == []
    assert native(backends) == []


def test_who_may_not_ask_for_predictions_is_told_so(
    platform: Platform, register: Register, vertex_emulator: Emulator
) -> None:
    platform.endpoints.deploy(register(), to="scaling").wait(timeout=LONG)
    vertex_emulator.cloud(GoogleCloud).access.deny("aiplatform.endpoints.predict")

    with pytest.raises(PermissionDeniedError, match=r"aiplatform\.endpoints\.predict"):
        platform.endpoints.predict("scaling", [[1, 0]])


def test_predicting_needs_the_rights_to_predict_only_whatever_is_left_to_settle(
    platform: Platform, opened: Opened, register: Register, vertex_emulator: Emulator
) -> None:
    backends, access = opened(), vertex_emulator.cloud(GoogleCloud).access
    deploy(backends.endpoints, spec(register()))
    until(lambda: bool(native(backends)[0].deployed_models))  # and nobody has noted that it is there
    for permission in ("storage.*", "aiplatform.models.*", *(f"aiplatform.endpoints.{act}" for act in CHANGES)):
        access.deny(permission)
    vertex_emulator.calls.clear()

    assert platform.endpoints.predict("scaling", [[1.0, 0.0]]) == [1.0]

    asked = {call.operation for call in vertex_emulator.calls.list()}
    assert asked == {"EndpointService.GetEndpoint", "PredictionService.RawPredict"}
    access.allow()


def test_of_copies_that_say_they_are_one_version_the_earliest_is_deployed(opened: Opened, register: Register) -> None:
    version, backends = register(2.0), opened()
    models, name = backends.wire.client(ModelServiceClient), f"{backends.settings.parent}/models/scaling"
    labels = dict(models.get_model(name=f"{name}@1").labels)
    copy = Model(display_name="copy", artifact_uri="gs://elsewhere/model", labels=labels)
    request = UploadModelRequest(parent=backends.settings.parent, model=copy, parent_model=name)
    models.upload_model(request=request).result()

    deploy(backends.endpoints, spec(version))

    assert backends.endpoints._journal.read("scaling").acts["act-1"].native_model.endswith("/models/scaling@1")
    until(lambda: healthy(backends))


def test_a_version_that_is_not_there_and_a_port_are_refused(
    platform: Platform, register: Register, backends: VertexBackends
) -> None:
    version = register()
    with pytest.raises(InvalidRequestError, match="port 8080"):
        platform.endpoints.deploy(version, to="scaling", port=8080)
    with pytest.raises(NotFoundError, match="model 'scaling' has no version '9'"):
        platform.endpoints.deploy(replace(version, version="9"), to="scaling")
    with pytest.raises(NotFoundError, match="version 9 of model 'scaling' is not in Vertex AI's registry"):
        deploy(backends.endpoints, spec(replace(version, version="9")))
    assert platform.endpoints.list() == []
    assert platform.capabilities.of(Capability.AUTOSCALE) == "native"


def test_a_batch_whose_answer_is_lost_runs_once(
    platform: Platform, register: Register, backends: VertexBackends, vertex_emulator: Emulator, tmp_path: Path
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    version = register(2.0)
    pq.write_table(pa.table({"value": [float(n) for n in range(200)], "seconds": [0.0] * 200}), tmp_path / "in.parquet")
    vertex_emulator.faults.set(Fault(matching="*.CreateBatchPredictionJob", lose_response=True))

    platform.endpoints.predict_batch(version, str(tmp_path / "in.parquet"), str(tmp_path / "out.parquet"))

    table = pq.read_table(tmp_path / "out.parquet")
    assert table["prediction"].to_pylist() == [2.0 * n for n in range(200)]
    jobs = backends.wire.client(JobServiceClient).list_batch_prediction_jobs(parent=backends.settings.parent)
    assert len(list(jobs)) == 1
    assert list(backends.objects.list("batches/")) == []


def test_rows_that_the_model_refuses_are_told(platform: Platform, register: Register, tmp_path: Path) -> None:
    source, output = tmp_path / "rows.jsonl", tmp_path / "scored.jsonl"
    source.write_text('{"value": 1, "seconds": 0}\n{"value": "x", "seconds": 0}\n', encoding="utf-8")
    version = register()

    with pytest.raises(InvalidRequestError, match=r"1 rows of .* could not be scored"):
        platform.endpoints.predict_batch(version, str(source), str(output))

    assert not output.exists()
    with pytest.raises(InvalidRequestError, match="neither"):
        platform.endpoints.predict_batch(version, str(source), str(tmp_path / "scored.csv"))
