"""What is answered has the names that the service's own answers have.

The sets are distilled from recorded traffic (azure-cli and its extension, `eventgrid` tests; azure-sdk-assets,
`azure-eventgrid`) and from the examples of azure-rest-api-specs, `Microsoft.EventGrid/stable/2025-02-15`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest
from azure.mgmt.eventgrid import EventGridManagementClient
from azure.mgmt.eventgrid.models import Namespace, NamespaceTopic, Subscription

from cloudmlops.emulators.azure.eventgrid.grid import EventGrid

from .conftest import PublishedTo, Webhook

if TYPE_CHECKING:
    from tests.emulators.azure.conftest import Azure

RESOURCE = {"id", "name", "type", "properties", "systemData"}
TRACKED = RESOURCE | {"location", "tags", "sku", "identity"}
GOLDEN: dict[str, tuple[set[str], set[str]]] = {
    "topics": (
        TRACKED | {"kind"},
        {
            "provisioningState",
            "endpoint",
            "inputSchema",
            "metricResourceId",
            "publicNetworkAccess",
            "disableLocalAuth",
        },
    ),
    "namespaces": (
        TRACKED,
        {
            "provisioningState",
            "topicsConfiguration",
            "isZoneRedundant",
            "publicNetworkAccess",
            "inboundIpRules",
            "minimumTlsVersionAllowed",
        },
    ),
    "namespaces/topics": (RESOURCE, {"provisioningState", "publisherType", "inputSchema", "eventRetentionInDays"}),
    "namespaces/topics/eventSubscriptions": (
        RESOURCE,
        {"provisioningState", "deliveryConfiguration", "eventDeliverySchema"},
    ),
    "eventSubscriptions": (
        RESOURCE,
        {
            "topic",
            "provisioningState",
            "destination",
            "filter",
            "labels",
            "eventDeliverySchema",
            "retryPolicy",
        },
    ),
}


class Wire:
    """Azure Resource Manager without an SDK between."""

    def __init__(self, azure: Azure) -> None:
        token = azure.credential().get_token("https://management.azure.com/.default").token
        self._url = azure.emulator.url
        self._headers = {"authorization": f"Bearer {token}"}

    def __call__(self, method: str, path: str, content: object = None) -> httpx.Response:
        url = f"{self._url}{path.removeprefix('https://management.azure.com')}"
        if "api-version" not in url:
            url += "?api-version=2025-02-15"
        return httpx.request(method, url, json=content, headers=self._headers, trust_env=False, verify=False)


@pytest.fixture
def resources(
    azure: Azure, manage: EventGridManagementClient, topic: PublishedTo, webhook: Webhook
) -> dict[str, dict[str, Any]]:
    """One of each kind, as Azure Resource Manager shows it."""
    topic.subscribe(webhook.url)
    name = f"golden-{azure.workspace}"
    space = manage.namespaces.begin_create_or_update(azure.group, name, Namespace(location="westeurope")).result()
    manage.namespace_topics.begin_create_or_update(azure.group, name, "news", NamespaceTopic()).result()
    manage.namespace_topic_event_subscriptions.begin_create_or_update(
        azure.group, name, "news", "readers", Subscription()
    ).result()
    wire = Wire(azure)
    paths = {
        "topics": topic.id,
        "eventSubscriptions": f"{topic.id}/providers/Microsoft.EventGrid/eventSubscriptions/hooked",
        "namespaces": space.id,
        "namespaces/topics": f"{space.id}/topics/news",
        "namespaces/topics/eventSubscriptions": f"{space.id}/topics/news/eventSubscriptions/readers",
    }
    return {kind: wire("GET", str(path)).json() for kind, path in paths.items()}


@pytest.mark.parametrize("kind", list(GOLDEN))
def test_resources_have_the_services_names(resources: dict[str, dict[str, Any]], kind: str) -> None:
    outer, inner = GOLDEN[kind]
    shown = resources[kind]

    assert set(shown) == outer
    assert set(shown["properties"]) == inner
    assert shown["type"] == f"Microsoft.EventGrid/{kind}"


def test_what_lies_deeper_has_the_services_names_too(resources: dict[str, dict[str, Any]]) -> None:
    properties = resources["eventSubscriptions"]["properties"]
    queue = resources["namespaces/topics/eventSubscriptions"]["properties"]["deliveryConfiguration"]

    assert properties["destination"]["endpointType"] == "WebHook"
    assert set(properties["destination"]["properties"]) == {
        "endpointUrl",
        "endpointBaseUrl",
        "maxEventsPerBatch",
        "preferredBatchSizeInKilobytes",
    }
    assert properties["filter"] == {"subjectBeginsWith": "", "subjectEndsWith": ""}
    assert properties["retryPolicy"] == {"maxDeliveryAttempts": 30, "eventTimeToLiveInMinutes": 1440}
    assert queue == {
        "deliveryMode": "Queue",
        "queue": {"receiveLockDurationInSeconds": 60, "maxDeliveryCount": 10, "eventTimeToLive": "P7D"},
    }


def test_making_and_removing_is_followed_as_at_the_service(azure: Azure) -> None:
    wire = Wire(azure)
    group = f"/subscriptions/{azure.subscription}/resourceGroups/{azure.group}"
    path = f"{group}/providers/Microsoft.EventGrid/topics/golden-{azure.workspace}"
    made = wire("PUT", path, {"location": "westeurope"})
    status = wire("GET", made.headers["azure-asyncoperation"])
    removed = wire("DELETE", path)
    result = wire("GET", removed.headers["location"])

    assert (made.status_code, made.json()["properties"]["provisioningState"]) == (201, "Creating")
    assert (
        f"/subscriptions/{azure.subscription}/providers/Microsoft.EventGrid/locations/westeurope/operationsStatus/"
        in (made.headers["azure-asyncoperation"])
    )
    assert set(status.json()) == {"id", "name", "status"}
    assert status.json()["status"] == "Succeeded"
    assert (removed.status_code, removed.content) == (202, b"")
    assert "operationResults" in removed.headers["location"]
    assert (result.status_code, wire("DELETE", path).status_code) == (204, 204)


def test_an_api_version_that_is_asked_for_is_kept(azure: Azure, resources: dict[str, dict[str, Any]]) -> None:
    versions = azure.cloud.versions

    assert versions["PUT topics"] == {"2025-02-15"}
    assert versions["PUT eventSubscriptions"] == {"2025-02-15"}


def test_a_namespace_answers_an_unknown_token_as_recorded(
    azure: Azure, grid: EventGrid, manage: EventGridManagementClient, resources: dict[str, dict[str, Any]]
) -> None:
    name = resources["namespaces"]["name"]
    key = manage.namespaces.list_shared_access_keys(azure.group, name).key1
    host = resources["namespaces"]["properties"]["topicsConfiguration"]["hostname"]
    answer = httpx.post(
        f"{grid.plain(host)}/topics/news/eventsubscriptions/readers:acknowledge?api-version=2024-06-01",
        json={"lockTokens": ["faketoken"]},
        headers={"authorization": f"SharedAccessKey {key}"},
        trust_env=False,
        verify=False,
    )

    assert answer.status_code == 200
    assert answer.json() == {
        "succeededLockTokens": [],
        "failedLockTokens": [
            {"lockToken": "faketoken", "error": {"code": "BadToken", "message": "Cannot decode lockToken"}}
        ],
    }
