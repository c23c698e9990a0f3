"""Deployments on Azure ML under faults: what fails leaves nothing, and what was lost is found again."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner

from cloudmlops import Platform
from cloudmlops.cli.endpoints import endpoints as cli
from cloudmlops.domain.endpoints import DeploymentState, TrafficReason
from cloudmlops.emulators.azure.cloud import AzureCloud
from cloudmlops.emulators.core.emulator import Emulator
from cloudmlops.emulators.core.faults import Fault, Refused
from cloudmlops.errors import (
    ConfigurationError,
    ConflictError,
    DeploymentFailedError,
    InvalidRequestError,
    InvalidTrafficError,
    NotFoundError,
    QuotaExceededError,
    UnavailableError,
    WaitTimeoutError,
)
from cloudmlops.providers.azureml.backends import AzureMLBackends
from cloudmlops.providers.deployment_rules import act_of
from cloudmlops.services.effects import handling

from .deployments import DELETE, ENDPOINT, PUT, Deployer, deploy, once, spec, until

LONG = timedelta(minutes=2)


@pytest.fixture
def platform(deployer: Deployer) -> Platform:
    return deployer.platform


def native(backends: AzureMLBackends) -> dict[str, list[str]]:
    """Return what there is in Azure: endpoints with their deployments."""
    client = backends.native
    return {
        str(one.name): [str(found.name) for found in client.online_deployments.list(str(one.name))]
        for one in client.online_endpoints.list()
    }


def machines(cloud: AzureCloud, backends: AzureMLBackends) -> list[str]:
    cloud.fleet.settle()
    return [one for one in cloud.fleet.deployments() if one.startswith(backends.settings.workspace_id.lower())]


@pytest.mark.conformance(ci=True)
def test_a_failed_container_leaves_no_deployment_no_endpoint_and_no_machine(
    platform: Platform, deployer: Deployer, backends: AzureMLBackends, cloud: AzureCloud
) -> None:
    broken = platform.endpoints.deploy(deployer.version(fails="weights are missing"), to=deployer.endpoint)

    with pytest.raises(DeploymentFailedError, match=r"ended before it became healthy(.|\n)*weights are missing"):
        broken.wait(timeout=LONG)

    assert platform.endpoints.list() == []
    assert native(backends) == {}
    assert machines(cloud, backends) == []
    assert broken.status.state is DeploymentState.FAILED


@pytest.mark.conformance(ci=True)
def test_a_failed_deployment_beside_another_is_removed_with_its_machines(
    platform: Platform, deployer: Deployer, backends: AzureMLBackends, cloud: AzureCloud
) -> None:
    platform.endpoints.deploy(deployer.version(2.0), to=deployer.endpoint).wait(timeout=LONG)
    before = platform.endpoints.status(deployer.endpoint)
    broken = deployer.version(fails="weights are missing")

    with pytest.raises(DeploymentFailedError, match="weights are missing"):
        platform.endpoints.deploy(broken, to=deployer.endpoint, traffic_percent=50).wait(timeout=LONG)

    assert platform.endpoints.status(deployer.endpoint) == before
    until(lambda: native(backends) == {deployer.endpoint: ["cloudmlops-v1"]})
    assert len(machines(cloud, backends)) == 1
    assert platform.endpoints.predict(deployer.endpoint, [[1.5, 0]]) == [3.0]


@pytest.mark.conformance(ci=True)
def test_a_lost_answer_after_the_deployment_was_begun_deploys_once(
    platform: Platform, deployer: Deployer, backends: AzureMLBackends, azureml_emulator: Emulator
) -> None:
    version = deployer.version(2.0)
    azureml_emulator.faults.set(Fault(matching=PUT, lose_response=True))

    deployment = platform.endpoints.deploy(version, to=deployer.endpoint).wait(timeout=LONG)

    assert deployment.status.state is DeploymentState.HEALTHY
    assert native(backends) == {deployer.endpoint: ["cloudmlops-v1"]}
    assert platform.endpoints.predict(deployer.endpoint, [[1, 0]]) == [2.0]


@pytest.mark.conformance
@pytest.mark.parametrize("call", ["arm/PUT workspaces/onlineEndpoints", DELETE, ENDPOINT])
def test_a_lost_answer_of_another_call_does_no_harm(
    call: str, platform: Platform, deployer: Deployer, backends: AzureMLBackends, azureml_emulator: Emulator
) -> None:
    versions = deployer.version(1.0), deployer.version(2.0)
    azureml_emulator.faults.set(Fault(matching=call, lose_response=True, times=2))

    one, two = [platform.endpoints.deploy(version, to=deployer.endpoint).wait(timeout=LONG) for version in versions]
    platform.endpoints.shift_traffic(deployer.endpoint, {two.name: 100})
    platform.endpoints.undeploy(deployer.endpoint, one.name)

    assert platform.endpoints.status(deployer.endpoint).traffic == {two.name: 100}
    platform.endpoints.delete(deployer.endpoint)
    assert native(backends) == {}


def test_a_deleted_version_that_a_stale_writer_has_put_back_is_refused_before_anything_is_written(
    platform: Platform, deployer: Deployer, backends: AzureMLBackends, azureml_emulator: Emulator
) -> None:
    version = deployer.version()
    stale = backends.native.models.get(version.model, "1")
    platform.models.delete(version.model, version.version)
    backends.native.models.create_or_update(stale)
    written = azureml_emulator.calls.list("arm/PUT ")

    with pytest.raises(NotFoundError, match="was deleted by"):
        platform.endpoints.deploy(version, to=deployer.endpoint)

    assert native(backends) == {}
    assert azureml_emulator.calls.list("arm/PUT ") == written


def test_no_machines_left_in_the_quota_is_told_at_once_and_leaves_nothing(
    platform: Platform, deployer: Deployer, backends: AzureMLBackends, cloud: AzureCloud, azureml_emulator: Emulator
) -> None:
    version = deployer.version()
    cloud.fleet.cores = 0

    with pytest.raises(QuotaExceededError, match="Not enough quota available for Standard_DS3_v2"):
        platform.endpoints.deploy(version, to=deployer.endpoint)

    assert len(azureml_emulator.calls.list(PUT)) == 1
    assert (platform.endpoints.list(), native(backends), machines(cloud, backends)) == ([], {}, [])


@pytest.mark.conformance
def test_a_service_that_is_busy_is_asked_again_when_it_says(
    platform: Platform, deployer: Deployer, azureml_emulator: Emulator
) -> None:
    busy = Refused("RESOURCE_EXHAUSTED", "Too many requests.", retry_after_seconds=0.01)
    version = deployer.version()
    for call in (PUT, ENDPOINT, "arm/PUT workspaces/onlineEndpoints"):
        azureml_emulator.faults.set(Fault(matching=call, refused=busy))

    platform.endpoints.deploy(version, to=deployer.endpoint).wait(timeout=LONG)

    assert len(azureml_emulator.calls.list(PUT)) == 2


@pytest.mark.conformance(ci=True)
def test_another_operation_on_the_endpoint_is_waited_for(
    platform: Platform, deployer: Deployer, backends: AzureMLBackends, cloud: AzureCloud, azureml_emulator: Emulator
) -> None:
    platform.endpoints.deploy(deployer.version(1.0), to=deployer.endpoint).wait(timeout=LONG)
    two = platform.endpoints.deploy(deployer.version(2.0), to=deployer.endpoint).wait(timeout=LONG)
    conflict = Refused("ABORTED", "Another operation is in progress on the endpoint.", reason="Conflict")
    azureml_emulator.calls.clear()
    azureml_emulator.faults.set(Fault(matching="arm/PUT workspaces/onlineEndpoints", refused=conflict))

    platform.endpoints.shift_traffic(deployer.endpoint, {two.name: 100})

    assert platform.endpoints.predict(deployer.endpoint, [[1, 0]]) == [2.0]
    assert len(azureml_emulator.calls.list("arm/PUT workspaces/onlineEndpoints")) == 2


@pytest.mark.conformance(ci=True)
def test_a_token_that_became_too_old_is_renewed_once_for_what_we_send_ourselves(
    platform: Platform, deployer: Deployer, backends: AzureMLBackends, cloud: AzureCloud, azureml_emulator: Emulator
) -> None:
    platform.endpoints.deploy(deployer.version(), to=deployer.endpoint).wait(timeout=LONG)
    assert backends.endpoints._resources.names() == [deployer.endpoint]
    cloud.tokens.expire()
    azureml_emulator.calls.clear()

    backends.endpoints._resources.split(deployer.endpoint, {})

    put = [
        call.status for call in azureml_emulator.calls.list() if call.operation.endswith("workspaces/onlineEndpoints")
    ]
    assert put == ["UNAUTHENTICATED", "OK", "OK", "OK"]
    assert len(azureml_emulator.calls.list("entra/token")) == 1


@pytest.mark.conformance
def test_a_conflict_that_stays_is_told(platform: Platform, deployer: Deployer, azureml_emulator: Emulator) -> None:
    one = platform.endpoints.deploy(deployer.version(1.0), to=deployer.endpoint).wait(timeout=LONG)
    two = platform.endpoints.deploy(deployer.version(2.0), to=deployer.endpoint).wait(timeout=LONG)
    conflict = Refused("ABORTED", "The endpoint is locked.", reason="Conflict")
    azureml_emulator.faults.set(Fault(matching="arm/PUT workspaces/onlineEndpoints", refused=conflict, times=None))

    with pytest.raises(ConflictError, match="The endpoint is locked"):
        platform.endpoints.shift_traffic(deployer.endpoint, {two.name: 100})

    assert platform.endpoints.status(deployer.endpoint).traffic == {one.name: 100}


@pytest.mark.conformance
def test_a_service_that_is_gone_leaves_nothing_and_another_try_succeeds(
    platform: Platform, deployer: Deployer, opened: Callable[..., AzureMLBackends], azureml_emulator: Emulator
) -> None:
    version, hasty = deployer.version(), opened(timeout="1", **deployer.settings)
    gone = Refused("UNAVAILABLE", "try later")
    azureml_emulator.faults.set(Fault(matching=PUT, refused=gone, times=None))
    with pytest.raises(UnavailableError, match=r"endpoints\.deploy of"):
        deploy(hasty, spec(version, deployer.endpoint))
    azureml_emulator.reset()
    deployer.let_be_quick()

    assert platform.endpoints.list() == []
    platform.endpoints.deploy(version, to=deployer.endpoint).wait(timeout=LONG)


@pytest.mark.conformance(ci=True)
def test_an_operation_that_does_not_end_is_waited_for_as_long_as_one_wants(
    platform: Platform, deployer: Deployer, cloud: AzureCloud, azureml_emulator: Emulator
) -> None:
    platform.endpoints.deploy(deployer.version(1.0), to=deployer.endpoint).wait(timeout=LONG)
    version = deployer.version(2.0)
    cloud.operations.takes = timedelta(hours=1)
    second = platform.endpoints.deploy(version, to=deployer.endpoint, traffic_percent=50)
    with pytest.raises(WaitTimeoutError, match="still starting"):
        second.wait(timeout=timedelta(seconds=0.2))
    assert platform.endpoints.status(deployer.endpoint).traffic == {"v1": 100}
    with pytest.raises(ConflictError, match="still being deployed"):
        platform.endpoints.undeploy(deployer.endpoint, "v2")
    cloud.operations.takes = timedelta(0)
    azureml_emulator.clock.advance(timedelta(hours=1))

    second.wait(timeout=LONG)

    assert platform.endpoints.status(deployer.endpoint).traffic == {"v1": 50, "v2": 50}


@pytest.mark.conformance
def test_an_endpoint_that_is_long_in_the_making_is_deployed_to_by_whoever_looks_next(
    platform: Platform,
    deployer: Deployer,
    opened: Callable[..., AzureMLBackends],
    cloud: AzureCloud,
    azureml_emulator: Emulator,
) -> None:
    version, hasty = deployer.version(2.0), opened(timeout="0.3", **deployer.settings)
    cloud.operations.takes = timedelta(hours=1)
    deploy(hasty, spec(version, deployer.endpoint))
    assert azureml_emulator.calls.list(PUT) == []
    cloud.operations.takes = timedelta(0)
    azureml_emulator.clock.advance(timedelta(hours=1))

    until(lambda: healthy(hasty, deployer.endpoint))

    assert platform.endpoints.predict(deployer.endpoint, [[1, 0]]) == [2.0]


def healthy(backends: AzureMLBackends, endpoint: str) -> bool:
    found = backends.endpoints.deployment(endpoint, "act-1")
    return found is not None and found.state is DeploymentState.HEALTHY


def test_a_process_that_died_before_it_asked_has_deployed_nothing(
    deployer: Deployer, opened: Callable[..., AzureMLBackends]
) -> None:
    version, other = deployer.version(2.0), opened(**deployer.settings)
    asked = act_of(
        spec(version, deployer.endpoint),
        actor="ada",
        native_model="models/scaling",
        deployed_id="cloudmlops-v1",
        machine="Standard_DS3_v2",
    )
    long_ago = datetime.now(UTC) - timedelta(hours=1)
    entry = {"id": "x", "number": 1, "kind": "begun", "act": asked, "at": long_ago.isoformat()}
    assert other.objects.create(f"endpoints/{deployer.endpoint}/000000000001.json", json.dumps(entry).encode())

    found = other.endpoints.deployment(deployer.endpoint, "act-1")

    assert found is not None
    assert (found.state, found.created_at) == (DeploymentState.FAILED, long_ago)
    assert "ended before Azure ML was asked" in found.failure
    with pytest.raises(NotFoundError):
        other.endpoints.get(deployer.endpoint)


@pytest.mark.conformance(ci=True)
def test_a_deployment_whose_tags_others_have_lost_is_known_all_the_same(
    platform: Platform, deployer: Deployer, backends: AzureMLBackends
) -> None:
    one = platform.endpoints.deploy(deployer.version(), to=deployer.endpoint).wait(timeout=LONG)
    found = backends.native.online_deployments.get("cloudmlops-v1", deployer.endpoint)
    found.tags = {}
    backends.native.online_deployments.begin_create_or_update(found).result()

    assert one.status.state is DeploymentState.HEALTHY
    assert [known.deployed_as for known in platform.endpoints.status(deployer.endpoint).deployments] == [
        one.status.deployed_as
    ]


@pytest.mark.conformance
def test_who_looks_while_another_process_is_about_to_ask_asks_nothing(
    deployer: Deployer, opened: Callable[..., AzureMLBackends], azureml_emulator: Emulator
) -> None:
    version, one, other = deployer.version(), opened(**deployer.settings), opened(**deployer.settings)
    seen: list[object] = []

    def look() -> None:
        found = other.endpoints.deployment(deployer.endpoint, "act-1")
        seen.append(found.state if found is not None else None)

    azureml_emulator.faults.set(Fault(matching=PUT, before=once(look)))

    deploy(one, spec(version, deployer.endpoint))

    assert seen == [DeploymentState.STARTING]
    assert len(azureml_emulator.calls.list(PUT)) == 1
    until(lambda: healthy(one, deployer.endpoint))


@pytest.mark.conformance
def test_two_first_deployments_at_once_share_one_endpoint(platform: Platform, deployer: Deployer) -> None:
    versions = [deployer.version(1.0), deployer.version(2.0)]

    with ThreadPoolExecutor(2) as pool:
        begun = list(pool.map(lambda version: platform.endpoints.deploy(version, to=deployer.endpoint), versions))
    for deployment in begun:
        deployment.wait(timeout=LONG)

    status = platform.endpoints.status(deployer.endpoint)
    assert sorted(found.name for found in status.deployments) == ["v1", "v2"]
    assert sum(status.traffic.values()) == 100


@pytest.mark.conformance
def test_what_other_tools_change_is_seen(platform: Platform, deployer: Deployer, backends: AzureMLBackends) -> None:
    one = platform.endpoints.deploy(deployer.version(1.0), to=deployer.endpoint).wait(timeout=LONG)
    two = platform.endpoints.deploy(deployer.version(2.0), to=deployer.endpoint).wait(timeout=LONG)
    shown = backends.native.online_endpoints.get(deployer.endpoint)
    shown.traffic = {"cloudmlops-v2": 100}

    backends.native.online_endpoints.begin_create_or_update(shown).result()

    history = backends.endpoints.traffic_history(deployer.endpoint)
    assert [(dict(change.traffic), change.reason) for change in history] == [
        ({one.name: 100}, TrafficReason.DEPLOYED),
        ({two.name: 100}, TrafficReason.SHIFTED),
    ]
    backends.native.online_deployments.begin_delete("cloudmlops-v1", deployer.endpoint).result()
    assert one.status.state is DeploymentState.GONE
    assert [found.name for found in platform.endpoints.status(deployer.endpoint).deployments] == [two.name]


@pytest.mark.conformance(ci=True)
def test_what_a_stale_writer_puts_over_a_split_is_split_again(
    platform: Platform, deployer: Deployer, backends: AzureMLBackends, azureml_emulator: Emulator
) -> None:
    platform.endpoints.deploy(deployer.version(1.0), to=deployer.endpoint).wait(timeout=LONG)
    two = platform.endpoints.deploy(deployer.version(2.0), to=deployer.endpoint).wait(timeout=LONG)
    stale = backends.native.online_endpoints.get(deployer.endpoint)
    stale.tags = {**stale.tags, "cost-centre": "7"}
    put = "arm/PUT workspaces/onlineEndpoints"
    azureml_emulator.calls.clear()

    def overwrite() -> None:
        if azureml_emulator.calls.list(put):
            backends.native.online_endpoints.begin_create_or_update(stale).result()

    # What our writing is read back with is answered after the other's.
    azureml_emulator.faults.set(
        Fault(
            matching="arm/GET workspaces/onlineEndpoints",
            first=1,
            times=6,
            before=once(overwrite, when=lambda: bool(azureml_emulator.calls.list(put))),
        )
    )

    platform.endpoints.shift_traffic(deployer.endpoint, {two.name: 100})

    shown = backends.native.online_endpoints.get(deployer.endpoint)
    assert {name: share for name, share in shown.traffic.items() if share} == {"cloudmlops-v2": 100}
    assert shown.tags["cost-centre"] == "7", "what the other wrote is kept, too"
    assert len(azureml_emulator.calls.list(put)) == 3


@pytest.mark.conformance(ci=True)
def test_who_splits_otherwise_meanwhile_is_told_of_and_not_overwritten(
    platform: Platform, deployer: Deployer, backends: AzureMLBackends, azureml_emulator: Emulator
) -> None:
    one = platform.endpoints.deploy(deployer.version(1.0), to=deployer.endpoint).wait(timeout=LONG)
    two = platform.endpoints.deploy(deployer.version(2.0), to=deployer.endpoint).wait(timeout=LONG)
    other = backends.native.online_endpoints.get(deployer.endpoint)
    other.traffic = {"cloudmlops-v1": 60, "cloudmlops-v2": 40}
    put = "arm/PUT workspaces/onlineEndpoints"
    azureml_emulator.calls.clear()
    act = once(
        lambda: backends.native.online_endpoints.begin_create_or_update(other).result(),
        when=lambda: bool(azureml_emulator.calls.list(put)),
    )
    azureml_emulator.faults.set(Fault(matching="arm/GET workspaces/onlineEndpoints", times=6, before=act))

    with pytest.raises(ConflictError, match=r"somebody else has split the traffic .* 'cloudmlops-v2': 40"):
        platform.endpoints.shift_traffic(deployer.endpoint, {two.name: 100})

    assert platform.endpoints.status(deployer.endpoint).traffic == {one.name: 60, two.name: 40}


@pytest.mark.conformance(ci=True)
def test_a_split_keeps_all_else_that_an_endpoint_has(
    platform: Platform, deployer: Deployer, backends: AzureMLBackends
) -> None:
    platform.endpoints.deploy(deployer.version(1.0), to=deployer.endpoint).wait(timeout=LONG)
    two = platform.endpoints.deploy(deployer.version(2.0), to=deployer.endpoint).wait(timeout=LONG)
    shown = backends.native.online_endpoints.get(deployer.endpoint)
    shown.tags = {**shown.tags, "cost-centre": "7"}
    shown.description = "scores flights"
    shown.public_network_access = "Disabled"
    shown.mirror_traffic = {"cloudmlops-v2": 10}
    backends.native.online_endpoints.begin_create_or_update(shown).result()

    platform.endpoints.deploy(deployer.version(3.0), to=deployer.endpoint, traffic_percent=20).wait(timeout=LONG)

    after = backends.native.online_endpoints.get(deployer.endpoint)
    assert (after.tags["cost-centre"], after.description, after.public_network_access, after.identity.type) == (
        "7",
        "scores flights",
        "Disabled",
        "system_assigned",
    )
    assert {name: share for name, share in after.mirror_traffic.items() if share} == {"cloudmlops-v2": 10}
    platform.endpoints.shift_traffic(deployer.endpoint, {two.name: 100})
    assert backends.native.online_endpoints.get(deployer.endpoint).mirror_traffic == {}


@pytest.mark.conformance(ci=True)
def test_copies_of_requests_go_to_one_deployment_that_has_no_traffic(
    platform: Platform, deployer: Deployer, cloud: AzureCloud
) -> None:
    one = platform.endpoints.deploy(deployer.version(1.0), to=deployer.endpoint).wait(timeout=LONG)
    two = platform.endpoints.deploy(deployer.version(2.0), to=deployer.endpoint).wait(timeout=LONG)

    assert platform.endpoints.mirror_traffic(deployer.endpoint, two.name, percent=50).mirror == {two.name: 50}

    assert {platform.endpoints.predict(deployer.endpoint, [[1, 0]])[0] for _ in range(30)} == {1.0}
    cloud.fleet.settle()
    assert 5 < platform.endpoints.logs(deployer.endpoint, two.name).count("scored 1 rows") < 30
    with pytest.raises(InvalidTrafficError, match="mirrors at most 50 %"):
        platform.endpoints.mirror_traffic(deployer.endpoint, two.name, percent=51)
    with pytest.raises(InvalidTrafficError, match=r"'v1' has 100 % of the traffic itself"):
        platform.endpoints.mirror_traffic(deployer.endpoint, one.name, percent=10)
    target = {"CLOUDMLOPS_TARGET": platform._backends.target}
    shell = CliRunner().invoke(cli, ["mirror", deployer.endpoint, two.name, "--percent", "20", "--json"], env=target)
    assert json.loads(shell.output) == {two.name: 20}
    assert platform.endpoints.mirror_traffic(deployer.endpoint, two.name, percent=0).mirror == {}
    platform.endpoints.mirror_traffic(deployer.endpoint, two.name, percent=10)
    platform.endpoints.undeploy(deployer.endpoint, two.name)
    assert platform.endpoints.status(deployer.endpoint).mirror == {}


@pytest.mark.conformance
def test_one_of_many_lookers_gives_a_deployment_its_traffic(
    platform: Platform, deployer: Deployer, opened: Callable[..., AzureMLBackends], azureml_emulator: Emulator
) -> None:
    version, lookers = deployer.version(), [opened(**deployer.settings) for _ in range(3)]
    deploy(lookers[0], spec(version, deployer.endpoint))
    azureml_emulator.calls.clear()

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda one: until(lambda: healthy(one, deployer.endpoint)), lookers))

    assert len(azureml_emulator.calls.list("arm/PUT workspaces/onlineEndpoints")) == 1
    assert platform.endpoints.status(deployer.endpoint).traffic == {"v1": 100}


@pytest.mark.conformance
def test_who_asks_later_and_elsewhere_finds_the_same(
    platform: Platform, deployer: Deployer, opened: Callable[..., AzureMLBackends], cloud: AzureCloud
) -> None:
    with handling("one event"):
        first = platform.endpoints.deploy(deployer.version(2.0), to=deployer.endpoint).wait(timeout=LONG)

    elsewhere = opened(**deployer.settings)

    assert elsewhere.endpoints.get(deployer.endpoint) == platform.endpoints.status(deployer.endpoint)
    (change,) = elsewhere.endpoints.traffic_history(deployer.endpoint)
    assert dict(change.traffic) == {first.name: 100}
    assert change.actor == cloud.tokens.directory.by_name("owner").object_id


WRONG_NAMES = {
    ("ab", None): ["endpoint name 'ab' must be 3 to 32"],
    ("with_underscore", "blue_green"): ["endpoint name 'with_underscore'", "deployment name 'blue_green' must be"],
    ("e" * 33, "ends-"): ["endpoint name", "deployment name 'ends-'"],
    ("scaling", "cloudmlops-v1"): ["deployment name 'cloudmlops-v1' stands for 'v1'"],
}


def test_names_that_azure_does_not_take_are_refused_before_anything_is_asked(
    platform: Platform, deployer: Deployer, azureml_emulator: Emulator
) -> None:
    version = deployer.version()
    azureml_emulator.calls.clear()

    for (endpoint, name), told in WRONG_NAMES.items():
        with pytest.raises(InvalidRequestError) as caught:
            platform.endpoints.deploy(version, to=endpoint, name=name, machine="n1-standard-4", port=8080)
        assert len(caught.value.faults) == len(told) + 2
        for fault, words in zip(caught.value.faults, [*told, "machine 'n1-standard-4'", "port 8080"], strict=True):
            assert words in fault

    assert azureml_emulator.calls.list("arm/*") == []


@pytest.mark.conformance
def test_a_version_that_is_not_there_is_not_found(platform: Platform, deployer: Deployer) -> None:
    version = deployer.version()
    with pytest.raises(NotFoundError, match="version 9 of model 'scaling'"):
        platform.endpoints.deploy(replace(version, version="9"), to=deployer.endpoint)
    assert platform.endpoints.list() == []


@pytest.mark.conformance
def test_a_name_that_another_workspace_has_is_told(
    platform: Platform, deployer: Deployer, cloud: AzureCloud, azureml_emulator: Emulator
) -> None:
    version = deployer.version()
    taken = Refused("ALREADY_EXISTS", "The endpoint name is taken.", reason="Conflict")
    azureml_emulator.faults.set(Fault(matching="arm/PUT workspaces/onlineEndpoints", refused=taken, times=None))

    with pytest.raises(ConflictError, match="is taken in the workspace's region"):
        platform.endpoints.deploy(version, to=deployer.endpoint)

    assert platform.endpoints.list() == []


@pytest.mark.conformance
def test_without_an_image_it_is_said_which_setting_names_one(
    deployer: Deployer, opened: Callable[..., AzureMLBackends]
) -> None:
    version = deployer.version()
    with pytest.raises(ConfigurationError, match="which container image serves models"):
        deploy(opened(), spec(version, deployer.endpoint))


@pytest.mark.conformance(ci=True)
def test_a_deployment_is_asked_for_with_machines_environment_and_probes(
    platform: Platform, deployer: Deployer, azureml_emulator: Emulator
) -> None:
    version = deployer.version()

    platform.endpoints.deploy(version, to=deployer.endpoint, machine="Standard_F4s_v2", replicas=(2, 2)).wait(
        timeout=LONG
    )

    asked = dict(azureml_emulator.calls.list(PUT)[-1].request)["body"]
    environment = dict(azureml_emulator.calls.list("arm/PUT workspaces/environments/versions")[-1].request)["body"]
    assert asked["sku"] == {"name": "Default", "capacity": 2}
    assert asked["properties"]["instanceType"] == "Standard_F4s_v2"
    assert asked["properties"]["model"].endswith("/models/scaling/versions/1")
    assert environment["properties"]["image"] == deployer.settings["serving_image"]
    assert environment["properties"]["inferenceConfig"] == {
        "livenessRoute": {"port": 8080, "path": "/healthz"},
        "readinessRoute": {"port": 8080, "path": "/healthz"},
        "scoringRoute": {"port": 8080, "path": "/score"},
    }


@pytest.mark.conformance(ci=True)
def test_logs_are_those_of_the_deployment(platform: Platform, deployer: Deployer) -> None:
    one = platform.endpoints.deploy(deployer.version(), to=deployer.endpoint).wait(timeout=LONG)
    platform.endpoints.predict(deployer.endpoint, [[1, 0], [2, 0]])

    assert "scored 2 rows with no header" in platform.endpoints.logs(deployer.endpoint, one.name)
    with pytest.raises(NotFoundError, match="deployment 'green'"):
        platform.endpoints.logs(deployer.endpoint, "green")
