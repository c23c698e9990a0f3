from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from azure.core.credentials import AzureKeyCredential, AzureSasCredential
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ResourceNotFoundError,
)
from azure.core.messaging import CloudEvent
from azure.eventgrid import EventGridEvent, EventGridPublisherClient, generate_sas
from azure.mgmt.eventgrid import EventGridManagementClient
from azure.mgmt.eventgrid.models import (
    IdentityInfo,
    InboundIpRule,
    Topic,
    TopicRegenerateKeyRequest,
    TopicUpdateParameters,
)

from cloudmlops.emulators.azure.eventgrid.grid import EventGrid
from cloudmlops.emulators.core.faults import Fault, Refused

from .conftest import PATIENCE, PublishedTo, Webhook

if TYPE_CHECKING:
    from tests.emulators.azure.conftest import Azure

EVENT = EventGridEvent(subject="orders/1", event_type="Shop.Ordered", data={"price": 3}, data_version="2.0")
CLOUD_EVENT = CloudEvent(source="/shop", type="Shop.Ordered", data={"price": 3}, subject="orders/1")


def keys_of(topic: PublishedTo) -> tuple[str, str]:
    found = topic.manage.topics.list_shared_access_keys(topic.azure.group, topic.name)
    assert found.key1 is not None
    assert found.key2 is not None
    return found.key1, found.key2


def endpoint_of(topic: PublishedTo) -> str:
    return f"https://{topic.name}.westeurope-1.eventgrid.azure.net/api/events"


def test_a_topic_tells_where_it_is_published_to(topic: PublishedTo, manage: EventGridManagementClient) -> None:
    shown = manage.topics.get(topic.azure.group, topic.name)

    assert shown.provisioning_state == "Succeeded"
    assert shown.endpoint == endpoint_of(topic)
    assert shown.input_schema == "EventGridSchema"
    assert topic.name in [one.name for one in manage.topics.list_by_resource_group(topic.azure.group)]


def test_a_topic_is_being_made_until_its_operation_is_done(azure: Azure, manage: EventGridManagementClient) -> None:
    azure.emulator.clock.freeze()
    azure.cloud.operations.takes = timedelta(minutes=1)
    making = manage.topics.begin_create_or_update(
        azure.group, "slow-topic", Topic(location="westeurope"), polling=False
    )
    first = making.result()
    azure.emulator.clock.advance(timedelta(minutes=1))

    assert (first.provisioning_state, first.endpoint) == ("Creating", None)
    assert manage.topics.get(azure.group, "slow-topic").provisioning_state == "Succeeded"


def test_a_topic_that_was_removed_is_gone(topic: PublishedTo, manage: EventGridManagementClient) -> None:
    publisher = topic.publisher()
    manage.topics.begin_delete(topic.azure.group, topic.name).result()

    with pytest.raises(ResourceNotFoundError, match="ResourceNotFound"):
        manage.topics.get(topic.azure.group, topic.name)
    with pytest.raises(ResourceNotFoundError):
        publisher.send(EVENT)
    manage.topics.begin_delete(topic.azure.group, topic.name).result()


@pytest.mark.parametrize("name", ["to", "t" * 51, "with_underscore"])
def test_names_of_topics_have_limits(azure: Azure, manage: EventGridManagementClient, name: str) -> None:
    path = (
        f"/subscriptions/{azure.subscription}/resourceGroups/{azure.group}/providers/Microsoft.EventGrid/topics/{name}"
    )
    token = azure.credential().get_token("https://management.azure.com/.default").token
    answer = httpx.put(
        f"{azure.emulator.url}{path}?api-version=2025-02-15",
        json={"location": "westeurope"},
        headers={"authorization": f"Bearer {token}"},
        trust_env=False,
        verify=False,
    )

    assert answer.status_code == 400
    assert "between 3 and 50 characters" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "more",
    [
        pytest.param({"public_network_access": "Disabled"}, id="network"),
        pytest.param({"inbound_ip_rules": [InboundIpRule(ip_mask="10.0.0.0/8", action="Allow")]}, id="rules"),
        pytest.param({"input_schema": "CustomEventSchema"}, id="schema"),
        pytest.param({"identity": IdentityInfo(type="UserAssigned")}, id="identity"),
    ],
)
def test_what_is_not_emulated_of_topics_is_refused_by_name(
    azure: Azure, manage: EventGridManagementClient, more: dict[str, Any]
) -> None:
    with pytest.raises(HttpResponseError, match="not emulated") as refused:
        manage.topics.begin_create_or_update(azure.group, "other-topic", Topic(location="westeurope", **more))
    assert refused.value.status_code == 501
    with pytest.raises(HttpResponseError, match="filter of GET topics"):
        list(manage.topics.list_by_resource_group(azure.group, filter="name eq 'x'"))


