"""The topic of an Event Grid namespace: what the library publishes there, and what it pulls from there."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from azure.core.messaging import CloudEvent
from azure.eventgrid import EventGridPublisherClient
from azure.identity import DefaultAzureCredential
from azure.mgmt.eventgrid.models import (
    DeadLetterWithResourceIdentity,
    NamespaceTopicEventSubscriptionDestination,
    StorageBlobDeadLetterDestination,
)

from cloudmlops import Platform
from cloudmlops.domain.events import Event, ModelDeployed, ModelRegistered, UnknownEvent
from cloudmlops.domain.models import Stage
from cloudmlops.emulators.core.emulator import Emulator
from cloudmlops.emulators.core.faults import Fault, Refused
from cloudmlops.errors import (
    ConfigurationError,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
    ServiceError,
    UnexpectedReplyError,
)
from cloudmlops.ports.clock import SystemClock
from cloudmlops.testing.contract.models import written_model

from .conftest import Opened
from .event_grid import PATIENCE, Namespace, drained, drift, subscribe, workspace_id

pytestmark = pytest.mark.conformance(ci=True)

Connected = Callable[..., Platform]


@dataclass
class Later(SystemClock):
    """A clock that goes by the machine's, and is ahead of it."""

    later: timedelta = timedelta(0)

    def now(self) -> datetime:
        return super().now() + self.later


@pytest.fixture
def platform(connected: Connected, namespace: Namespace) -> Platform:
    return connected(**namespace.settings)


def by_another_program(namespace: Namespace, *events: CloudEvent[Any]) -> None:
    """Publish with Azure's own client, as any program does."""
    with DefaultAzureCredential() as credential:
        endpoint = f"https://{namespace.host}"
        EventGridPublisherClient(endpoint, credential, namespace_topic="mlops").send(list(events))


def pulling(platform: Platform) -> None:
    """Pull until it fails, and nothing else: a worker's other acts would meet the fault before."""
    while True:
        platform.events._pull()


def test_without_a_topic_events_are_in_the_inbox_and_nobody_is_asked(
    connected: Connected, azureml_emulator: Emulator
) -> None:
    platform = connected()
    platform.events.publish(drift(platform))

    assert platform.events.process() == 0
    assert platform.events.list() == [drift(platform)]
    assert azureml_emulator.calls.list("eventgrid/") == []


def test_what_is_published_goes_to_the_topic_as_a_cloud_event(platform: Platform, namespace: Namespace) -> None:
    platform.events.publish(drift(platform))

    (event,) = namespace.waiting()
    assert (event["type"], event["source"]) == ("cloudmlops.drift.detected", platform.address)
    assert (event["specversion"], event["data"]["metric"]) == ("1.0", "psi")
    assert datetime.fromisoformat(event["time"]) == drift(platform).time
    assert platform.events.list() == [drift(platform)]


def test_a_promotion_goes_to_the_topic(platform: Platform, namespace: Namespace, tmp_path: Path) -> None:
    version = platform.models.register("churn", written_model(tmp_path / "model"))
    platform.models.promote("churn", version.version, to=Stage.CANDIDATE, reason="good")

    sent = [(event["type"], event["id"]) for event in namespace.waiting()]
    assert sent == [("cloudmlops.model.registered", "churn/1"), ("cloudmlops.model.stage_changed", "churn/3")]


def test_what_the_subscription_brings_back_is_known(platform: Platform, namespace: Namespace) -> None:
    seen: list[Event] = []
    platform.events.on(Event, handler="all")(lambda event, _: seen.append(event))
    platform.events.publish(drift(platform))

    assert drained(platform, namespace) == 1
    assert platform.events.process() == 0
    assert seen == [drift(platform)]


def test_another_programs_events_are_pulled_and_kept(platform: Platform, namespace: Namespace) -> None:
    by_another_program(
        namespace,
        CloudEvent(source="//example.com", type="com.example.new", id="7", data={"Answer": 42}),
        CloudEvent(source="//example.com", type="com.example.bytes", id="8", data=b"hello"),
        CloudEvent(source="//example.com", type="com.example.none", id="9"),
    )
    drained(platform, namespace)

    found = {event.type: event.data for event in platform.events.list(kind=UnknownEvent)}
    assert found == {
        "com.example.new": {"Answer": 42},
        "com.example.bytes": {"value": "aGVsbG8="},
        "com.example.none": {},
    }


