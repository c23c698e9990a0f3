"""Events on Azure ML: what Event Grid pushes of the workspace, from any client's registration to one promotion."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from azure.identity import DefaultAzureCredential
from azure.mgmt.eventgrid import EventGridManagementClient
from azure.mgmt.eventgrid.models import EventSubscription, WebHookEventSubscriptionDestination

from cloudmlops import Platform, connect
from cloudmlops.domain.events import DriftDetected, EventContext, ModelRegistered
from cloudmlops.domain.models import Stage
from cloudmlops.emulators.azure.cloud import SUBSCRIPTION, AzureCloud
from cloudmlops.testing.contract.models import written_model

from .conftest import Opened

PATIENCE = timedelta(seconds=30)
Connected = Callable[..., Platform]
SCHEMAS = ("EventGridSchema", "CloudEventSchemaV1_0")


@pytest.fixture
def connected(opened: Opened) -> Iterator[Connected]:
    """Connects to the test's workspace, with settings such as `topic="…"`."""
    kept: list[Platform] = []

    def platform(**settings: str) -> Platform:
        kept.append(connect(opened(**settings).settings))
        return kept[-1]

    yield platform
    for one in kept:
        one.close()


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    return written_model(tmp_path / "model")


@contextmanager
def served(platform: Platform, *, host: str = "127.0.0.1") -> Iterator[str]:
    """Answer pushes on loopback."""
    config = uvicorn.Config(platform.events.asgi(), host=host, port=0, log_level="error", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            thread.join(0.01)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/events"
    finally:
        server.should_exit = True
        thread.join()


def subscribe(platform: Platform, url: str, *, name: str = "learning", **more: Any) -> None:
    """Let the workspace's events be pushed to an address, as its owner does with azure-mgmt-eventgrid."""
    destination = WebHookEventSubscriptionDestination(endpoint_url=url, **more.pop("webhook", {}))
    info = EventSubscription(destination=destination, **more)
    with DefaultAzureCredential() as credential, EventGridManagementClient(credential, SUBSCRIPTION) as manage:
        manage.event_subscriptions.begin_create_or_update(workspace_id(platform), name, info).result()


def workspace_id(platform: Platform) -> str:
    subscription, group, workspace = platform.address.removeprefix("azureml://").split("/")
    return (
        f"/subscriptions/{subscription}/resourceGroups/{group}"
        f"/providers/Microsoft.MachineLearningServices/workspaces/{workspace}"
    )


def drift(platform: Platform, metric: str = "psi") -> DriftDetected:
    time = datetime(2026, 1, 31, 12, tzinfo=UTC)
    return DriftDetected(platform=platform.address, time=time, subject="s", metric=metric, value=0.3, threshold=0.2)


@pytest.mark.parametrize("schema", SCHEMAS)
def test_a_registered_model_reaches_its_handler_and_is_promoted_once(
    connected: Connected, cloud: AzureCloud, artifact: Path, schema: str
) -> None:
    platform = connected(reporter="event-grid")
    seen: list[ModelRegistered] = []

    @platform.events.on(ModelRegistered, model="churn", handler="validate", backoff=timedelta(0))
    def validate(event: ModelRegistered, ctx: EventContext) -> None:
        seen.append(event)
        ctx.platform.models.promote(event.model, event.version, to=Stage.CANDIDATE, reason="validated")
        if ctx.attempt == 1:
            raise ConnectionError("the first attempt ends here")

    with served(platform) as url:
        subscribe(platform, url, event_delivery_schema=schema)
        platform.models.register("churn", artifact)
        assert cloud.event_grid.deliveries.settle(PATIENCE)

    assert platform.events.process() == 1
    assert platform.events.process() == 0
    assert [(event.platform, event.version) for event in seen] == [(platform.address, "1")] * 2
    assert [entry.kind for entry in platform.models.history("churn")].count("moved") == 1
