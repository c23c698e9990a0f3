from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from azure.core.credentials import AzureKeyCredential
from azure.core.messaging import CloudEvent
from azure.eventgrid import EventGridConsumerClient, EventGridPublisherClient
from azure.identity import ClientSecretCredential
from azure.mgmt.eventgrid import EventGridManagementClient
from azure.mgmt.eventgrid.models import (
    EventSubscription,
    Namespace,
    NamespaceTopic,
    Subscription,
    Topic,
    WebHookEventSubscriptionDestination,
)
from starlette.responses import Response

from cloudmlops.emulators.azure import azureml_emulator
from cloudmlops.emulators.azure.cloud import SUBSCRIPTION, AzureCloud
from cloudmlops.emulators.azure.eventgrid.grid import EventGrid
from cloudmlops.emulators.core.clock import Clock

from .conftest import PATIENCE, Received, Webhook
from .test_deliveries import down
from .test_handshakes import silent
from .test_topics import EVENT

GROUP = "kept"


@dataclass
class Running:
    """An emulator with a kept state."""

    grid: EventGrid
    clock: Clock
    manage: EventGridManagementClient

    def topic(self) -> Any:
        return self.manage.topics.begin_create_or_update(GROUP, "topic", Topic(location="westeurope")).result()

    def publish(self) -> None:
        endpoint = self.manage.topics.get(GROUP, "topic").endpoint
        key = self.manage.topics.list_shared_access_keys(GROUP, "topic").key1
        assert endpoint is not None
        assert key is not None
        EventGridPublisherClient(endpoint, AzureKeyCredential(key)).send(EVENT)
        assert self.grid.deliveries.settle(PATIENCE)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], AbstractContextManager[Running]]:
    """Runs an emulator; its clock stands still."""

    @contextmanager
    def running() -> Iterator[Running]:
        with azureml_emulator(state=tmp_path / "state") as emulator:
            for name, value in emulator.environment().items():
                monkeypatch.setenv(name, value)
            emulator.clock.freeze()
            cloud = emulator.cloud(AzureCloud)
            who = cloud.tokens.directory.principals[0]
            credential = ClientSecretCredential(cloud.tokens.directory.tenant, who.client_id, who.secret)
            yield Running(cloud.event_grid, emulator.clock, EventGridManagementClient(credential, SUBSCRIPTION))

    return running


def hooked(url: str) -> EventSubscription:
    return EventSubscription(destination=WebHookEventSubscriptionDestination(endpoint_url=url))


def test_a_delivery_that_failed_is_tried_again_after_a_restart(
    webhook: Webhook, run: Callable[[], AbstractContextManager[Running]]
) -> None:
    with run() as one:
        topic = one.topic()
        one.manage.event_subscriptions.begin_create_or_update(topic.id, "hooked", hooked(webhook.url)).result()
        webhook.answers = down(500)
        one.publish()
    webhook.answers = lambda _: None
    with run() as other:
        pending = other.grid.deliveries.pending()
        other.clock.advance(timedelta(seconds=11))
        left = other.grid.deliveries.pending()

    assert [one.attempts for one in pending] == [1]
    assert left == []
    assert [one.headers["aeg-delivery-count"] for one in webhook.notifications] == ["0", "1"]


def test_a_webhook_that_answers_by_hand_may_do_so_after_a_restart(
    webhook: Webhook, run: Callable[[], AbstractContextManager[Running]]
) -> None:
    webhook.answers = silent
    with run() as one:
        topic = one.topic()
        making = one.manage.event_subscriptions.begin_create_or_update(
            topic.id, "hooked", hooked(webhook.url), polling=False
        )
        making.result()
        assert one.grid.deliveries.settle(PATIENCE)
    with run() as other:
        before = other.manage.event_subscriptions.get(topic.id, "hooked").provisioning_state
        visited = httpx.get(webhook.got[0].content[0]["data"]["validationUrl"], verify=False)
        after = other.manage.event_subscriptions.get(topic.id, "hooked").provisioning_state

    assert (before, visited.status_code, after) == ("AwaitingManualAction", 200, "Succeeded")


def test_a_visit_is_too_late_after_a_restart_too(
    webhook: Webhook, run: Callable[[], AbstractContextManager[Running]]
) -> None:
    webhook.answers = lambda _: Response()
    with run() as one:
        topic = one.topic()
        one.manage.event_subscriptions.begin_create_or_update(topic.id, "hooked", hooked(webhook.url), polling=False)
        assert one.grid.deliveries.settle(PATIENCE)
    with run() as other:
        other.clock.advance(timedelta(minutes=10))
        state = other.manage.event_subscriptions.get(topic.id, "hooked").provisioning_state

    assert state == "Failed"


def test_what_waits_in_a_queue_and_its_locks_survive_a_restart(
    run: Callable[[], AbstractContextManager[Running]],
) -> None:
    def consumer(manage: EventGridManagementClient) -> EventGridConsumerClient:
        key = manage.namespaces.list_shared_access_keys(GROUP, "namespace").key1
        assert key is not None
        endpoint = "https://namespace.westeurope-1.eventgrid.azure.net"
        credential = AzureKeyCredential(key)
        EventGridPublisherClient(endpoint, credential, namespace_topic="news").send(
            CloudEvent(source="/s", type="t", data={})
        )
        return EventGridConsumerClient(endpoint, credential, namespace_topic="news", subscription="readers")

    with run() as one:
        one.manage.namespaces.begin_create_or_update(GROUP, "namespace", Namespace(location="westeurope")).result()
        one.manage.namespace_topics.begin_create_or_update(GROUP, "namespace", "news", NamespaceTopic()).result()
        one.manage.namespace_topic_event_subscriptions.begin_create_or_update(
            GROUP, "namespace", "news", "readers", Subscription()
        ).result()
        (first,) = consumer(one.manage).receive()
    with run() as other:
        again = consumer(other.manage)
        (second,) = again.receive(max_events=5)
        done = again.acknowledge(lock_tokens=[first.broker_properties.lock_token])
        other.clock.advance(timedelta(seconds=60))
        (third,) = again.receive(max_events=5)

    assert done.succeeded_lock_tokens == [first.broker_properties.lock_token]
    assert second.event.id != first.event.id
    assert (third.event.id, third.broker_properties.delivery_count) == (second.event.id, 2)


def test_a_webhook_that_was_being_asked_is_asked_again_after_a_restart(
    webhook: Webhook, run: Callable[[], AbstractContextManager[Running]]
) -> None:
    asked, go_on = threading.Event(), threading.Event()

    def slow(_: Received) -> Response | None:
        asked.set()
        go_on.wait(PATIENCE.total_seconds())
        return None

    webhook.answers = slow
    with run() as one:
        topic = one.topic()
        one.clock.resume()
        one.manage.event_subscriptions.begin_create_or_update(topic.id, "hooked", hooked(webhook.url), polling=False)
        assert asked.wait(PATIENCE.total_seconds())
    go_on.set()
    webhook.answers = lambda _: None
    with run() as other:
        assert other.grid.deliveries.settle(PATIENCE)
        state = other.manage.event_subscriptions.get(topic.id, "hooked").provisioning_state

    assert state == "Succeeded"
