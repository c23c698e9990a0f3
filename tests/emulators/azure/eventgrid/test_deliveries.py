from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from azure.eventgrid import EventGridEvent
from azure.mgmt.eventgrid.models import (
    RetryPolicy,
    StorageBlobDeadLetterDestination,
)
from hypothesis import given
from hypothesis import strategies as st
from starlette.responses import Response

from cloudmlops.emulators.azure.eventgrid.grid import EventGrid
from cloudmlops.emulators.azure.eventgrid.retrying import SCHEDULE, TIMED_OUT, UNREACHABLE, outcome, wait_after
from cloudmlops.emulators.core.faults import Fault, Refused

from .conftest import PATIENCE, PublishedTo, Received, Webhook

if TYPE_CHECKING:
    from tests.emulators.azure.conftest import Azure

ACCOUNT = "deadletters"
CONTAINER = "undelivered"


def event(subject: str = "orders/1") -> EventGridEvent:
    return EventGridEvent(subject=subject, event_type="Shop.Ordered", data={"price": 3}, data_version="1")


def down(status: int) -> Callable[[Received], Response | None]:
    """Take part in handshakes, and answer events with a status."""
    return lambda got: Response(status_code=status) if got.headers.get("aeg-event-type") == "Notification" else None


def publish(grid: EventGrid, topic: PublishedTo, *events: EventGridEvent) -> None:
    topic.publisher().send(list(events) or [event()])
    assert grid.deliveries.settle(PATIENCE)


@pytest.fixture
def letters(azure: Azure) -> StorageBlobDeadLetterDestination:
    resource = (
        f"/subscriptions/{azure.subscription}/resourceGroups/{azure.group}/providers/Microsoft.Storage/"
        f"storageAccounts/{ACCOUNT}"
    )
    azure.cloud.blobs.make_account(ACCOUNT, resource)
    azure.cloud.blobs.make_container(ACCOUNT, CONTAINER)
    return StorageBlobDeadLetterDestination(resource_id=resource, blob_container_name=CONTAINER)


def stored(azure: Azure, subscription: str) -> list[tuple[str, dict[str, Any]]]:
    """Return names and contents of a subscription's dead letters."""
    found = []
    for name in azure.cloud.blobs.list(ACCOUNT, CONTAINER, f"{subscription.upper()}/"):
        (one,) = json.loads(azure.cloud.blobs.read(ACCOUNT, CONTAINER, name))
        found.append((name, one))
    return found


def test_a_failed_delivery_is_tried_again_on_the_documented_schedule(
    grid: EventGrid, topic: PublishedTo, webhook: Webhook, frozen: Callable[[timedelta], None]
) -> None:
    grid.deliveries.jitter = 0
    topic.subscribe(webhook.url)
    webhook.answers = down(500)
    publish(grid, topic)
    frozen(timedelta(days=2))

    moments = [one.at for one in webhook.notifications]
    waits = [later - earlier for earlier, later in itertools.pairwise(moments)]
    # What is older than 24 hours when it is due is not tried any more.
    assert waits == list(SCHEDULE)
    assert [one.headers["aeg-delivery-count"] for one in webhook.notifications] == [str(n) for n in range(len(moments))]
    assert grid.deliveries.pending() == []


@given(st.integers(1, 40), st.sampled_from([404, 408, 500, 503, TIMED_OUT, UNREACHABLE]), st.uuids())
def test_jitter_is_small_and_the_same_each_time(attempts: int, status: int, seed: object) -> None:
    base = wait_after(attempts, status, seed="", jitter=0)
    jittered = wait_after(attempts, status, seed=str(seed), jitter=0.1)

    assert base <= jittered <= base * 1.1
    assert jittered == wait_after(attempts, status, seed=str(seed), jitter=0.1)
    assert base >= {408: timedelta(minutes=2), 503: timedelta(seconds=30)}.get(status, timedelta(seconds=10))


def test_a_webhook_that_is_down_for_an_hour_gets_the_event_in_the_end(
    grid: EventGrid, topic: PublishedTo, webhook: Webhook, frozen: Callable[[timedelta], None]
) -> None:
    topic.subscribe(webhook.url)
    webhook.answers = down(503)
    publish(grid, topic)
    frozen(timedelta(hours=1))
    tried = len(webhook.notifications)
    webhook.answers = lambda _: None
    frozen(timedelta(hours=1))

    assert tried == 7
    assert len(webhook.notifications) == tried + 1
    assert len({one["id"] for one in webhook.events}) == 1
    assert grid.deliveries.pending() == []
    frozen(timedelta(days=1))
    assert len(webhook.notifications) == tried + 1