def test_who_may_only_read_makes_no_topic(azure: Azure) -> None:
    reader = EventGridManagementClient(azure.credential("reader"), azure.subscription)

    with pytest.raises(HttpResponseError, match="EventGrid/topics/write"):
        reader.topics.begin_create_or_update(azure.group, "not-mine", Topic(location="westeurope"))


def test_events_of_event_grids_schema_are_delivered_one_in_an_array(
    grid: EventGrid, topic: PublishedTo, webhook: Webhook
) -> None:
    topic.subscribe(webhook.url, "hooked")
    topic.publisher().send([EVENT, EVENT])
    assert grid.deliveries.settle(PATIENCE)

    first, second = webhook.notifications
    assert len(first.content) == len(second.content) == 1
    event = first.content[0]
    assert (event["topic"], event["subject"], event["eventType"]) == (topic.id, "orders/1", "Shop.Ordered")
    assert (event["data"], event["dataVersion"], event["metadataVersion"]) == ({"price": 3}, "2.0", "1")
    told = {name: first.headers[name] for name in first.headers if name.startswith("aeg-") and "output" not in name}
    assert told == {
        "aeg-event-type": "Notification",
        "aeg-subscription-name": "HOOKED",
        "aeg-delivery-count": "0",
        "aeg-data-version": "2.0",
        "aeg-metadata-version": "1",
    }


def test_cloud_events_are_delivered_alone_and_as_they_are(
    grid: EventGrid, make_topic: Callable[..., PublishedTo], webhook: Webhook
) -> None:
    topic = make_topic("CloudEventSchemaV1_0")
    topic.subscribe(webhook.url)
    topic.publisher().send(CLOUD_EVENT)
    assert grid.deliveries.settle(PATIENCE)

    (one,) = webhook.notifications
    assert CloudEvent.from_dict(one.content).id == CLOUD_EVENT.id
    assert one.headers["content-type"] == "application/cloudevents+json; charset=utf-8"
    assert one.headers["aeg-metadata-version"] == "1.0"


def test_events_of_event_grids_schema_become_cloud_events_where_a_subscription_wants_them(
    grid: EventGrid, topic: PublishedTo, webhook: Webhook
) -> None:
    topic.subscribe(webhook.url, event_delivery_schema="CloudEventSchemaV1_0")
    topic.publisher().send(EVENT)
    assert grid.deliveries.settle(PATIENCE)

    (event,) = webhook.events
    assert event == {
        "source": topic.id,
        "subject": "orders/1",
        "type": "Shop.Ordered",
        "time": event["time"],
        "id": str(EVENT.id),
        "data": {"price": 3},
        "specversion": "1.0",
    }


@pytest.mark.parametrize("way", ["key1", "key2", "sas", "token", "plain key", "plain sas"])
def test_one_publishes_with_a_key_a_signature_or_a_token(azure: Azure, topic: PublishedTo, way: str) -> None:
    one, other = keys_of(topic)
    endpoint = endpoint_of(topic)
    plain = f"{azure.cloud.event_grid.plain(f'{topic.name}.westeurope-1.eventgrid.azure.net')}/api/events"
    soon = datetime.now(UTC) + timedelta(hours=1)
    at, credential = {
        "key1": (endpoint, AzureKeyCredential(one)),
        "key2": (endpoint, AzureKeyCredential(other)),
        "sas": (endpoint, AzureSasCredential(generate_sas(endpoint, other, soon))),
        "token": (endpoint, azure.credential("sender")),
        "plain key": (plain, AzureKeyCredential(one)),
        "plain sas": (plain, AzureSasCredential(generate_sas(plain, one, soon))),
    }[way]

    EventGridPublisherClient(at, credential).send(EVENT)


