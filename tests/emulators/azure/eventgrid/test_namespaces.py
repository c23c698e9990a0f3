from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from azure.core.credentials import AzureKeyCredential
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ResourceNotFoundError,
)
from azure.core.messaging import CloudEvent
from azure.eventgrid import EventGridConsumerClient, EventGridPublisherClient
from azure.mgmt.eventgrid import EventGridManagementClient
from azure.mgmt.eventgrid.models import (
    DeadLetterWithResourceIdentity,
    DeliveryConfiguration,
    EventSubscriptionIdentity,
    FiltersConfiguration,
    NamespaceTopicEventSubscriptionDestination,
    QueueInfo,
    StorageBlobDeadLetterDestination,
    StringInFilter,
    Subscription,
    SubscriptionUpdateParameters,
)

from cloudmlops.emulators.azure.eventgrid.grid import EventGrid

from .conftest import PATIENCE, PublishedTo, Pulled
from .test_topics import EVENT

if TYPE_CHECKING:
    from tests.emulators.azure.conftest import Azure

LOCK = timedelta(seconds=60)
SOON = 10
"""Seconds: the shortest time that one can wait for events."""


def event(subject: str = "one", **data: Any) -> CloudEvent:
    return CloudEvent(source="/tests", type="Test.Happened", subject=subject, data=data)


def waiting(pulled: Pulled, grid: EventGrid, name: str = "readers") -> list[int]:
    """Return how often each event that is still in a queue was delivered."""
    return [one.deliveries for one in grid.queues.waiting(f"{pulled.topic_id}/eventSubscriptions/{name}")]


def test_what_is_published_is_received_once_and_gone_when_acknowledged(pulled: Pulled, grid: EventGrid) -> None:
    pulled.subscribe()
    sent = event(price=3)
    pulled.publisher().send(sent)
    consumer = pulled.consumer()
    (received,) = consumer.receive(max_events=10)
    done = consumer.acknowledge(lock_tokens=[received.broker_properties.lock_token])

    assert (received.event.id, received.event.data, received.event.subject) == (sent.id, {"price": 3}, "one")
    assert received.broker_properties.delivery_count == 1
    assert done.succeeded_lock_tokens == [received.broker_properties.lock_token]
    assert done.failed_lock_tokens == []
    assert waiting(pulled, grid) == []


def test_a_batch_comes_in_its_order_and_as_many_at_once_as_are_asked_for(pulled: Pulled) -> None:
    pulled.subscribe()
    pulled.publisher().send([event(str(number)) for number in range(5)])
    consumer = pulled.consumer()

    assert [one.event.subject for one in consumer.receive(max_events=3)] == ["0", "1", "2"]
    assert [one.event.subject for one in consumer.receive(max_events=3)] == ["3", "4"]


def test_each_subscription_has_a_queue_of_its_own(pulled: Pulled) -> None:
    pulled.subscribe("one")
    pulled.subscribe("other")
    pulled.publisher().send(event())

    for name in ("one", "other"):
        assert len(pulled.consumer(name).receive(max_events=5)) == 1


def test_an_event_whose_lock_ended_is_received_again(pulled: Pulled, frozen: Callable[[timedelta], None]) -> None:
    pulled.subscribe(receive_lock_duration_in_seconds=60)
    pulled.publisher().send(event())
    consumer = pulled.consumer()
    (first,) = consumer.receive()
    frozen(LOCK)
    lost = consumer.acknowledge(lock_tokens=[first.broker_properties.lock_token])
    (second,) = consumer.receive()

    (failed,) = lost.failed_lock_tokens
    assert failed.lock_token == first.broker_properties.lock_token
    assert (failed.error.code, failed.error.message) == ("TokenLost", "Token has expired.")
    assert second.broker_properties.delivery_count == 2
    assert second.event.id == first.event.id
    assert second.broker_properties.lock_token != first.broker_properties.lock_token


