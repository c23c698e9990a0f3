from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

import httpx
import jwt
import pytest
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.eventgrid import EventGridEvent
from azure.mgmt.eventgrid import EventGridManagementClient
from azure.mgmt.eventgrid.models import (
    DynamicDeliveryAttributeMapping,
    EventSubscription,
    EventSubscriptionFilter,
    EventSubscriptionUpdateParameters,
    RetryPolicy,
    StaticDeliveryAttributeMapping,
    StorageQueueEventSubscriptionDestination,
    WebHookEventSubscriptionDestination,
)
from starlette.responses import JSONResponse, Response

from cloudmlops.emulators.azure.eventgrid.grid import EventGrid
from cloudmlops.emulators.azure.eventgrid.identity import APPLICATION
from cloudmlops.emulators.core.faults import Fault, Refused

from .conftest import PATIENCE, PublishedTo, Received, Webhook
from .test_topics import EVENT

if TYPE_CHECKING:
    from tests.emulators.azure.conftest import Azure


def made_by_hand(topic: PublishedTo, url: str, schema: str) -> None:
    """Begin a subscription, and wait for nothing."""
    info = EventSubscription(
        destination=WebHookEventSubscriptionDestination(endpoint_url=url), event_delivery_schema=schema
    )
    topic.manage.event_subscriptions.begin_create_or_update(topic.id, "by-hand", info, polling=False).result()


def state_of(topic: PublishedTo) -> str | None:
    return topic.manage.event_subscriptions.get(topic.id, "by-hand").provisioning_state


def silent(_: Received) -> Response:
    return Response()


def test_a_code_that_is_answered_makes_the_subscription_good(topic: PublishedTo, webhook: Webhook) -> None:
    made = topic.subscribe(webhook.url)

    (asked,) = webhook.got
    (event,) = asked.content
    assert made.provisioning_state == "Succeeded"
    assert asked.headers["aeg-event-type"] == "SubscriptionValidation"
    assert event["eventType"] == "Microsoft.EventGrid.SubscriptionValidationEvent"
    assert event["subject"] == ""
    assert set(event["data"]) == {"validationCode", "validationUrl"}
    assert set(event) == {
        "id",
        "topic",
        "subject",
        "data",
        "eventType",
        "eventTime",
        "metadataVersion",
        "dataVersion",
    }


def test_an_allowed_origin_makes_the_subscription_good(topic: PublishedTo, webhook: Webhook) -> None:
    made = topic.subscribe(webhook.url, event_delivery_schema="CloudEventSchemaV1_0")

    (asked,) = webhook.got
    assert made.provisioning_state == "Succeeded"
    assert asked.method == "OPTIONS"
    assert asked.headers["webhook-request-origin"] == "eventgrid.azure.net"


@pytest.mark.parametrize("schema", ["EventGridSchema", "CloudEventSchemaV1_0"])
def test_a_visit_at_the_address_makes_the_subscription_good(
    azure: Azure, grid: EventGrid, topic: PublishedTo, webhook: Webhook, schema: str
) -> None:
    webhook.answers = silent
    made_by_hand(topic, webhook.url, schema)
    assert grid.deliveries.settle(PATIENCE)
    before = state_of(topic)
    topic.publisher().send(EVENT)
    (asked,) = webhook.got
    address = (
        asked.headers["webhook-request-callback"]
        if schema == "CloudEventSchemaV1_0"
        else asked.content[0]["data"]["validationUrl"]
    )
    visited = httpx.get(address, verify=False)
    again = httpx.get(address, verify=False)

    assert before == "AwaitingManualAction"
    assert (visited.status_code, again.status_code) == (200, 400)
    assert state_of(topic) == "Succeeded"
    topic.publisher().send(EVENT)
    assert grid.deliveries.settle(PATIENCE)
    assert len(webhook.events) == 1, "what was published before is not delivered"


def test_a_webhook_may_visit_the_address_before_it_answers(
    grid: EventGrid, topic: PublishedTo, webhook: Webhook
) -> None:
    visits = []

    def visit(got: Received) -> Response:
        visits.append(httpx.get(got.content[0]["data"]["validationUrl"], verify=False).status_code)
        return Response()

    webhook.answers = visit
    made = topic.subscribe(webhook.url)
    assert grid.deliveries.settle(PATIENCE)

    assert visits == [200]
    assert made.provisioning_state == "Succeeded"


def test_a_visit_after_ten_minutes_is_too_late(
    azure: Azure,
    grid: EventGrid,
    topic: PublishedTo,
    webhook: Webhook,
    frozen: Callable[[timedelta], None],
) -> None:
    webhook.answers = silent
    made_by_hand(topic, webhook.url, "EventGridSchema")
    assert grid.deliveries.settle(PATIENCE)
    frozen(timedelta(minutes=9, seconds=59))
    nearly = state_of(topic)
    frozen(timedelta(seconds=1))

    assert nearly == "AwaitingManualAction"
    assert state_of(topic) == "Failed"
    assert httpx.get(webhook.got[0].content[0]["data"]["validationUrl"], verify=False).status_code == 400