@pytest.mark.parametrize("status", [200, 201, 202, 203, 204])
def test_these_answers_are_successes(grid: EventGrid, topic: PublishedTo, webhook: Webhook, status: int) -> None:
    topic.subscribe(webhook.url)
    webhook.answers = down(status)
    publish(grid, topic)

    assert grid.deliveries.pending() == []


@pytest.mark.parametrize("status", [205, 301, 404, 429, 500])
def test_all_others_are_failures(grid: EventGrid, topic: PublishedTo, webhook: Webhook, status: int) -> None:
    topic.subscribe(webhook.url)
    webhook.answers = down(status)
    publish(grid, topic)

    (pending,) = grid.deliveries.pending(f"{topic.id}/providers/Microsoft.EventGrid/eventSubscriptions/hooked")
    assert (pending.attempts, pending.status) == (1, status)
    topic.manage.event_subscriptions.begin_delete(topic.id, "hooked").result()
    assert grid.deliveries.pending() == [], "a subscription that is removed takes what is under way with it"


@pytest.mark.parametrize(
    ("status", "word"), [(400, "BadRequest"), (401, "Unauthorized"), (403, "Forbidden"), (413, "PayloadTooLarge")]
)
def test_what_no_retry_would_change_is_a_dead_letter_after_five_minutes(
    azure: Azure,
    grid: EventGrid,
    topic: PublishedTo,
    webhook: Webhook,
    letters: StorageBlobDeadLetterDestination,
    frozen: Callable[[timedelta], None],
    status: int,
    word: str,
) -> None:
    name = f"in-vain-{status}"
    topic.subscribe(webhook.url, name, dead_letter_destination=letters)
    webhook.answers = down(status)
    sent = event()
    publish(grid, topic, sent)
    at = azure.emulator.clock.now()
    frozen(timedelta(minutes=4, seconds=59))
    before = stored(azure, name)
    frozen(timedelta(seconds=1))

    assert before == []
    ((blob, letter),) = stored(azure, name)
    later = at + timedelta(minutes=5)
    assert blob.startswith(f"{name.upper()}/{later.year}/{later.month}/{later.day}/{later.hour}/")
    assert len(webhook.notifications) == 1
    assert (letter["id"], letter["data"]) == (str(sent.id), {"price": 3})
    assert (letter["deliveryAttempts"], letter["lastDeliveryOutcome"]) == (1, word)
    assert letter["lastHttpStatusCode"] == status
    assert letter["deadLetterReason"].startswith("UndeliverableDueToHttp")
    assert status != 400 or letter["deadLetterReason"] == "UndeliverableDueToHttpBadRequest", "as users quote it"
    assert datetime.fromisoformat(letter["publishTime"]) == at
    assert datetime.fromisoformat(letter["lastDeliveryAttemptTime"]) == at


def test_without_a_place_for_dead_letters_the_event_is_dropped(
    grid: EventGrid, topic: PublishedTo, webhook: Webhook
) -> None:
    topic.subscribe(webhook.url)
    webhook.answers = down(400)
    publish(grid, topic)

    assert grid.deliveries.pending() == []


@pytest.mark.parametrize("schema", ["EventGridSchema", "CloudEventSchemaV1_0"])
def test_after_the_last_attempt_the_event_is_a_dead_letter(
    azure: Azure,
    grid: EventGrid,
    topic: PublishedTo,
    webhook: Webhook,
    letters: StorageBlobDeadLetterDestination,
    frozen: Callable[[timedelta], None],
    schema: str,
) -> None:
    name = f"often-{schema.lower().removesuffix('v1_0')}"
    policy = RetryPolicy(max_delivery_attempts=3, event_time_to_live_in_minutes=1440)
    topic.subscribe(
        webhook.url, name, dead_letter_destination=letters, retry_policy=policy, event_delivery_schema=schema
    )
    webhook.answers = lambda got: (
        Response(status_code=404)
        if got.method == "POST" and (got.headers["aeg-event-type"] == "Notification")
        else None
    )
    publish(grid, topic)
    frozen(timedelta(minutes=10))

    ((_, letter),) = stored(azure, name)
    told = {key.lower(): value for key, value in letter.items()}
    assert len(webhook.notifications) == told["deliveryattempts"] == 3
    assert (told["deadletterreason"], told["lastdeliveryoutcome"]) == ("MaxDeliveryAttemptsExceeded", "NotFound")
    assert ("deadletterreason" in letter) is (schema == "CloudEventSchemaV1_0")