def test_a_lock_that_is_renewed_lasts_longer(
    pulled: Pulled, grid: EventGrid, frozen: Callable[[timedelta], None]
) -> None:
    pulled.subscribe()
    pulled.publisher().send(event())
    consumer = pulled.consumer()
    (one,) = consumer.receive()
    token = one.broker_properties.lock_token
    frozen(LOCK / 2)
    renewed = consumer.renew_locks(lock_tokens=[token])
    frozen(LOCK - timedelta(seconds=1))
    done = consumer.acknowledge(lock_tokens=[token])

    assert renewed.succeeded_lock_tokens == done.succeeded_lock_tokens == [token]
    assert waiting(pulled, grid) == []


def test_acknowledging_twice_fails_the_second_time(pulled: Pulled) -> None:
    pulled.subscribe()
    pulled.publisher().send([event(), event("two")])
    consumer = pulled.consumer()
    one, two = consumer.receive(max_events=2)
    consumer.acknowledge(lock_tokens=[one.broker_properties.lock_token])
    tokens = [one.broker_properties.lock_token, two.broker_properties.lock_token, "no token"]
    done = consumer.acknowledge(lock_tokens=tokens)

    assert done.succeeded_lock_tokens == [two.broker_properties.lock_token]
    assert [(one.lock_token, one.error.code) for one in done.failed_lock_tokens] == [
        (tokens[0], "TokenLost"),
        ("no token", "BadToken"),
    ]
    assert done.failed_lock_tokens[1].error.message == "Cannot decode lockToken"


@pytest.mark.parametrize("delay", [0, 10, 3600])
def test_what_is_released_can_be_received_again_after_its_delay(
    pulled: Pulled, grid: EventGrid, frozen: Callable[[timedelta], None], delay: int
) -> None:
    pulled.subscribe()
    pulled.publisher().send(event())
    consumer = pulled.consumer()
    (one,) = consumer.receive()
    consumer.release(lock_tokens=[one.broker_properties.lock_token], release_delay=delay or None)
    got: list[Any] = []
    waiter = threading.Thread(target=lambda: got.extend(consumer.receive(max_wait_time=120)))
    waiter.start()
    frozen(timedelta(seconds=delay))
    waiter.join(PATIENCE.total_seconds())

    (again,) = got
    assert again.broker_properties.delivery_count == 2


def test_what_is_rejected_is_gone(pulled: Pulled, grid: EventGrid) -> None:
    pulled.subscribe()
    pulled.publisher().send(event())
    consumer = pulled.consumer()
    (one,) = consumer.receive()
    done = consumer.reject(lock_tokens=[one.broker_properties.lock_token])

    assert done.succeeded_lock_tokens == [one.broker_properties.lock_token]
    assert waiting(pulled, grid) == []


def test_who_waits_gets_an_event_as_soon_as_there_is_one(pulled: Pulled) -> None:
    pulled.subscribe()
    got: list[Any] = []
    waiter = threading.Thread(target=lambda: got.extend(pulled.consumer().receive(max_wait_time=120)))
    waiter.start()
    pulled.publisher().send(event())
    waiter.join(PATIENCE.total_seconds())

    assert len(got) == 1


def test_who_waits_in_vain_gets_nothing_when_the_time_has_passed_on_the_clock(
    pulled: Pulled, azure: Azure, frozen: Callable[[timedelta], None]
) -> None:
    pulled.subscribe()
    azure.emulator.calls.clear()
    got: list[Any] = [None]
    waiter = threading.Thread(target=lambda: got.__setitem__(0, pulled.consumer().receive(max_wait_time=120)))
    waiter.start()
    while waiter.is_alive():
        frozen(timedelta(seconds=120))
        waiter.join(0.05)

    assert got == [[]]


