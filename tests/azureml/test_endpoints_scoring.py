"""Predictions of Azure ML's endpoints: who is let in, what is sent, and that nothing of it stays anywhere."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cloudmlops import Entity, FeatureService, FeatureView, Platform, TableSource, connect
from cloudmlops.domain.access import Role
from cloudmlops.domain.models import FeatureServiceRef
from cloudmlops.emulators.azure.cloud import AzureCloud
from cloudmlops.emulators.core.emulator import Emulator
from cloudmlops.emulators.core.faults import Fault, Refused
from cloudmlops.errors import AuthenticationError, NotFoundError, PermissionDeniedError
from cloudmlops.providers.azureml.backends import AzureMLBackends
from cloudmlops.testing.model_folders import write_scaling_model

from .deployments import PUT, Deployer, deploy, spec, until

LONG = timedelta(minutes=2)
POST = "scoring/POST"
KEYS = {"key": "arm/POST workspaces/onlineEndpoints/listKeys", "aml_token": "arm/POST workspaces/onlineEndpoints/token"}
Opened = Callable[..., AzureMLBackends]
_LEAKING = """
import sys
import cloudmlops
from azure.ai.ml import MLClient
from azure.identity import DefaultAzureCredential
target, endpoint, other, file = sys.argv[1:]
place = target.removeprefix("azureml://").partition("?")[0].split("/")
client = MLClient(DefaultAzureCredential(), *place, enable_telemetry=False)
client.online_endpoints.invoke(endpoint, request_file=file, deployment_name="cloudmlops-v1")
client.online_endpoints.invoke(other, request_file=file)
with cloudmlops.connect(target) as platform:
    for _ in range(40):
        platform.endpoints.predict(endpoint, [[1, 0]])