def test_what_does_not_allow_publishing_is_refused_with_the_services_words(azure: Azure, topic: PublishedTo) -> None:
    endpoint, (key, _) = endpoint_of(topic), keys_of(topic)
    past, soon = datetime.now(UTC) - timedelta(minutes=1), datetime.now(UTC) + timedelta(hours=1)
    elsewhere = generate_sas("https://other.westeurope-1.eventgrid.azure.net/api/events", key, soon)
    for credential in (
        AzureKeyCredential("bad credential"),
        AzureKeyCredential("AAAA"),
        AzureSasCredential(generate_sas(endpoint, key, past)),
        AzureSasCredential(generate_sas(endpoint, "AAAA", soon)),
        AzureSasCredential(elsewhere),
    ):
        with pytest.raises(
            ClientAuthenticationError,
            match=f"The request authorization key is not authorized for {topic.name.upper()}.WESTEUROPE-1",
        ):
            EventGridPublisherClient(endpoint, credential).send(EVENT)
    with pytest.raises(HttpResponseError, match="does not have permission to send data to") as refused:
        EventGridPublisherClient(endpoint, azure.credential("nobody")).send(EVENT)
    assert refused.value.status_code == 403


def test_no_key_at_all_is_told_so(azure: Azure, topic: PublishedTo) -> None:
    plain = azure.cloud.event_grid.plain(f"{topic.name}.westeurope-1.eventgrid.azure.net")
    answer = httpx.post(f"{plain}/api/events", json=[], trust_env=False, verify=False)

    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (401, "Unauthorized")
    assert error["message"].startswith("Request must contain one of the following authorization signature")
    assert error["details"] == [{"code": "Unauthorized", "message": error["message"]}]


def test_a_key_that_was_made_anew_replaces_the_old_one(topic: PublishedTo, manage: EventGridManagementClient) -> None:
    old, other = keys_of(topic)
    renewed = manage.topics.begin_regenerate_key(
        topic.azure.group, topic.name, TopicRegenerateKeyRequest(key_name="key1")
    ).result()

    assert renewed.key1 != old
    assert renewed.key2 == other
    with pytest.raises(ClientAuthenticationError):
        EventGridPublisherClient(endpoint_of(topic), AzureKeyCredential(old)).send(EVENT)


def test_keys_count_no_more_where_local_authentication_is_off(
    topic: PublishedTo, manage: EventGridManagementClient
) -> None:
    publisher = topic.publisher()
    manage.topics.begin_update(topic.azure.group, topic.name, TopicUpdateParameters(disable_local_auth=True)).result()

    with pytest.raises(ClientAuthenticationError, match="Local authentication is disabled"):
        publisher.send(EVENT)
    EventGridPublisherClient(endpoint_of(topic), topic.azure.credential("sender")).send(EVENT)


def event(**more: Any) -> dict[str, Any]:
    known = {
        "id": "1",
        "subject": "s",
        "eventType": "t",
        "eventTime": "2026-03-01T12:00:00Z",
        "data": {},
        "dataVersion": "1",
    }
    return {name: value for name, value in (known | more).items() if value is not None}


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        pytest.param([event(subject=None)], "requires 'subject' property", id="subject"),
        pytest.param([event(id=None)], "requires 'id' property", id="id"),
        pytest.param([event(eventType=None)], "requires 'eventType' property", id="type"),
        pytest.param([event(eventTime=None)], "requires 'eventTime' property", id="time"),
        pytest.param([event(eventTime="noon")], "is not a time", id="no time"),
        pytest.param([event(topic="/subscriptions/another")], "must be empty or", id="topic"),
        pytest.param([], "does not conform to the expected schema", id="none"),
        pytest.param(["text"], "does not conform to the expected schema", id="text"),
    ],
)
def test_malformed_events_are_refused_whole(
    azure: Azure, grid: EventGrid, topic: PublishedTo, webhook: Webhook, sent: list[Any], said: str
) -> None:
    topic.subscribe(webhook.url)
    plain = grid.plain(f"{topic.name}.westeurope-1.eventgrid.azure.net")
    answer = httpx.post(
        f"{plain}/api/events",
        json=[event(), *sent] if sent else sent,
        headers={"aeg-sas-key": keys_of(topic)[0]},
        trust_env=False,
        verify=False,
    )

    assert answer.status_code == 400
    assert said in answer.json()["error"]["message"]
    assert webhook.events == []