@pytest.mark.parametrize("how", ["locks", "releases"])
def test_an_event_that_was_delivered_often_enough_is_a_dead_letter(
    pulled: Pulled, azure: Azure, grid: EventGrid, frozen: Callable[[timedelta], None], how: str
) -> None:
    pulled.subscribe(max_delivery_count=2, dead_letter_destination_with_resource_identity=letters(azure))
    sent = event(price=3)
    pulled.publisher().send(sent)
    consumer = pulled.consumer()
    for _ in range(2):
        (one,) = consumer.receive()
        if how == "releases":
            consumer.release(lock_tokens=[one.broker_properties.lock_token])
        else:
            frozen(LOCK)
    frozen(timedelta(seconds=1))

    letter = stored(pulled, azure)
    assert waiting(pulled, grid) == []
    assert (letter["id"], letter["data"]) == (sent.id, {"price": 3})
    assert letter["deadletterProperties"]["deliveryattempts"] == 2


def test_an_event_that_nobody_takes_in_time_is_a_dead_letter(
    pulled: Pulled, azure: Azure, grid: EventGrid, frozen: Callable[[timedelta], None]
) -> None:
    pulled.subscribe(
        event_time_to_live=timedelta(minutes=30), dead_letter_destination_with_resource_identity=letters(azure)
    )
    pulled.publisher().send(event())
    frozen(timedelta(minutes=29))
    before = waiting(pulled, grid)
    frozen(timedelta(minutes=1))

    assert (before, waiting(pulled, grid)) == ([0], [])
    assert stored(pulled, azure)["deadletterProperties"]["deliveryattempts"] == 0


def test_what_is_rejected_is_a_dead_letter_where_there_is_a_place(pulled: Pulled, azure: Azure) -> None:
    pulled.subscribe(dead_letter_destination_with_resource_identity=letters(azure))
    pulled.publisher().send(event())
    consumer = pulled.consumer()
    (one,) = consumer.receive()
    consumer.reject(lock_tokens=[one.broker_properties.lock_token])

    told = stored(pulled, azure)["deadletterProperties"]
    assert told["deadletterreason"] == "Undeliverable due to client error"
    assert set(told) == {"deadletterreason", "deliveryattempts", "publishutc", "deliveryattemptutc"}


def letters(azure: Azure) -> DeadLetterWithResourceIdentity:
    group = f"/subscriptions/{azure.subscription}/resourceGroups/{azure.group}"
    resource = f"{group}/providers/Microsoft.Storage/storageAccounts/pulledletters"
    azure.cloud.blobs.make_account("pulledletters", resource)
    azure.cloud.blobs.make_container("pulledletters", "letters")
    return DeadLetterWithResourceIdentity(
        identity=EventSubscriptionIdentity(type="SystemAssigned"),
        dead_letter_destination=StorageBlobDeadLetterDestination(resource_id=resource, blob_container_name="letters"),
    )


def stored(pulled: Pulled, azure: Azure) -> dict[str, Any]:
    (name,) = azure.cloud.blobs.list("pulledletters", "letters", f"{pulled.name}/news/readers/")
    (letter,) = json.loads(azure.cloud.blobs.read("pulledletters", "letters", name))
    found: dict[str, Any] = letter
    return found


def test_a_queue_takes_only_what_its_filters_let_through(pulled: Pulled) -> None:
    only = FiltersConfiguration(
        included_event_types=["Test.Happened"], filters=[StringInFilter(key="data.stage", values=["prod"])]
    )
    pulled.subscribe(filters=only)
    pulled.publisher().send([event("no", stage="dev"), event("yes", stage="PROD")])

    assert [one.event.subject for one in pulled.consumer().receive(max_events=5)] == ["yes"]


def test_bytes_and_binary_mode_come_out_as_they_went_in(pulled: Pulled, grid: EventGrid) -> None:
    pulled.subscribe()
    pulled.publisher().send(CloudEvent(source="/s", type="t", data=b"bytes"))
    host = f"{pulled.name}.westeurope-1.eventgrid.azure.net"
    posted = httpx.post(
        f"{grid.plain(host)}/topics/news:publish?api-version=2024-06-01",
        content=b'{"a": 1}',
        headers={
            "authorization": f"SharedAccessKey {pulled.key.key}",
            "content-type": "application/json",
            "ce-specversion": "1.0",
            "ce-type": "t",
            "ce-source": "/s",
            "ce-id": "7",
        },
        trust_env=False,
        verify=False,
    )
    one, other = pulled.consumer().receive(max_events=2)

    assert posted.json() == {}
    assert one.event.data == b"bytes"
    assert (other.event.id, other.event.data) == ("7", {"a": 1})


