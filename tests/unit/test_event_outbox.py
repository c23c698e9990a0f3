"""The ledger is the outbox: what its entries mean is published, whatever crashed in between."""

import json
import logging
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

import pytest

from cloudmlops import Actor, Event, ModelRegistered, Platform, Stage, StageChanged
from cloudmlops.domain.ledger import Entry, EntryKind, Registration
from cloudmlops.errors import UnavailableError, UnexpectedReplyError
from cloudmlops.services.context import ServiceContext
from cloudmlops.services.delivery.outbox import Outbox

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Entries:
    """A ledger in a dictionary."""

    def __init__(self, **entries: list[Entry]) -> None:
        self.of = entries

    def names(self) -> Iterable[str]:
        return sorted(self.of)

    def entries(self, name: str, *, after: int = 0) -> Iterator[Entry]:
        yield from (entry for entry in self.of[name] if entry.sequence > after)


def entry(sequence: int, kind: EntryKind, **said: object) -> Entry:
    return Entry(
        sequence=sequence, kind=kind, entry_id="e", previous="", at=NOON, actor=Actor(id="ann"), reason="why", **said
    )


def registered(sequence: int, version: str) -> Entry:
    known = Registration(artifact_uri="file:///m", manifest="0", run="r1")
    return entry(sequence, EntryKind.REGISTERED, version=version, registration=known)


def moved(sequence: int, version: str) -> Entry:
    return entry(sequence, EntryKind.MOVED, version=version, changes=((version, Stage.NONE, Stage.CANDIDATE),))


@pytest.fixture
def context(platform: Platform) -> ServiceContext:
    return platform._context


def test_registrations_and_moves_are_published_and_the_rest_is_not(platform: Platform, context: ServiceContext) -> None:
    ledger = Entries(
        churn=[
            entry(1, EntryKind.REGISTERING, version="1", request="q"),
            registered(2, "1"),
            entry(3, EntryKind.TAGGED, version="1", tags={"a": "b"}),
            moved(4, "1"),
        ]
    )

    assert Outbox(context, ledger).flush("churn") == 4

    address = platform._backends.address
    assert platform.events.list() == [
        ModelRegistered(platform=address, time=NOON, model="churn", version="1", run="r1"),
        StageChanged(
            platform=address,
            time=NOON,
            model="churn",
            sequence=4,
            changes=(("1", Stage.NONE, Stage.CANDIDATE),),
            actor="ann",
            reason="why",
        ),
    ]


def test_only_what_is_new_is_published(platform: Platform, context: ServiceContext) -> None:
    ledger = Entries(churn=[registered(1, "1")])
    outbox = Outbox(context, ledger)

    assert [outbox.flush("churn"), outbox.flush("churn")] == [1, 0]
    ledger.of["churn"].append(registered(2, "2"))
    assert [outbox.flush("churn"), outbox.flush("churn")] == [1, 0]

    assert len(platform.events.list()) == 2


@pytest.mark.parametrize("survived", [0, 1, 2], ids=["none", "one", "two"])
def test_a_crash_while_publishing_forgets_and_doubles_nothing(
    platform: Platform, context: ServiceContext, survived: int
) -> None:
    ledger = Entries(churn=[registered(number, str(number)) for number in (1, 2, 3)])
    published: list[Event] = []

    def fail_after(event: Event) -> None:
        if len(published) == survived:
            raise UnavailableError("the process ends here")
        platform.events.emit(event)
        published.append(event)

    crashing = ServiceContext(backends=context.backends, actor=context.actor, publish=fail_after)
    with pytest.raises(UnavailableError):
        Outbox(crashing, ledger).flush("churn")
    Outbox(context, ledger).flush_all()

    assert [event.meaning[1] for event in platform.events.list()] == ["1", "2", "3"]


def test_a_lost_or_damaged_cursor_publishes_again_which_changes_nothing(
    platform: Platform, context: ServiceContext
) -> None:
    ledger = Entries(churn=[registered(number, str(number)) for number in range(1, 41)])
    Outbox(context, ledger).flush("churn")
    assert json.loads(context.backends.objects.get("outbox/models/churn.json")) == {"sequence": 40}
    assert Outbox(context, ledger).flush("churn") == 0

    context.backends.objects.put("outbox/models/churn.json", b"")

    assert Outbox(context, ledger).flush("churn") == 40
    assert len(platform.events.list()) == 40


def test_a_damaged_ledger_holds_up_no_other(
    platform: Platform, context: ServiceContext, caplog: pytest.LogCaptureFixture
) -> None:
    class Damaged(Entries):
        def entries(self, name: str, *, after: int = 0) -> Iterator[Entry]:
            if name == "broken":
                raise UnexpectedReplyError("entry 1 of the ledger is damaged")
            yield from super().entries(name, after=after)

    ledger = Damaged(broken=[], churn=[registered(1, "1")])

    with caplog.at_level(logging.ERROR, logger="cloudmlops.events"):
        assert Outbox(context, ledger).flush_all() == 1

    assert "the events of model 'broken' stay in its ledger: entry 1 of the ledger is damaged" in caplog.text
    assert len(platform.events.list()) == 1