@pytest.mark.parametrize(("schema", "method"), [("EventGridSchema", "POST"), ("CloudEventSchemaV1_0", "OPTIONS")])
@pytest.mark.parametrize("status", [403, 404, 500])
def test_a_webhook_that_refuses_fails_the_subscription(
    topic: PublishedTo, webhook: Webhook, schema: str, method: str, status: int
) -> None:
    webhook.answers = lambda _: Response(status_code=status)

    with pytest.raises(HttpResponseError, match=rf"handshake failed for {webhook.url[:24]}.*Http {method} .* {status}"):
        topic.subscribe(webhook.url, event_delivery_schema=schema)
    assert topic.manage.event_subscriptions.get(topic.id, "hooked").provisioning_state == "Failed"


def test_a_webhook_that_never_answers_fails_the_subscription(
    azure: Azure, topic: PublishedTo, webhook: Webhook
) -> None:
    azure.emulator.faults.set(Fault(matching="eventgrid/validate", drop=True))

    with pytest.raises(HttpResponseError, match="response code Unknown"):
        topic.subscribe(webhook.url)


def test_a_wrong_code_is_no_answer(grid: EventGrid, topic: PublishedTo, webhook: Webhook) -> None:
    webhook.answers = lambda _: JSONResponse({"validationResponse": "another"})
    made_by_hand(topic, webhook.url, "EventGridSchema")
    assert grid.deliveries.settle(PATIENCE)

    assert state_of(topic) == "AwaitingManualAction"


@pytest.mark.parametrize(
    "url", ["https://example.com/hook", "http://example.com/hook", "https://127.0.0.1:1/hook", "http://10.0.0.1/hook"]
)
def test_webhooks_of_other_machines_are_refused_by_name(topic: PublishedTo, url: str) -> None:
    with pytest.raises(HttpResponseError, match=f"not to {url}") as refused:
        topic.subscribe(url)
    assert refused.value.status_code == 501


def test_other_destinations_are_refused_by_name(topic: PublishedTo) -> None:
    queue = StorageQueueEventSubscriptionDestination(resource_id="/subscriptions/s/storage", queue_name="q")

    with pytest.raises(HttpResponseError, match="destinations of type StorageQueue are not emulated") as refused:
        topic.subscribe("", destination=queue)
    assert refused.value.status_code == 501


def test_a_subscription_hides_the_webhooks_secrets_but_for_who_asks(
    topic: PublishedTo, webhook: Webhook, manage: EventGridManagementClient
) -> None:
    topic.subscribe(webhook.url, labels=["test"], retry_policy=RetryPolicy(max_delivery_attempts=3))
    shown = manage.event_subscriptions.get(topic.id, "hooked")

    assert isinstance(shown.destination, WebHookEventSubscriptionDestination)
    assert shown.destination.endpoint_url is None
    assert shown.destination.endpoint_base_url == webhook.url.partition("?")[0]
    assert manage.event_subscriptions.get_full_url(topic.id, "hooked").endpoint_url == webhook.url
    assert shown.labels == ["test"]
    assert shown.retry_policy is not None
    assert shown.retry_policy.max_delivery_attempts == 3
    assert shown.retry_policy.event_time_to_live_in_minutes == 1440
    assert [one.name for one in manage.event_subscriptions.list_by_resource(*listing(topic))] == ["hooked"]


def listing(topic: PublishedTo) -> tuple[str, str, str, str]:
    return topic.azure.group, "Microsoft.EventGrid", "topics", topic.name


def test_a_subscription_that_changes_is_validated_anew(
    topic: PublishedTo, webhook: Webhook, manage: EventGridManagementClient
) -> None:
    topic.subscribe(webhook.url)
    changed = manage.event_subscriptions.begin_update(
        topic.id,
        "hooked",
        EventSubscriptionUpdateParameters(filter=EventSubscriptionFilter(subject_ends_with=".jpg")),
    ).result()

    assert changed.filter is not None
    assert changed.filter.subject_ends_with == ".jpg"
    assert changed.provisioning_state == "Succeeded"
    assert len(webhook.got) == 2


@pytest.mark.parametrize(
    "more",
    [
        pytest.param({"retry_policy": RetryPolicy(max_delivery_attempts=31)}, id="attempts"),
        pytest.param({"retry_policy": RetryPolicy(event_time_to_live_in_minutes=0)}, id="minutes"),
        pytest.param({"expiration_time_utc": "2020-01-01T00:00:00Z"}, id="expired"),
        pytest.param({"event_delivery_schema": "CustomInputSchema"}, id="schema"),
    ],
)
def test_what_a_subscription_says_has_limits(topic: PublishedTo, webhook: Webhook, more: dict[str, object]) -> None:
    with pytest.raises(HttpResponseError):
        topic.subscribe(webhook.url, **more)
    assert webhook.got == []