def test_the_plain_address_is_an_endpoint_too(pulled: Pulled, grid: EventGrid) -> None:
    pulled.subscribe()
    plain = grid.plain(f"{pulled.name}.westeurope-1.eventgrid.azure.net")
    EventGridPublisherClient(plain, pulled.key, namespace_topic="news").send(event())

    (one,) = pulled.consumer(endpoint=plain).receive()
    assert one.event.subject == "one"


def test_roles_on_data_decide_who_publishes_and_who_receives(pulled: Pulled, azure: Azure) -> None:
    pulled.subscribe()

    def client(name: str) -> EventGridConsumerClient:
        credential = azure.credential(name)
        return EventGridConsumerClient(pulled.endpoint, credential, namespace_topic="news", subscription="readers")

    EventGridPublisherClient(pulled.endpoint, azure.credential("sender"), namespace_topic="news").send(event())
    assert len(client("receiver").receive()) == 1
    for name, act in (
        (
            "receiver",
            EventGridPublisherClient(pulled.endpoint, azure.credential("receiver"), namespace_topic="news").send,
        ),
        ("sender", lambda _: client("sender").receive()),
        ("owner", lambda _: client("owner").receive()),
    ):
        with pytest.raises(HttpResponseError, match="does not have permission") as refused:
            act(event())
        assert (name, refused.value.status_code) == (name, 403)


def test_a_wrong_key_is_refused(pulled: Pulled) -> None:
    with pytest.raises(ClientAuthenticationError):
        EventGridPublisherClient(pulled.endpoint, AzureKeyCredential("AAAA"), namespace_topic="news").send(event())


def test_what_is_not_there_is_told_by_its_name(pulled: Pulled) -> None:
    of_nothing = EventGridConsumerClient(pulled.endpoint, pulled.key, namespace_topic="faketopic", subscription="one")
    with pytest.raises(ResourceNotFoundError, match="Topic 'faketopic' is not found"):
        of_nothing.receive()
    with pytest.raises(ResourceNotFoundError):
        EventGridPublisherClient(pulled.endpoint, pulled.key, namespace_topic="faketopic").send(event())
    with pytest.raises(ResourceNotFoundError, match="Event subscription 'nobody' is not found"):
        pulled.consumer("nobody").receive()


# Recorded answers of the service: query, code, message.
@pytest.mark.parametrize(
    ("query", "code", "message"),
    [
        ("maxEvents=-20", "BadRequest", "Error parsing query parameters: invalid digit found in string"),
        ("maxWaitTime=-20", "BadRequest", "Error parsing query parameters: invalid digit found in string"),
        ("maxWaitTime=121", "ArgumentInvalid", "Invalid maxWaitTime parameter"),
        ("maxWaitTime=9", "ArgumentInvalid", "Invalid maxWaitTime parameter"),
        ("maxEvents=101", "ArgumentInvalid", "Invalid maxEvents parameter"),
    ],
)
def test_numbers_have_limits(pulled: Pulled, grid: EventGrid, query: str, code: str, message: str) -> None:
    pulled.subscribe()
    plain = grid.plain(f"{pulled.name}.westeurope-1.eventgrid.azure.net")
    answer = httpx.post(
        f"{plain}/topics/news/eventsubscriptions/readers:receive?api-version=2024-06-01&{query}",
        headers={"authorization": f"SharedAccessKey {pulled.key.key}"},
        trust_env=False,
        verify=False,
    )

    error = answer.json()["error"]
    assert (answer.status_code, answer.headers["broker-errorcode"], error["code"]) == (400, code, code)
    assert error["message"] == message
    assert set(error) == {"code", "message", "timestamp_utc", "tracking_id"}


