from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.eventgrid import EventGridEvent, SystemEventNames
from azure.mgmt.eventgrid import EventGridManagementClient
from azure.mgmt.eventgrid.models import (
    EventSubscription,
    EventSubscriptionFilter,
    StringInAdvancedFilter,
    SystemTopic,
    WebHookEventSubscriptionDestination,
)

from cloudmlops.emulators.azure.eventgrid.grid import EventGrid

from .conftest import PATIENCE, Webhook

if TYPE_CHECKING:
    from azure.ai.ml.entities import Model
    from tests.emulators.azure.conftest import Azure

TYPES = {
    "Microsoft.MachineLearningServices.ModelRegistered",
    "Microsoft.MachineLearningServices.ModelDeployed",
    "Microsoft.MachineLearningServices.RunCompleted",
    "Microsoft.MachineLearningServices.RunStatusChanged",
    "Microsoft.MachineLearningServices.DatasetDriftDetected",
}


def subscribe(azure: Azure, manage: EventGridManagementClient, url: str, **more: Any) -> EventSubscription:
    info = EventSubscription(destination=WebHookEventSubscriptionDestination(endpoint_url=url), **more)
    found: EventSubscription = manage.event_subscriptions.begin_create_or_update(
        azure.workspace_id, "learning", info
    ).result()
    return found


def register(azure: Azure, name: str, **more: Any) -> Model:
    from azure.ai.ml.entities import Model  # here, because the emulator's fixture imports it with its warnings off

    path = (
        f"azureml://subscriptions/{azure.subscription}/resourcegroups/{azure.group}/workspaces/{azure.workspace}/"
        "datastores/workspaceblobstore/paths/model"
    )
    return azure.client().models.create_or_update(Model(name=name, path=path, type="custom_model", **more))


def test_registering_a_model_is_told_once_to_who_subscribed_to_the_workspace(
    azure: Azure, grid: EventGrid, manage: EventGridManagementClient, webhook: Webhook
) -> None:
    made = subscribe(azure, manage, webhook.url)
    registered = register(azure, "churn", tags={"stage": "dev"})
    registered.tags["stage"] = "prod"
    azure.client().models.create_or_update(registered)
    assert grid.deliveries.settle(PATIENCE)

    (raw,) = webhook.events
    event = EventGridEvent.from_json(json.dumps(raw))
    assert event.event_type == SystemEventNames.MachineLearningServicesModelRegisteredEventName
    assert (event.topic, event.subject) == (azure.workspace_id, "models/churn:1")
    assert event.data["ModelName"] == "churn"
    assert event.data["ModelVersion"] == 1
    assert event.data["ModelTags"] == {"stage": "dev"}
    assert (raw["dataVersion"], raw["metadataVersion"]) == ("", "1")
    assert abs(event.event_time - datetime.now(UTC)) < PATIENCE
    assert made.filter is not None
    assert set(made.filter.included_event_types or ()) == TYPES
    assert made.topic == azure.workspace_id.replace(
        "Microsoft.MachineLearningServices", "microsoft.machinelearningservices"
    )


def test_a_version_that_is_no_number_is_told_as_text(
    azure: Azure, grid: EventGrid, manage: EventGridManagementClient, webhook: Webhook
) -> None:
    subscribe(azure, manage, webhook.url, event_delivery_schema="CloudEventSchemaV1_0")
    register(azure, "churn", version="2026-03")
    assert grid.deliveries.settle(PATIENCE)

    (event,) = webhook.events
    assert set(event) == {"source", "subject", "type", "time", "id", "data", "specversion"}
    assert (event["source"], event["specversion"]) == (azure.workspace_id, "1.0")
    assert event["data"]["ModelVersion"] == "2026-03"


def test_models_are_filtered_by_their_tags(
    azure: Azure, grid: EventGrid, manage: EventGridManagementClient, webhook: Webhook
) -> None:
    only = EventSubscriptionFilter(
        included_event_types=["Microsoft.MachineLearningServices.ModelRegistered"],
        advanced_filters=[StringInAdvancedFilter(key="data.ModelTags.stage", values=["prod"])],
    )
    subscribe(azure, manage, webhook.url, filter=only)
    register(azure, "one", tags={"stage": "dev"})
    register(azure, "two", tags={"stage": "prod"})
    assert grid.deliveries.settle(PATIENCE)

    assert [one["data"]["ModelName"] for one in webhook.events] == ["two"]


def test_a_system_topic_tells_of_its_workspace(
    azure: Azure, grid: EventGrid, manage: EventGridManagementClient, webhook: Webhook
) -> None:
    name = f"{azure.workspace}-topic"
    made = manage.system_topics.begin_create_or_update(
        azure.group,
        name,
        SystemTopic(
            location="westeurope",
            source=azure.workspace_id,
            topic_type="Microsoft.MachineLearningServices.Workspaces",
        ),
    ).result()
    info = EventSubscription(destination=WebHookEventSubscriptionDestination(endpoint_url=webhook.url))
    manage.system_topic_event_subscriptions.begin_create_or_update(azure.group, name, "learning", info).result()
    register(azure, "churn")
    assert grid.deliveries.settle(PATIENCE)

    assert made.source == azure.workspace_id
    assert [one["topic"] for one in webhook.events] == [azure.workspace_id]
    assert [one.name for one in manage.system_topic_event_subscriptions.list_by_system_topic(azure.group, name)] == [
        "learning"
    ]
    manage.system_topics.begin_delete(azure.group, name).result()
    register(azure, "churn")
    assert grid.deliveries.settle(PATIENCE)
    assert len(webhook.events) == 1