def test_what_the_workspace_tells_can_be_pulled_so_that_nothing_is_reachable_from_outside(
    connected: Connected, namespace: Namespace, tmp_path: Path
) -> None:
    platform = connected(reporter="event-grid", **namespace.settings)
    topic = NamespaceTopicEventSubscriptionDestination(resource_id=f"{namespace.id}/topics/mlops")
    subscribe(platform, destination=topic, event_delivery_schema="CloudEventSchemaV1_0")

    platform.models.register("churn", written_model(tmp_path / "model"))
    assert namespace.cloud.event_grid.deliveries.settle(PATIENCE)
    drained(platform, namespace)

    (event,) = platform.events.list(kind=ModelRegistered)
    assert (event.platform, event.model, event.version) == (platform.address, "churn", "1")


def test_whoever_asks_an_empty_queue_is_not_kept_for_the_ten_seconds_that_event_grid_waits(
    platform: Platform, namespace: Namespace, azureml_emulator: Emulator
) -> None:
    for _ in range(3):
        platform.events.process()
    assert len(azureml_emulator.calls.list("eventgrid/namespaces.receive")) <= 1  # asked once, and not answered yet

    by_another_program(namespace, CloudEvent(source="//example.com", type="com.example.new", id="7"))
    while not platform.events.list():
        platform.events.process()


def test_what_could_not_be_stored_is_released_and_comes_again(
    platform: Platform, namespace: Namespace, azureml_emulator: Emulator
) -> None:
    platform.events.list()
    by_another_program(namespace, CloudEvent(source="//example.com", type="com.example.new", id="7"))
    azureml_emulator.faults.set(Fault(matching="blob/*", first=1, times=None, refused=Refused("ABORTED", "no")))
    with pytest.raises(ServiceError):
        pulling(platform)
    azureml_emulator.faults.clear()
    assert len(namespace.waiting()) == 1

    drained(platform, namespace)
    assert [event.id for event in platform.events.list(kind=UnknownEvent)] == ["7"]
    assert len(azureml_emulator.calls.list("eventgrid/namespaces.release")) == 1


def test_an_event_that_cannot_be_read_now_keeps_no_other_from_being_stored(
    platform: Platform, namespace: Namespace, azureml_emulator: Emulator
) -> None:
    journal = "endpoints/scaling/000000000001.json"
    platform._backends.objects.put(journal, b"{")
    kind, data = "Microsoft.MachineLearningServices.ModelDeployed", {"ServiceName": "scaling", "ModelIds": "churn:3"}
    by_another_program(
        namespace,
        CloudEvent(source=workspace_id(platform), type=kind, id="6", data=data),
        CloudEvent(source="//example.com", type="com.example.new", id="7"),
    )

    with pytest.raises(UnexpectedReplyError, match=f"{journal} in the object store is damaged"):
        pulling(platform)

    assert [event.id for event in platform.events.list(kind=UnknownEvent)] == ["7"]
    assert [event["id"] for event in namespace.waiting()] == ["6"]
    platform._backends.objects.delete(journal)
    while not platform.events.list(kind=ModelDeployed):
        platform.events.process()
    assert namespace.waiting() == []


def test_a_worker_does_not_give_back_what_another_thread_is_about_to_store(
    opened: Opened, namespace: Namespace, azureml_emulator: Emulator
) -> None:
    events = opened(**namespace.settings).events
    by_another_program(namespace, CloudEvent(source="//example.com", type="com.example.new", id="7"))
    while not (pulled := events.pull(10)):
        pass

    another = threading.Thread(target=lambda: events.pull(10))
    another.start()
    another.join()
    events.acknowledge([one.receipt for one in pulled])

    assert namespace.waiting() == []
    assert azureml_emulator.calls.list("eventgrid/namespaces.release") == []


