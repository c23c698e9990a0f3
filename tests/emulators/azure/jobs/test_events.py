from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from azure.mgmt.eventgrid.models import EventSubscription, WebHookEventSubscriptionDestination
from tests.emulators.azure.eventgrid.conftest import PATIENCE

if TYPE_CHECKING:
    from azure.mgmt.eventgrid import EventGridManagementClient
    from tests.emulators.azure.eventgrid.conftest import Webhook
    from tests.emulators.azure.jobs.conftest import Jobs

    from cloudmlops.emulators.azure.eventgrid.grid import EventGrid

pytestmark = pytest.mark.filterwarnings("ignore::marshmallow.warnings.RemovedInMarshmallow4Warning")


def test_the_end_of_a_run_is_told(
    jobs: Jobs, grid: EventGrid, manage: EventGridManagementClient, webhook: Webhook
) -> None:
    destination = WebHookEventSubscriptionDestination(endpoint_url=webhook.url)
    manage.event_subscriptions.begin_create_or_update(
        jobs.azure.workspace_id, "runs", EventSubscription(destination=destination)
    ).result()

    done = jobs.finished(jobs.command("true"))
    failed = jobs.finished(jobs.command("false"))

    assert grid.deliveries.settle(PATIENCE)
    told = {event["data"]["runId"]: event for event in webhook.events}
    assert {name: event["eventType"].rpartition(".")[2] for name, event in told.items()} == {
        done["runId"]: "RunCompleted",
        failed["runId"]: "RunStatusChanged",
    }
    assert told[failed["runId"]]["data"]["runStatus"] == "failed"
    assert told[done["runId"]]["subject"] == f"experiments/{done['experimentId']}/runs/{done['runId']}"