@pytest.mark.parametrize("attribute", ["id", "source", "type", "specversion"])
def test_an_event_without_a_required_attribute_is_refused(pulled: Pulled, grid: EventGrid, attribute: str) -> None:
    whole = {"id": "1", "source": "/s", "type": "t", "specversion": "1.0", "data": {}}
    plain = grid.plain(f"{pulled.name}.westeurope-1.eventgrid.azure.net")
    answer = httpx.post(
        f"{plain}/topics/news:publish?api-version=2024-06-01",
        content=json.dumps([{name: value for name, value in whole.items() if name != attribute}]),
        headers={
            "authorization": f"SharedAccessKey {pulled.key.key}",
            "content-type": "application/cloudevents-batch+json",
        },
        trust_env=False,
        verify=False,
    )

    assert answer.status_code == 400
    assert answer.json()["error"]["message"] == f"`{attribute}` attribute is required"


def test_what_azure_resource_manager_shows(pulled: Pulled, manage: EventGridManagementClient, azure: Azure) -> None:
    pulled.subscribe(max_delivery_count=4, event_time_to_live=timedelta(days=1))
    namespace = manage.namespaces.get(azure.group, pulled.name)
    topic = manage.namespace_topics.get(azure.group, pulled.name, "news")
    changed = manage.namespace_topic_event_subscriptions.begin_update(
        azure.group,
        pulled.name,
        "news",
        "readers",
        SubscriptionUpdateParameters(
            delivery_configuration=DeliveryConfiguration(delivery_mode="Queue", queue=QueueInfo(max_delivery_count=5))
        ),
    ).result()

    assert namespace.topics_configuration is not None
    assert namespace.topics_configuration.hostname == f"{pulled.name}.westeurope-1.eventgrid.azure.net"
    assert (topic.publisher_type, topic.input_schema) == ("Custom", "CloudEventSchemaV1_0")
    assert changed.delivery_configuration is not None
    assert changed.delivery_configuration.queue is not None
    assert changed.delivery_configuration.queue.max_delivery_count == 5
    assert [one.name for one in manage.namespace_topics.list_by_namespace(azure.group, pulled.name)] == ["news"]
    manage.namespaces.begin_delete(azure.group, pulled.name).result()
    with pytest.raises(ResourceNotFoundError):
        manage.namespaces.get(azure.group, pulled.name)


@pytest.mark.parametrize(
    "queue",
    [
        pytest.param({"receive_lock_duration_in_seconds": 301}, id="lock"),
        pytest.param({"max_delivery_count": 11}, id="deliveries"),
        pytest.param({"event_time_to_live": timedelta(days=8)}, id="days"),
        pytest.param({"event_time_to_live": timedelta(seconds=30)}, id="seconds"),
    ],
)
def test_what_a_queue_says_has_limits(pulled: Pulled, queue: dict[str, Any]) -> None:
    with pytest.raises(HttpResponseError, match="must be between"):
        pulled.subscribe(**queue)


def test_push_from_namespaces_is_refused_by_name(pulled: Pulled, manage: EventGridManagementClient) -> None:
    info = Subscription(delivery_configuration=DeliveryConfiguration(delivery_mode="Push"))
    with pytest.raises(HttpResponseError, match="deliveryMode Push are not emulated"):
        manage.namespace_topic_event_subscriptions.begin_create_or_update(
            pulled.azure.group, pulled.name, "news", "pushed", info
        )


def test_a_namespaces_topic_is_a_destination_of_a_basic_one(
    pulled: Pulled, topic: PublishedTo, grid: EventGrid
) -> None:
    pulled.subscribe()
    topic.subscribe(
        "",
        destination=NamespaceTopicEventSubscriptionDestination(resource_id=pulled.topic_id),
        event_delivery_schema="CloudEventSchemaV1_0",
    )
    topic.publisher().send(EVENT)
    assert grid.deliveries.settle(PATIENCE)

    (one,) = pulled.consumer().receive()
    assert (one.event.source, one.event.type, one.event.data) == (topic.id, "Shop.Ordered", {"price": 3})