def test_an_event_whose_lock_ended_is_handled_once(
    platform: Platform, namespace: Namespace, azureml_emulator: Emulator
) -> None:
    seen: list[Event] = []
    platform.events.on(Event, handler="all")(lambda event, _: seen.append(event))
    by_another_program(namespace, CloudEvent(source="//example.com", type="com.example.new", id="7"))
    azureml_emulator.clock.freeze()
    azureml_emulator.faults.set(
        Fault(
            matching="eventgrid/namespaces.acknowledge",
            before=lambda: azureml_emulator.clock.advance(timedelta(minutes=2)),
        )
    )

    assert drained(platform, namespace) == 1  # the lock had ended: it came again, and was acknowledged then
    assert len(azureml_emulator.calls.list("eventgrid/namespaces.acknowledge")) == 2
    assert platform.events.process() == 0
    assert len(seen) == 1


def test_receipts_that_nobody_knows_are_no_error(opened: Opened, namespace: Namespace) -> None:
    events = opened(**namespace.settings).events

    events.acknowledge(["bm9uZQ"])
    events.acknowledge([])


def letters(namespace: Namespace) -> DeadLetterWithResourceIdentity:
    """Make a place for dead letters."""
    resource = f"{namespace.id.partition('/providers/')[0]}/providers/Microsoft.Storage/storageAccounts/letters"
    namespace.cloud.blobs.make_account("letters", resource)
    namespace.cloud.blobs.make_container("letters", namespace.name)
    return DeadLetterWithResourceIdentity(
        identity=None,
        dead_letter_destination=StorageBlobDeadLetterDestination(
            resource_id=resource, blob_container_name=namespace.name
        ),
    )


def test_an_event_that_means_nothing_is_rejected_and_becomes_a_dead_letter(
    platform: Platform, namespace: Namespace, caplog: pytest.LogCaptureFixture
) -> None:
    namespace.put_queue(dead_letter_destination_with_resource_identity=letters(namespace))
    timeless = {"specversion": "1.0", "id": "7", "source": "/s", "type": "cloudmlops.drift.detected", "data": {}}
    namespace.publish_raw(timeless, {**timeless, "type": "com.example.new"})
    with caplog.at_level(logging.WARNING, "cloudmlops.events"):
        drained(platform, namespace)

    assert [event.type for event in platform.events.list(kind=UnknownEvent)] == ["com.example.new"]
    assert len(namespace.cloud.blobs.list("letters", namespace.name, "")) == 1
    assert "lacks time" in caplog.text