def test_cloud_events_come_batched_structured_and_binary(
    grid: EventGrid, make_topic: Callable[..., PublishedTo], webhook: Webhook
) -> None:
    topic = make_topic("CloudEventSchemaV1_0")
    topic.subscribe(webhook.url)
    plain = f"{grid.plain(f'{topic.name}.westeurope-1.eventgrid.azure.net')}/api/events"
    key = {"aeg-sas-key": keys_of(topic)[0]}
    one = {"specversion": "1.0", "type": "t", "source": "/s", "id": "1", "data": {"a": 1}}
    for kind, content in (
        ("application/cloudevents-batch+json", [one]),
        ("application/cloudevents+json", one),
        ("application/json", one),
    ):
        posted = httpx.post(plain, json=content, headers={**key, "content-type": kind}, trust_env=False, verify=False)
        assert posted.status_code == 200
    binary = {"ce-specversion": "1.0", "ce-type": "t", "ce-source": "/s", "ce-id": "1", "content-type": "text/plain"}
    assert httpx.post(plain, content=b"hello", headers=key | binary, trust_env=False, verify=False).status_code == 200
    refused = httpx.post(
        plain,
        json=[one],
        headers={**key, "content-type": "application/cloudevents+json"},
        trust_env=False,
        verify=False,
    )
    assert grid.deliveries.settle(PATIENCE)

    assert "Token Expected: StartObject, Actual Token Received: StartArray." in refused.json()["error"]["message"]
    found = sorted(webhook.events, key=json.dumps)
    assert found[:3] == [one] * 3 or one in found
    assert {"specversion": "1.0", "type": "t", "source": "/s", "id": "1", "datacontenttype": "text/plain"} | {
        "data_base64": "aGVsbG8="
    } in webhook.events


@pytest.mark.parametrize("size", [1_048_577, 1_536_001])
def test_what_is_too_large_is_refused(topic: PublishedTo, size: int) -> None:
    large = EventGridEvent(subject="s", event_type="t", data={"text": "x" * size}, data_version="1")

    with pytest.raises(HttpResponseError, match="The maximum size") as refused:
        topic.publisher().send(large)
    assert refused.value.status_code == 413


def test_a_fault_is_told_as_a_topic_tells_errors(azure: Azure, topic: PublishedTo) -> None:
    azure.emulator.faults.set(
        Fault(
            matching="eventgrid/events.publish",
            refused=Refused("RESOURCE_EXHAUSTED", "too many", retry_after_seconds=7),
        )
    )
    plain = azure.cloud.event_grid.plain(f"{topic.name}.westeurope-1.eventgrid.azure.net")
    answer = httpx.post(f"{plain}/api/events", json=[event()], trust_env=False, verify=False)

    assert (answer.status_code, answer.headers["retry-after"]) == (429, "7")
    assert answer.json()["error"]["code"] == "TooManyRequests"


def test_a_lost_response_has_published_all_the_same(
    azure: Azure, grid: EventGrid, topic: PublishedTo, webhook: Webhook
) -> None:
    topic.subscribe(webhook.url)
    plain = grid.plain(f"{topic.name}.westeurope-1.eventgrid.azure.net")
    azure.emulator.faults.set(Fault(matching="eventgrid/events.publish", lose_response=True))
    with pytest.raises(httpx.TransportError):
        httpx.post(
            f"{plain}/api/events",
            json=[event()],
            headers={"aeg-sas-key": keys_of(topic)[0]},
            trust_env=False,
            verify=False,
        )
    assert grid.deliveries.settle(PATIENCE)

    assert len(webhook.events) == 1


def test_what_is_not_emulated_is_refused_by_name(azure: Azure, grid: EventGrid, topic: PublishedTo) -> None:
    plain = grid.plain(f"{topic.name}.westeurope-1.eventgrid.azure.net")
    answer = httpx.get(f"{plain}/api/other", trust_env=False, verify=False)

    assert answer.status_code == 501
    assert answer.json()["error"]["message"] == "GET /api/other is not emulated"
    nowhere = httpx.post(
        f"{grid.plain('nowhere.westeurope-1.eventgrid.azure.net')}/api/events", trust_env=False, verify=False
    )
    assert nowhere.status_code == 404
