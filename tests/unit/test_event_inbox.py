"""The durable inbox: order, meaning, and what a crash leaves behind."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cloudmlops import DriftDetected, Event, ModelRegistered, UnknownEvent
from cloudmlops.errors import UnexpectedReplyError
from cloudmlops.services.delivery.inbox import Arrival, Inbox
from cloudmlops.storage.local import LocalStore

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path, durable=False)


def drift(metric: str) -> DriftDetected:
    return DriftDetected(platform="local:///p", time=NOON, subject="s", metric=metric, value=1.0, threshold=0.5)


def events(arrivals: Iterator[Arrival]) -> list[Event]:
    return [arrival.event for arrival in arrivals]


def test_events_come_out_in_the_order_in_which_they_came_in(store: LocalStore) -> None:
    inbox = Inbox(store)
    for metric in "abc":
        assert inbox.store(drift(metric), at=NOON)

    assert events(Inbox(store).after(0)) == [drift("a"), drift("b"), drift("c")]
    assert events(Inbox(store).after(2)) == [drift("c")]
    assert events(Inbox(store).backwards()) == [drift("c"), drift("b"), drift("a")]


def test_copies_with_another_time_or_spelling_are_one_event(store: LocalStore) -> None:
    inbox = Inbox(store)
    first = ModelRegistered(platform="p", time=NOON, model="m", version="1")
    redelivered = ModelRegistered(platform="p", time=NOON.replace(hour=13), model="m", version="1", run="r")

    assert inbox.store(first, at=NOON)
    assert not inbox.store(redelivered, at=NOON)

    assert events(inbox.after(0)) == [first]


def test_unknown_events_are_told_apart_by_source_and_id(store: LocalStore) -> None:
    inbox = Inbox(store)

    def unknown(source: str, id_: str) -> UnknownEvent:
        return UnknownEvent(platform=source, time=NOON, type="t", source=source, id=id_)

    assert inbox.store(unknown("a", "bc"), at=NOON)
    assert inbox.store(unknown("ab", "c"), at=NOON)
    assert not inbox.store(unknown("a", "bc"), at=NOON)


def test_a_crash_before_the_event_was_entered_under_its_key_loses_nothing(store: LocalStore) -> None:
    Inbox(store).store(drift("a"), at=NOON)
    (key,) = store.list("inbox/events/")
    store.delete(key)  # as if the process had ended between the two writings

    assert Inbox(store).store(drift("a"), at=NOON), "the redelivery must not be taken for known"
    assert {event.key for event in events(Inbox(store).after(0))} == {drift("a").key}


def test_the_end_is_found_with_a_late_a_lost_or_a_damaged_hint(store: LocalStore) -> None:
    inbox = Inbox(store)
    for number in range(70):
        inbox.store(drift(str(number)), at=NOON)

    assert Inbox(store).end() == 70
    store.put("inbox/head.json", b'{"place": 3}')
    assert Inbox(store).end() == 70
    store.put("inbox/head.json", b'{"pl')
    assert Inbox(store).end() == 70
    store.delete("inbox/head.json")
    assert Inbox(store).end() == 70


def test_two_writers_never_take_the_same_place(store: LocalStore) -> None:
    one, two = Inbox(store), Inbox(store)
    for number in range(10):
        one.store(drift(f"one{number}"), at=NOON)
        two.store(drift(f"two{number}"), at=NOON)

    assert len(events(Inbox(store).after(0))) == 20


class LosesResponses(LocalStore):
    """Answers False to every create, though the object was made: as a store does whose response got lost."""

    def create(self, key: str, data: bytes) -> bool:
        super().create(key, data)
        return False


def test_a_lost_response_does_not_store_an_event_twice(tmp_path: Path) -> None:
    inbox = Inbox(LosesResponses(tmp_path, durable=False))

    assert inbox.store(drift("a"), at=NOON)

    assert events(inbox.after(0)) == [drift("a")]


def test_a_damaged_place_is_named_and_can_be_emptied(store: LocalStore) -> None:
    inbox = Inbox(store)
    inbox.store(drift("a"), at=NOON)
    inbox.store(drift("b"), at=NOON)
    store.put("inbox/log/000000000001.json", b'{"entry_id": "')

    with pytest.raises(UnexpectedReplyError, match=r"inbox/log/000000000001\.json' is damaged.*\n.*write \{\} into it"):
        events(Inbox(store).after(0))

    store.put("inbox/log/000000000001.json", b"{}")
    assert events(Inbox(store).after(0)) == [drift("b")]


def test_a_later_round_is_the_same_event_for_one_handler(store: LocalStore) -> None:
    inbox = Inbox(store)
    inbox.store(drift("a"), at=NOON)

    round_ = inbox.store_again(1, handler="watch", at=NOON)

    first, again = Inbox(store).after(0)
    assert (first.event, first.round, first.handler) == (drift("a"), "", None)
    assert (again.event, again.round, again.handler) == (drift("a"), round_, "watch")


def test_what_lies_in_the_store_is_readable_by_people(store: LocalStore) -> None:
    Inbox(store).store(drift("a"), at=NOON)

    written = json.loads(store.get("inbox/log/000000000001.json"))

    assert written["received_at"] == NOON.isoformat()
    assert written["event"]["type"] == "cloudmlops.drift.detected"