def test_an_event_that_the_sdk_cannot_read_becomes_a_dead_letter_and_holds_up_no_other(
    platform: Platform, namespace: Namespace, azureml_emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    namespace.put_queue(max_delivery_count=2, dead_letter_destination_with_resource_identity=letters(namespace))
    good = {"specversion": "1.0", "id": "7", "source": "/s", "type": "com.example.new", "data": {}}
    namespace.publish_raw({**good, "id": "6", "Wrong-Name": "x"}, good)
    azureml_emulator.clock.freeze()
    with caplog.at_level(logging.ERROR, "cloudmlops.events"):
        while namespace.waiting():
            platform.events.process()
            azureml_emulator.clock.advance(timedelta(minutes=2))
    platform.events.process()

    assert [event.id for event in platform.events.list(kind=UnknownEvent)] == ["7"]
    assert len(namespace.cloud.blobs.list("letters", namespace.name, "")) == 1


def test_an_attribute_that_no_cloud_event_may_have_is_told_before_anything_is_sent(
    platform: Platform, namespace: Namespace
) -> None:
    event = UnknownEvent(
        platform="//x", time=datetime.now(UTC), type="t", source="//x", id="1", extensions={"Trace-Id": "7"}
    )
    with pytest.raises(InvalidRequestError, match="'Trace-Id'"):
        platform.events.publish(event)
    assert namespace.waiting() == []


@pytest.mark.parametrize("verb", ["publish", "process"])
def test_a_missing_topic_or_subscription_says_how_to_make_it(
    connected: Connected, namespace: Namespace, verb: str
) -> None:
    wrong = {
        "publish": {"topic": f"https://{namespace.host}/topics/nowhere"},
        "process": {"event_subscription": "no-such"},
    }
    platform = connected(**{**namespace.settings, **wrong[verb]})
    acts: dict[str, Callable[[], object]] = {
        "publish": lambda: platform.events.publish(drift(platform)),
        "process": lambda: drained(platform, namespace),
    }
    if verb == "process":
        by_another_program(namespace, CloudEvent(source="//example.com", type="com.example.new", id="7"))
    with pytest.raises(NotFoundError, match="is not there") as caught:
        acts[verb]()
    assert "docs/azureml.md" in caught.value.hint


@pytest.mark.parametrize(
    ("verb", "role"), [("publish", "EventGrid Data Sender"), ("process", "EventGrid Data Receiver")]
)
def test_who_may_not_use_the_topic_is_told_the_role(
    connected: Connected, namespace: Namespace, verb: str, role: str
) -> None:
    approver = connected("approver", **namespace.settings)
    acts: dict[str, Callable[[], object]] = {
        "publish": lambda: approver.events.publish(drift(approver)),
        "process": lambda: drained(approver, namespace),
    }
    by_another_program(namespace, CloudEvent(source="//example.com", type="com.example.new", id="7"))
    with pytest.raises(PermissionDeniedError) as caught:
        acts[verb]()
    assert role in caught.value.hint


def test_what_is_still_brought_to_a_platform_that_was_closed_is_released(
    connected: Connected, namespace: Namespace, azureml_emulator: Emulator
) -> None:
    closed = connected(**namespace.settings)
    closed.events.process()
    closed.close()
    by_another_program(namespace, CloudEvent(source="//example.com", type="com.example.new", id="7"))
    while not azureml_emulator.calls.list("eventgrid/namespaces.release"):
        time.sleep(0.01)

    another = connected(**namespace.settings)
    drained(another, namespace)
    assert [event.id for event in another.events.list(kind=UnknownEvent)] == ["7"]


def test_events_that_waited_long_for_their_worker_are_locked_anew_before_they_are_stored(
    opened: Opened, namespace: Namespace, azureml_emulator: Emulator
) -> None:
    backends = opened(**namespace.settings)
    clock = Later()
    backends.clock = clock
    with Platform(backends) as platform:
        platform.events.process()
        by_another_program(namespace, CloudEvent(source="//example.com", type="com.example.new", id="7"))
        asked = backends.events._queue._asked
        assert asked is not None
        asked.result(PATIENCE.total_seconds())
        clock.later = timedelta(seconds=40)
        drained(platform, namespace)

        assert [event.id for event in platform.events.list(kind=UnknownEvent)] == ["7"]
    assert len(azureml_emulator.calls.list("eventgrid/namespaces.renewLock")) == 1


def test_a_queue_is_waited_at_for_longer_than_other_calls_may_take(
    connected: Connected, namespace: Namespace, azureml_emulator: Emulator
) -> None:
    platform = connected(timeout="1", **namespace.settings)
    platform.events.process()
    azureml_emulator.faults.set(Fault(matching="eventgrid/namespaces.receive", delay_seconds=2))
    azureml_emulator.clock.freeze()
    azureml_emulator.clock.advance(timedelta(seconds=11))  # the first question is answered: there was nothing
    by_another_program(namespace, CloudEvent(source="//example.com", type="com.example.new", id="7"))
    while not platform.events.list():
        platform.events.process()


def test_settings_that_have_become_wrong_are_told_and_are_no_event_that_cannot_be_read(
    platform: Platform, azureml_emulator: Emulator, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    too_old = Refused("UNAUTHENTICATED", "The access token has expired.", reason="Unauthorized")
    azureml_emulator.faults.set(Fault(matching="eventgrid/namespaces.receive", refused=too_old, times=None))
    monkeypatch.setenv("AZURE_CLIENT_ID", "")

    with pytest.raises(ConfigurationError, match="AZURE_CLIENT_ID is empty"):
        pulling(platform)

    assert "cannot be read" not in caplog.text