"""


@pytest.fixture
def platform(deployer: Deployer) -> Platform:
    return deployer.platform


def deployed(deployer: Deployer, opened: Opened, **settings: str) -> Platform:
    """Deploy a version with other settings, and return the platform of these."""
    version = deployer.version(2.0)
    platform = connect(opened(**deployer.settings, **settings).settings.target)
    platform.endpoints.deploy(version, to=deployer.endpoint).wait(timeout=LONG)
    return platform


@pytest.mark.parametrize("auth_mode", ["aad_token", "aml_token", pytest.param("key", marks=pytest.mark.conformance)])
def test_each_way_to_let_callers_in_predicts(
    deployer: Deployer, opened: Opened, auth_mode: str, tmp_path: Path
) -> None:
    asked = tmp_path / "asked.json"
    asked.write_text('{"input_data": [[1.5, 0]]}')
    with deployed(deployer, opened, auth_mode=auth_mode) as platform:
        assert platform.endpoints.predict(deployer.endpoint, [[1.5, 0]]) == [3.0]
        native: Any = platform.native
        assert native.online_endpoints.get(deployer.endpoint).auth_mode == auth_mode
        told = json.loads(native.online_endpoints.invoke(deployer.endpoint, request_file=asked))
        assert told == {"predictions": [3.0]}


@pytest.mark.conformance
@pytest.mark.parametrize("auth_mode", ["aml_token", "key"])
def test_a_key_or_token_is_asked_for_once(
    deployer: Deployer, opened: Opened, azureml_emulator: Emulator, auth_mode: str
) -> None:
    with deployed(deployer, opened, auth_mode=auth_mode) as platform:
        for _ in range(3):
            platform.endpoints.predict(deployer.endpoint, [[1, 0]])

    assert len(azureml_emulator.calls.list(KEYS[auth_mode])) == 1


@pytest.mark.conformance(ci=True)
def test_a_key_that_was_changed_is_asked_for_again_once(
    deployer: Deployer, opened: Opened, azureml_emulator: Emulator
) -> None:
    with deployed(deployer, opened, auth_mode="key") as platform:
        platform.endpoints.predict(deployer.endpoint, [[1, 0]])
        client: Any = platform.native
        client.online_endpoints.begin_regenerate_keys(deployer.endpoint, key_type="primary").result()
        azureml_emulator.calls.clear()

        assert platform.endpoints.predict(deployer.endpoint, [[1, 0]]) == [2.0]

    assert [call.status for call in azureml_emulator.calls.list(POST)] == ["UNAUTHENTICATED", "OK"]
    assert len(azureml_emulator.calls.list(KEYS["key"])) == 1


@pytest.mark.conformance
def test_a_token_of_the_endpoint_that_has_ended_is_asked_for_again_once(
    deployer: Deployer, opened: Opened, azureml_emulator: Emulator
) -> None:
    with deployed(deployer, opened, auth_mode="aml_token") as platform:
        platform.endpoints.predict(deployer.endpoint, [[1, 0]])
        azureml_emulator.clock.advance(timedelta(hours=25))
        azureml_emulator.calls.clear()

        assert platform.endpoints.predict(deployer.endpoint, [[1, 0]]) == [2.0]

    assert [call.status for call in azureml_emulator.calls.list(POST)] == ["UNAUTHENTICATED", "OK"]


@pytest.mark.conformance(ci=True)
def test_a_token_of_entra_that_became_too_old_is_renewed_once(
    platform: Platform, deployer: Deployer, cloud: AzureCloud, azureml_emulator: Emulator
) -> None:
    platform.endpoints.deploy(deployer.version(2.0), to=deployer.endpoint).wait(timeout=LONG)
    platform.endpoints.predict(deployer.endpoint, [[1, 0]])
    azureml_emulator.calls.clear()
    cloud.tokens.expire()

    assert platform.endpoints.predict(deployer.endpoint, [[1, 0]]) == [2.0]

    assert [call.status for call in azureml_emulator.calls.list(POST)] == ["UNAUTHENTICATED", "OK"]


@pytest.mark.conformance
def test_who_is_refused_again_is_told_so(deployer: Deployer, opened: Opened, azureml_emulator: Emulator) -> None:
    with deployed(deployer, opened, auth_mode="key") as platform:
        refused = Refused("UNAUTHENTICATED", "key_auth_access_denied")
        azureml_emulator.faults.set(Fault(matching=POST, refused=refused, times=None))

        with pytest.raises(AuthenticationError, match="key_auth_access_denied"):
            platform.endpoints.predict(deployer.endpoint, [[1, 0]])

    assert len(azureml_emulator.calls.list(POST)) == 2


@pytest.mark.parametrize(
    ("auth_mode", "action"),
    [
        ("aad_token", "score"),
        ("key", "listKeys"),
        pytest.param("aml_token", "token", marks=pytest.mark.conformance),
    ],
)
def test_who_may_not_ask_is_told_the_action_and_the_role(
    deployer: Deployer,
    opened: Opened,
    as_somebody: Callable[[str], None],
    auth_mode: str,
    action: str,
) -> None:
    with deployed(deployer, opened, auth_mode=auth_mode) as platform:
        as_somebody("reader")
        with connect(platform._backends.target) as reading, pytest.raises(PermissionDeniedError) as caught:
            reading.endpoints.predict(deployer.endpoint, [[1, 0]])
        as_somebody("owner")

    assert f"onlineEndpoints/{action}/action" in str(caught.value)
    assert "AzureML Data Scientist" in str(caught.value)


@pytest.mark.conformance(ci=True)
def test_keys_are_in_no_record_no_log_and_no_error(
    deployer: Deployer, opened: Opened, azureml_emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    backends = opened(**deployer.settings, auth_mode="key")
    with deployed(deployer, opened, auth_mode="key") as platform:
        client: Any = platform.native
        keys = client.online_endpoints.get_keys(deployer.endpoint)
        platform.endpoints.predict(deployer.endpoint, [[1, 0]])
        scoring = backends.endpoints.scoring(deployer.endpoint)
        assert scoring.headers["authorization"] == f"Bearer {keys.primary_key}"
        azureml_emulator.faults.set(
            Fault(matching=POST, refused=Refused("UNAUTHENTICATED", "key_auth_access_denied"), times=None)
        )
        with pytest.raises(AuthenticationError) as caught:
            platform.endpoints.predict(deployer.endpoint, [[1, 0]])

    records = b"".join(backends.objects.get(key) for key in backends.objects.list())
    for secret in (keys.primary_key, keys.secondary_key):
        assert secret.encode() not in records
        assert secret not in repr(scoring)
        assert secret not in f"{caught.value!r} {caught.value} {vars(caught.value)}"
        assert secret not in caplog.text


@pytest.mark.conformance(ci=True)
def test_a_canary_split_holds_after_a_pinned_call_of_the_sdk_whose_header_leaks(
    deployer: Deployer, opened: Opened, azureml_emulator: Emulator, tmp_path: Path
) -> None:
    platform = deployed(deployer, opened, auth_mode="key")
    platform.endpoints.deploy(deployer.version(2.0), to=deployer.endpoint, traffic_percent=50).wait(timeout=LONG)
    other = f"other-{deployer.endpoint}"
    platform.endpoints.deploy(deployer.version(3.0), to=other, name="v1").wait(timeout=LONG)
    request = tmp_path / "request.json"
    request.write_text(json.dumps({"input_data": [[1, 0]]}))
    azureml_emulator.calls.clear()

    # In a process of its own: the SDK would name the deployment in every later call of this one.
    arguments = [platform._backends.target, deployer.endpoint, other, str(request)]
    subprocess.run([sys.executable, "-W", "ignore", "-c", _LEAKING, *arguments], env=dict(os.environ), check=True)

    calls = azureml_emulator.calls.list(POST)
    pinned = [dict(call.request)["headers"].get("azureml-model-deployment") for call in calls]
    assert pinned[:2] == ["cloudmlops-v1", "cloudmlops-v1"], "the second one, to another endpoint, was not pinned by us"
    assert pinned[2:] == [None] * 40
    logs = {name: platform.endpoints.logs(deployer.endpoint, name) for name in ("v1", "v2")}
    ours = {name: text.count("scored 1 rows") for name, text in logs.items()}
    assert sum(ours.values()) == 41
    assert min(ours.values()) > 5
    platform.close()


@pytest.mark.conformance
def test_predicting_needs_no_right_to_the_store_or_to_change_anything(
    platform: Platform, deployer: Deployer, azureml_emulator: Emulator
) -> None:
    platform.endpoints.deploy(deployer.version(2.0), to=deployer.endpoint).wait(timeout=LONG)
    platform.endpoints.predict(deployer.endpoint, [[1, 0]])
    azureml_emulator.calls.clear()

    assert platform.endpoints.predict(deployer.endpoint, [[1, 0]]) == [2.0]

    assert {f"{call.service}/{call.operation}" for call in azureml_emulator.calls.list()} == {POST}


@pytest.mark.conformance(ci=True)
def test_a_features_lookup_is_told_its_platform(deployer: Deployer, opened: Opened, azureml_emulator: Emulator) -> None:
    from dataclasses import replace

    version, backends = deployer.version(), opened(**deployer.settings)
    service = FeatureServiceRef(name="flight_delay", schema_hash="0" * 64)

    deploy(backends, replace(spec(version, deployer.endpoint), features=service))

    body = dict(azureml_emulator.calls.list(PUT)[-1].request)["body"]
    assert body["properties"]["environmentVariables"] == {"CLOUDMLOPS_TARGET": backends.target}
    until(lambda: backends.endpoints.get(deployer.endpoint).traffic == {"v1": 100})


@pytest.mark.conformance(ci=True)
def test_a_model_of_mlflow_is_served_by_what_azure_makes_for_it_as_locally(
    deployer: Deployer, opened: Opened, azureml_emulator: Emulator, tmp_path: Path
) -> None:
    rows = [[number / 7, 0.0] for number in range(50)]
    folder = write_scaling_model(tmp_path / "same", factor=1 / 3)
    with connect("local://:memory:") as local:
        local.endpoints.deploy(local.models.register("scaling", folder), to="scaling").wait(timeout=LONG)
        expected = local.endpoints.predict("scaling", rows)
    with connect(opened(serving="mlflow").settings.target) as platform:
        version = platform.models.register("scaling", folder)
        platform.endpoints.deploy(version, to=deployer.endpoint).wait(timeout=LONG)

        assert platform.endpoints.predict(deployer.endpoint, rows) == pytest.approx(expected, abs=1e-9)

    body = dict(azureml_emulator.calls.list(PUT)[-1].request)["body"]
    assert "environmentId" not in body["properties"]
    assert body["properties"]["environmentVariables"] == {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "1"}


@pytest.mark.conformance
def test_an_endpoint_without_traffic_says_so(platform: Platform, deployer: Deployer) -> None:
    one = platform.endpoints.deploy(deployer.version(), to=deployer.endpoint).wait(timeout=LONG)
    platform.endpoints.undeploy(deployer.endpoint, one.name)

    with pytest.raises(NotFoundError, match="no deployment with traffic"):
        platform.endpoints.predict(deployer.endpoint, [[1, 0]])


airport = Entity("airport", keys={"origin": str})
SEEN = datetime(2026, 1, 15, 12, tzinfo=UTC)


@pytest.mark.conformance
def test_keys_are_enough_where_the_endpoints_identity_may_read_features(
    deployer: Deployer, opened: Opened, cloud: AzureCloud, tmp_path: Path
) -> None:
    server = cloud.tokens.directory.by_name("server")
    identity = (
        "/subscriptions/00000000-0000-0000-0000-00000000e001/resourceGroups/experiments/providers"
        "/Microsoft.ManagedIdentity/userAssignedIdentities/server"
    )
    image = "myregistry.azurecr.io/cloudmlops/serving:latest"
    readings = FeatureView(
        "readings",
        entity=airport,
        source=TableSource("readings"),
        timestamp="seen_at",
        features={"value": float, "seconds": float},
    )
    service = FeatureService("scaling", views=[readings])
    with connect(opened(serving_image=image, endpoint_identity=identity).settings.target) as platform:
        platform.features.write_table("readings", [{"origin": "JFK", "seen_at": SEEN, "value": 1.5, "seconds": 0.0}])
        platform.features.apply([service])
        platform.features.materialize(readings)
        platform.access.grant(Role.READER, server.object_id)
        folder = write_scaling_model(tmp_path / "model", factor=2.0)
        version = platform.models.register("scaling", folder, features=service)
        platform.endpoints.deploy(version, to=deployer.endpoint).wait(timeout=LONG)

        assert platform.endpoints.predict(deployer.endpoint, [{"origin": "JFK"}]) == [3.0]

        platform.access.revoke(Role.READER, server.object_id)