def test_topics_of_cloud_events_deliver_nothing_else(make_topic: Callable[..., PublishedTo], webhook: Webhook) -> None:
    topic = make_topic("CloudEventSchemaV1_0")

    with pytest.raises(HttpResponseError, match="not supported for topics with input schema"):
        topic.subscribe(webhook.url, event_delivery_schema="EventGridSchema")


def test_webhooks_behind_entra_are_shown_a_token(
    azure: Azure, grid: EventGrid, topic: PublishedTo, webhook: Webhook
) -> None:
    destination = WebHookEventSubscriptionDestination(
        endpoint_url=webhook.url,
        azure_active_directory_application_id_or_uri="api://receiver",
        azure_active_directory_tenant_id=azure.cloud.tokens.directory.tenant,
    )
    topic.subscribe("", destination=destination)
    topic.publisher().send(EVENT)
    assert grid.deliveries.settle(PATIENCE)

    for one in webhook.got:
        scheme, _, token = one.headers["authorization"].partition(" ")
        claims = jwt.decode(token, options={"verify_signature": False})
        assert (scheme, claims["aud"], claims["appid"]) == ("Bearer", "api://receiver", APPLICATION)


def test_headers_of_ones_own_come_with_each_event(grid: EventGrid, topic: PublishedTo, webhook: Webhook) -> None:
    destination = WebHookEventSubscriptionDestination(
        endpoint_url=webhook.url,
        delivery_attribute_mappings=[
            StaticDeliveryAttributeMapping(name="x-secret", value="hidden", is_secret=True),
            DynamicDeliveryAttributeMapping(name="x-price", source_field="data.price"),
        ],
    )
    shown = topic.subscribe("", destination=destination)
    topic.publisher().send(EVENT)
    assert grid.deliveries.settle(PATIENCE)

    (one,) = webhook.notifications
    assert (one.headers["x-secret"], one.headers["x-price"]) == ("hidden", "3")
    assert isinstance(shown.destination, WebHookEventSubscriptionDestination)
    assert shown.destination.delivery_attribute_mappings is not None
    assert shown.destination.delivery_attribute_mappings[0].value is None  # type: ignore[attr-defined]


def test_a_fault_answers_a_handshake_in_the_webhooks_place(azure: Azure, topic: PublishedTo, webhook: Webhook) -> None:
    azure.emulator.faults.set(Fault(matching="eventgrid/validate", refused=Refused("UNAVAILABLE", "down")))

    with pytest.raises(HttpResponseError, match="503"):
        topic.subscribe(webhook.url)


def test_a_subscription_retires_at_its_time(
    azure: Azure,
    grid: EventGrid,
    topic: PublishedTo,
    webhook: Webhook,
    frozen: Callable[[timedelta], None],
) -> None:
    topic.subscribe(webhook.url, expiration_time_utc=azure.emulator.clock.now() + timedelta(hours=1))
    frozen(timedelta(minutes=59))
    topic.publisher().send(EVENT)
    assert grid.deliveries.settle(PATIENCE)
    frozen(timedelta(minutes=1))
    topic.publisher().send(EVENT)
    assert grid.deliveries.settle(PATIENCE)

    assert len(webhook.events) == 1
    assert list(topic.manage.event_subscriptions.list_by_resource(*listing(topic))) == []
    with pytest.raises(ResourceNotFoundError):
        topic.manage.event_subscriptions.get(topic.id, "hooked")


@pytest.mark.parametrize("what", ["subscription", "topic"])
def test_a_webhook_is_told_that_its_subscription_was_removed(
    grid: EventGrid, topic: PublishedTo, webhook: Webhook, what: str
) -> None:
    made = topic.subscribe(webhook.url)
    if what == "topic":
        topic.manage.topics.begin_delete(topic.azure.group, topic.name).result()
    else:
        topic.manage.event_subscriptions.begin_delete(topic.id, "hooked").result()
    assert grid.deliveries.settle(PATIENCE)

    told = webhook.got[-1]
    assert told.headers["aeg-event-type"] == "SubscriptionDeletion"
    assert told.content[0]["eventType"] == "Microsoft.EventGrid.SubscriptionDeletedEvent"
    assert told.content[0]["data"] == {"eventSubscriptionId": made.id}


def test_what_cannot_be_said_in_a_header_is_a_failure(
    grid: EventGrid, topic: PublishedTo, webhook: Webhook, frozen: Callable[[timedelta], None]
) -> None:
    destination = WebHookEventSubscriptionDestination(
        endpoint_url=webhook.url,
        delivery_attribute_mappings=[DynamicDeliveryAttributeMapping(name="x-subject", source_field="subject")],
    )
    topic.subscribe("", destination=destination)
    topic.publisher().send(EventGridEvent(subject="a\nb", event_type="t", data={}, data_version="1"))
    assert grid.deliveries.settle(PATIENCE)

    (pending,) = grid.deliveries.pending()
    assert pending.attempts == 1
    topic.manage.event_subscriptions.begin_delete(topic.id, "hooked").result()
