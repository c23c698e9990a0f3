"""Receivers of events really start, and take what the clouds push, once and from nobody else."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.azureml.event_grid import subscribe
from tests.templates import receivers
from tests.templates.drawing import drawn, run

from cloudmlops import Platform, connect
from cloudmlops.domain.events import DriftDetected, ModelRegistered
from cloudmlops.emulators.azure.cloud import AzureCloud
from cloudmlops.emulators.core.emulator import Emulator
from cloudmlops.emulators.google.cloud import GoogleCloud
from cloudmlops.testing.contract.models import written_model

Started = Callable[[Path, dict[str, str]], AbstractContextManager[str]]
ROOT = Path(__file__).parents[2]
TERRAFORM = ROOT / "terraform"
AUDIENCE = "22222222-2222-2222-2222-222222222222"
PUSHER = "drawn-events@drawn-project.iam.gserviceaccount.com"
UPLOADS = ("google.cloud.aiplatform.*.ModelService.UploadModel",)
PATIENCE = timedelta(seconds=60)
VALIDATION = {
    "id": "1",
    "topic": "/x",
    "subject": "",
    "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent",
    "eventTime": "2026-01-31T12:00:00Z",
    "data": {"validationCode": "512d38b6"},
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return drawn("retrain-on-event", {"target": "both", "ci": "none"}, tmp_path_factory.mktemp("receivers"))


@pytest.fixture
def on_azure(
    azureml_emulator: Emulator, request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[tuple[Platform, dict[str, str]]]:
    """A workspace of the test's own, and what a receiver of it is told: the names are those of the stack's outputs."""
    cloud = azureml_emulator.cloud(AzureCloud)
    name = f"drawn-{abs(hash(request.node.name)) % 10**6}"
    workspace = cloud.ensure_workspace(name, group="ml")
    target = f"azureml://{workspace.split('/')[2]}/ml/{name}"
    told = {
        "CLOUDMLOPS_TARGET": target,
        "CLOUDMLOPS_AZUREML_PUSH_AUDIENCE": AUDIENCE,
        "CLOUDMLOPS_AZUREML_PUSH_TENANT": cloud.tokens.directory.tenant,
    }
    with connect(f"{target}?reporter=event-grid") as platform:
        yield platform, azureml_emulator.environment() | receivers.clean(tmp_path) | told


@pytest.mark.parametrize("started", [receivers.function, receivers.image], ids=["Function", "image"])
def test_event_grid_shakes_hands_and_what_it_pushes_twice_is_one_event(
    project: Path,
    on_azure: tuple[Platform, dict[str, str]],
    azureml_emulator: Emulator,
    tmp_path: Path,
    started: Started,
) -> None:
    platform, environment = on_azure
    cloud = azureml_emulator.cloud(AzureCloud)
    token = {
        "azure_active_directory_tenant_id": cloud.tokens.directory.tenant,
        "azure_active_directory_application_id_or_uri": AUDIENCE,
    }
    with started(project, environment) as address:
        for schema in ("EventGridSchema", "CloudEventSchemaV1_0"):  # by POST, and by OPTIONS
            made = subscribe(platform, f"{address}/", name=schema[:10], event_delivery_schema=schema, webhook=token)
            assert made.provisioning_state == "Succeeded"
        platform.models.register("another", written_model(tmp_path / "model"))
        assert cloud.event_grid.deliveries.settle(PATIENCE)

    assert [event.model for event in platform.events.list()] == ["another"]


@pytest.mark.parametrize("started", [receivers.function, receivers.image], ids=["Function", "image"])
def test_a_push_to_azures_receiver_that_proves_nothing_is_refused(
    project: Path, on_azure: tuple[Platform, dict[str, str]], started: Started
) -> None:
    platform, environment = on_azure
    with started(project, environment) as address, httpx.Client(trust_env=False) as client:
        offered = {"webhook-request-origin": "eventgrid.azure.net"}
        agreed = client.options(f"{address}/", headers=offered)
        strangers = client.options(f"{address}/", headers={"webhook-request-origin": "example.com"})
        forged = [client.post(f"{address}/", json=[VALIDATION])]
        forged += [client.post(address, json=[VALIDATION], headers={"authorization": "Bearer a.b.c"})]
        forged += [client.post(f"{address}/", json=registered(platform), headers=CLOUD_EVENT)]

    assert (agreed.status_code, agreed.headers["webhook-allowed-origin"]) == (200, "eventgrid.azure.net")
    assert strangers.status_code == 403
    assert [answer.status_code for answer in forged] == [401, 401, 401]
    assert platform.events.list() == []


def test_a_function_without_a_way_to_prove_pushes_takes_none(
    project: Path, on_azure: tuple[Platform, dict[str, str]]
) -> None:
    _, environment = on_azure
    open_to_all = {name: value for name, value in environment.items() if "_PUSH_" not in name}
    with receivers.function(project, open_to_all) as address, httpx.Client(trust_env=False) as client:
        assert client.post(f"{address}/", json=[VALIDATION]).status_code == 401


def test_a_function_without_a_target_does_not_start(project: Path, tmp_path: Path) -> None:
    with (
        pytest.raises(AssertionError, match="CLOUDMLOPS_TARGET"),
        receivers.function(project, receivers.clean(tmp_path)),
    ):
        pass


def test_the_function_is_typed(project: Path, tmp_path: Path) -> None:
    typed = run(project, "mypy", "--cache-dir", str(tmp_path), "function_app.py")

    assert typed.returncode == 0, typed.stdout + typed.stderr


def test_the_function_handles_what_is_due_when_its_time_comes(
    project: Path, on_azure: tuple[Platform, dict[str, str]]
) -> None:
    platform, environment = on_azure
    now = datetime.now(UTC)
    drift = DriftDetected(
        platform=platform.address, time=now, subject="another", metric="psi", value=1.0, threshold=0.1
    )
    platform.events.publish(drift)
    with receivers.function(project, environment) as address:
        httpx.post(f"{address}/admin/functions/handle", json={}, trust_env=False, timeout=60).raise_for_status()

    platform.events.on(DriftDetected, handler="retrain")(lambda event, context: None)
    assert platform.events.process() == 0, "the handler of that name has had it"


def test_eventarc_pushes_an_upload_twice_and_it_is_one_event_and_nobody_else_may(
    project: Path, vertex_emulator: Emulator, tmp_path: Path
) -> None:
    bucket = {"name": "drawn-bucket", "location": "europe-west4"}
    httpx.post(
        f"{vertex_emulator.url}/storage/v1/b", params={"project": "drawn-project"}, json=bucket
    ).raise_for_status()
    cloud = vertex_emulator.cloud(GoogleCloud)
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    target = f"vertex://drawn-project/europe-west4?bucket=drawn-bucket&api_url={vertex_emulator.url}"
    told = {"CLOUDMLOPS_TARGET": f"{target}&push_audience={address}/&push_account={PUSHER}"}

    with (
        connect(f"{target}&reporter=audit-log") as platform,
        receivers.image(project, receivers.clean(tmp_path) | told, port),
    ):
        for _ in range(2):
            cloud.audit.trigger(f"{address}/", method_names=UPLOADS, account=PUSHER)
        platform.models.register("another", written_model(tmp_path / "model"))
        assert cloud.pusher.wait_until_delivered(PATIENCE)
        forged = {"": "has no identity token", cloud.tokens.identity(PUSHER, "elsewhere"): "audience"}
        refused = [push(address, platform, token) for token in forged]
        strangers = push(address, platform, cloud.tokens.identity("mallory@example.com", f"{address}/"))

        assert [event.model for event in platform.events.list(kind=ModelRegistered)] == ["another"]
        assert ([answer.status_code for answer in refused], strangers.status_code) == ([401, 401], 403)


def push(address: str, platform: Platform, token: str) -> httpx.Response:
    authorization = {"authorization": f"Bearer {token}"} if token else {}
    told = registered(platform)
    return httpx.post(f"{address}/", json=told, headers=CLOUD_EVENT | authorization, trust_env=False)


CLOUD_EVENT = {"content-type": "application/cloudevents+json"}


def registered(platform: Platform) -> dict[str, Any]:
    """Tell of a version as the library does."""
    return {
        "specversion": "1.0",
        "id": "1",
        "source": platform.address,
        "type": "cloudmlops.model.registered",
        "time": "2026-01-31T12:00:00Z",
        "data": {"model": "another", "version": "7"},
    }


def test_stacks_tell_receivers_what_they_are_told_here(project: Path) -> None:
    outputs = (TERRAFORM / "stacks/azure/outputs.tf").read_text()
    on_google = (TERRAFORM / "modules/google/model-events/receiver.tf").read_text()
    command = receivers.entrypoint(project / "docker/events.Dockerfile")

    assert re.findall(r'^output "(push_\w+)"', outputs, re.MULTILINE) == ["push_audience", "push_tenant"]
    assert 'name  = "CLOUDMLOPS_TARGET"' in on_google
    assert '"https://APP.azurewebsites.net/"' in (ROOT / "docs/azureml.md").read_text()
    assert re.findall(r'path    = "(.*)"', on_google) == ["/"]
    assert "ports {" not in on_google  # the default of Cloud Run is 8080
    assert command[command.index("--port") + 1] == "8080"