def test_system_topics_of_other_sources_are_refused_by_name(azure: Azure, manage: EventGridManagementClient) -> None:
    other = SystemTopic(location="westeurope", source="/x", topic_type="Microsoft.Storage.StorageAccounts")
    with pytest.raises(HttpResponseError, match=r"Microsoft\.MachineLearningServices\.Workspaces is") as refused:
        manage.system_topics.begin_create_or_update(azure.group, "storage-topic", other)
    assert refused.value.status_code == 501


def test_there_is_no_subscribing_to_what_there_is_not(azure: Azure, manage: EventGridManagementClient) -> None:
    info = EventSubscription(destination=WebHookEventSubscriptionDestination(endpoint_url="http://127.0.0.1:1/"))
    with pytest.raises(ResourceNotFoundError, match="workspaces/nowhere"):
        manage.event_subscriptions.begin_create_or_update(
            azure.workspace_id.replace(azure.workspace, "nowhere"), "learning", info
        )


@pytest.mark.parametrize("name", ["scientist", "reader"])
def test_only_who_may_write_subscriptions_subscribes(azure: Azure, name: str) -> None:
    info = EventSubscription(destination=WebHookEventSubscriptionDestination(endpoint_url="http://127.0.0.1:1/"))
    client = EventGridManagementClient(azure.credential(name), azure.subscription)
    with pytest.raises(HttpResponseError, match="EventGrid/eventSubscriptions/write"):
        client.event_subscriptions.begin_create_or_update(azure.workspace_id, "learning", info)


# The names of data as Microsoft's examples write them, one way or the other.
DATA: dict[str, tuple[str, set[str]]] = {
    "ModelDeployed": (
        "endpoints/churn-live",
        {"ServiceName", "ServiceComputeType", "ModelIds", "ServiceTags", "ServiceProperties"},
    ),
    "RunCompleted": (
        "experiments/e1/runs/r1",
        {"experimentId", "experimentName", "runId", "runType", "runTags", "runProperties"},
    ),
    "RunStatusChanged": (
        "experiments/e1/runs/r1",
        {"experimentId", "experimentName", "runId", "runType", "runTags", "runProperties", "runStatus"},
    ),
    "DatasetDriftDetected": (
        "datadrift/d1/run/r1",
        {
            "DataDriftId",
            "DataDriftName",
            "RunId",
            "BaseDatasetId",
            "TargetDatasetId",
            "DriftCoefficient",
            "StartTime",
            "EndTime",
        },
    ),
}


def test_what_else_happens_is_told_in_the_documented_names(
    azure: Azure, grid: EventGrid, manage: EventGridManagementClient, webhook: Webhook
) -> None:
    subscribe(azure, manage, webhook.url)
    workspace, tell = azure.workspace_id, grid.events
    run: dict[str, Any] = {
        "experiment_id": "e1",
        "experiment": "training",
        "run": "r1",
        "run_type": None,
        "tags": {},
        "properties": {},
    }
    tell.model_deployed(
        workspace,
        service="churn-live",
        compute_type="Managed",
        models=[("churn", "1"), ("churn", "2")],
        tags={},
        properties={},
    )
    tell.run_completed(workspace, **run)
    tell.run_status_changed(workspace, **run, status="failed")
    day = datetime(2026, 3, 1, tzinfo=UTC)
    tell.dataset_drift_detected(
        workspace,
        drift_id="d1",
        drift="monitor",
        run="r1",
        base_dataset="b",
        target_dataset="t",
        coefficient=0.8,
        start=day,
        end=day,
    )
    assert grid.deliveries.settle(PATIENCE)

    told = {one["eventType"].rpartition(".")[2]: (one["subject"], set(one["data"])) for one in webhook.events}
    assert told == DATA
    deployed = next(one for one in webhook.events if one["eventType"].endswith("ModelDeployed"))
    assert deployed["data"]["ModelIds"] == "churn:1,churn:2"


def test_a_program_in_another_process_tells_of_drift_by_name(
    azure: Azure, grid: EventGrid, manage: EventGridManagementClient, webhook: Webhook
) -> None:
    subscribe(azure, manage, webhook.url)
    asked = {
        "workspace": azure.workspace_id,
        "kind": "DatasetDriftDetected",
        "subject": "datadrift/d1/run/r1",
        "data": {"DataDriftName": "monitor", "DriftCoefficient": 0.8},
    }

    def post(**headers: str) -> httpx.Response:
        url = f"{azure.emulator.url}/-/emulator/azure/events"
        return httpx.post(url, json=asked, headers=headers, trust_env=False, verify=False)

    assert post().status_code == 200
    assert grid.deliveries.settle(PATIENCE)
    (event,) = webhook.events
    assert event["eventType"] == SystemEventNames.MachineLearningServicesDatasetDriftDetectedEventName
    assert (event["subject"], event["data"]) == (asked["subject"], asked["data"])

    assert post(origin="https://example.com").status_code == 403
    for wrong, status in (
        ({"kind": "Another"}, 400),
        ({"workspace": "/x"}, 404),
        ({"data": 7}, 400),
        ({"what": 1}, 400),
    ):
        before = dict(asked)
        asked |= wrong
        assert post().status_code == status
        asked.pop("what", None)
        asked |= before
    assert len(webhook.events) == 1
