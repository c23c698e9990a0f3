"""Events on Azure ML: what Event Grid pushes of the workspace, from any client's registration to one promotion."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from cloudmlops import Platform
from cloudmlops.domain.events import EventContext, ModelRegistered
from cloudmlops.domain.ledger import EntryKind
from cloudmlops.domain.models import Stage
from cloudmlops.emulators.azure.cloud import AzureCloud
from cloudmlops.testing.contract.models import written_model

from .event_grid import PATIENCE, served, subscribe

Connected = Callable[..., Platform]
SCHEMAS = ("EventGridSchema", "CloudEventSchemaV1_0")


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    return written_model(tmp_path / "model")


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
    assert [entry.kind for entry in platform.models.history("churn")].count(EntryKind.MOVED) == 1