def test_an_event_that_is_too_old_when_it_is_due_is_not_tried_any_more(
    azure: Azure,
    grid: EventGrid,
    topic: PublishedTo,
    webhook: Webhook,
    letters: StorageBlobDeadLetterDestination,
    frozen: Callable[[timedelta], None],
) -> None:
    # The documentation's own example: six attempts at most before thirty minutes have passed.
    policy = RetryPolicy(max_delivery_attempts=10, event_time_to_live_in_minutes=30)
    topic.subscribe(webhook.url, "too-old", dead_letter_destination=letters, retry_policy=policy)
    webhook.answers = down(500)
    publish(grid, topic)
    frozen(timedelta(hours=2))

    ((_, letter),) = stored(azure, "too-old")
    assert len(webhook.notifications) == letter["deliveryAttempts"] == 6


def test_dead_letters_wait_for_their_store(
    azure: Azure,
    grid: EventGrid,
    topic: PublishedTo,
    webhook: Webhook,
    letters: StorageBlobDeadLetterDestination,
    frozen: Callable[[timedelta], None],
) -> None:
    letters.blob_container_name = f"later-{uuid4().hex}"
    topic.subscribe(webhook.url, "waiting", dead_letter_destination=letters)
    webhook.answers = down(400)
    publish(grid, topic)
    frozen(timedelta(hours=1))
    azure.cloud.blobs.make_container(ACCOUNT, letters.blob_container_name)
    frozen(timedelta(minutes=5))

    assert len(azure.cloud.blobs.list(ACCOUNT, letters.blob_container_name)) == 1
    assert grid.deliveries.pending() == []


def test_dead_letters_that_find_no_store_are_dropped_after_four_hours(
    grid: EventGrid,
    topic: PublishedTo,
    webhook: Webhook,
    letters: StorageBlobDeadLetterDestination,
    frozen: Callable[[timedelta], None],
) -> None:
    letters.blob_container_name = f"never-{uuid4().hex}"
    topic.subscribe(webhook.url, "never", dead_letter_destination=letters)
    webhook.answers = down(400)
    publish(grid, topic)
    frozen(timedelta(hours=3, minutes=59))
    before = len(grid.deliveries.pending())
    frozen(timedelta(minutes=6))

    assert (before, grid.deliveries.pending()) == (1, [])


def test_a_lost_answer_makes_a_duplicate(
    azure: Azure, grid: EventGrid, topic: PublishedTo, webhook: Webhook, frozen: Callable[[timedelta], None]
) -> None:
    topic.subscribe(webhook.url)
    azure.emulator.faults.set(Fault(matching="eventgrid/deliver", lose_response=True))
    publish(grid, topic)
    frozen(timedelta(seconds=11))

    first, second = webhook.events
    assert first == second
    assert [one.headers["aeg-delivery-count"] for one in webhook.notifications] == ["0", "1"]


def test_a_dropped_delivery_comes_after_later_ones(
    azure: Azure, grid: EventGrid, topic: PublishedTo, webhook: Webhook, frozen: Callable[[timedelta], None]
) -> None:
    topic.subscribe(webhook.url)
    azure.emulator.faults.set(Fault(matching="eventgrid/deliver", drop=True))
    publish(grid, topic, event("first"))
    publish(grid, topic, event("second"))
    frozen(timedelta(seconds=11))

    assert [one["subject"] for one in webhook.events] == ["second", "first"]


def test_a_fault_answers_in_the_webhooks_place(
    azure: Azure, grid: EventGrid, topic: PublishedTo, webhook: Webhook, frozen: Callable[[timedelta], None]
) -> None:
    topic.subscribe(webhook.url)
    azure.emulator.faults.set(Fault(matching="eventgrid/deliver", refused=Refused("UNAVAILABLE", "down"), times=2))
    publish(grid, topic)

    assert webhook.notifications == []
    frozen(timedelta(minutes=2))
    assert len(webhook.notifications) == 1


def test_a_webhook_that_takes_too_long_has_failed(
    grid: EventGrid, topic: PublishedTo, webhook: Webhook, frozen: Callable[[timedelta], None]
) -> None:
    topic.subscribe(webhook.url)
    grid.webhooks.timeout = timedelta(milliseconds=200)
    go_on = threading.Event()

    def slow(_: Received) -> Response | None:
        go_on.wait(PATIENCE.total_seconds())
        return None

    webhook.answers = slow
    publish(grid, topic)
    go_on.set()
    (pending,) = grid.deliveries.pending()

    assert (pending.status, outcome(pending.status)) == (TIMED_OUT, "TimedOut")
    frozen(timedelta(seconds=11))
    assert grid.deliveries.pending() == []


def test_a_webhook_that_nobody_is_at_has_failed(
    grid: EventGrid, topic: PublishedTo, webhook: Webhook, frozen: Callable[[timedelta], None]
) -> None:
    topic.subscribe(webhook.url)
    webhook.stop()
    publish(grid, topic)
    (pending,) = grid.deliveries.pending()

    assert outcome(pending.status) == "SocketError"
    topic.manage.event_subscriptions.begin_delete(topic.id, "hooked").result()
