"""Handling events on one machine: time, waking, stopping, and what is told about failures."""

import functools
import logging
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cloudmlops import (
    DriftDetected,
    Event,
    EventContext,
    ModelRegistered,
    Platform,
    RunCompleted,
    UnknownEvent,
    connect,
)
from cloudmlops.domain.events import Envelope
from cloudmlops.errors import InvalidRequestError, UnavailableError
from cloudmlops.ports.clock import FixedClock
from cloudmlops.ports.events import Pulled
from cloudmlops.providers.local.events import LocalEvents
from cloudmlops.services.delivery.handlers import without_secrets
from cloudmlops.services.effects import effect_key, handling
from cloudmlops.services.events import Events
from cloudmlops.testing.contract.events import drift

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def clock(platform: Platform) -> FixedClock:
    clock = FixedClock(NOON)
    platform._backends.clock = clock
    return clock


def test_retries_wait_for_the_clock(platform: Platform, clock: FixedClock) -> None:
    tried: list[datetime] = []

    @platform.events.on(DriftDetected, handler="fails", retries=2, backoff=timedelta(minutes=1))
    def fails(_event: DriftDetected, _ctx: object) -> None:
        tried.append(clock.at)
        raise ValueError("no")

    platform.events.publish(drift(platform))
    for minute in range(6):
        clock.at = NOON + timedelta(minutes=minute)
        platform.events.process()

    assert [int((at - NOON) / timedelta(minutes=1)) for at in tried] == [0, 1, 3]
    (letter,) = platform.events.dead_letters()
    assert letter.time == NOON + timedelta(minutes=3)


def test_a_new_process_goes_on_where_the_last_one_stopped(tmp_path: Path) -> None:
    handled: list[tuple[int, str]] = []
    for process in range(3):
        with connect(f"local://{tmp_path}") as platform:
            platform.events.on(DriftDetected, handler="watch")(
                lambda event, _, process=process: handled.append((process, event.metric))
            )
            platform.events.publish(drift(platform, f"m{process}"))
            platform.events.process()

    assert handled == [(0, "m0"), (1, "m1"), (2, "m2")]


def test_a_lost_cursor_makes_nothing_handled_twice(tmp_path: Path) -> None:
    handled: list[str] = []
    for _ in range(2):
        with connect(f"local://{tmp_path}") as platform:
            platform.events.on(DriftDetected, handler="watch")(lambda event, _: handled.append(event.metric))
            platform.events.publish(drift(platform))
            platform.events.process()
            platform._backends.objects.delete("inbox/cursors/watch.json")

    assert handled == ["psi"]


def test_a_settled_past_is_not_read_again(tmp_path: Path) -> None:
    with connect(f"local://{tmp_path}") as platform:
        platform.events.on(DriftDetected, handler="watch")(lambda *_: None)
        for minute in range(5):
            platform.events.publish(drift(platform, minute=minute))
        platform.events.process()
    for place in range(1, 6):
        (tmp_path / f"objects/inbox/log/{place:012d}.json").write_text("damaged")

    with connect(f"local://{tmp_path}") as platform:
        platform.events.on(DriftDetected, handler="watch")(lambda *_: None)

        assert platform.events.process() == 0


def in_background(target: Callable[[], Any]) -> threading.Thread:
    thread = threading.Thread(target=target)
    thread.start()
    return thread


def test_a_running_worker_wakes_for_events_of_its_own_and_of_other_processes(tmp_path: Path) -> None:
    # Another connection to the folder shares nothing but the folder, like another process.
    with connect(f"local://{tmp_path}") as platform, connect(f"local://{tmp_path}") as elsewhere:
        handled = threading.Semaphore(0)
        stop = threading.Event()
        platform.events.on(DriftDetected, handler="watch")(lambda *_: handled.release())
        worker = in_background(lambda: platform.events.run(stop, poll=timedelta(hours=1)))
        try:
            platform.events.publish(drift(platform, "here"))
            assert handled.acquire(timeout=30)
            elsewhere.events.publish(drift(platform, "there"))
            assert handled.acquire(timeout=30)
        finally:
            stop.set()
            worker.join()


def test_a_running_worker_wakes_for_the_next_attempt(platform: Platform) -> None:
    handled = threading.Event()
    stop = threading.Event()

    @platform.events.on(DriftDetected, handler="flaky", backoff=timedelta(milliseconds=1))
    def flaky(_event: DriftDetected, ctx: EventContext) -> None:
        if ctx.attempt < 3:
            raise UnavailableError("not yet")
        handled.set()

    platform.events.publish(drift(platform))
    worker = in_background(lambda: platform.events.run(stop, poll=timedelta(hours=1)))
    try:
        assert handled.wait(timeout=30)
    finally:
        stop.set()
        worker.join()


def test_a_running_worker_that_is_stopped_begins_no_further_event(platform: Platform) -> None:
    stop = threading.Event()
    handled: list[str] = []

    @platform.events.on(DriftDetected, handler="watch")
    def watch(event: DriftDetected, _ctx: object) -> None:
        handled.append(event.metric)
        stop.set()

    for metric in "abc":
        platform.events.publish(drift(platform, metric))
    platform.events.run(stop)

    assert handled == ["a"]
    assert platform.events.process() == 2


def test_a_running_worker_outlives_a_queue_that_does_not_answer(
    platform: Platform, caplog: pytest.LogCaptureFixture
) -> None:
    class Failing(Queue):
        answers = iter([False, True])

        def pull(self, limit: int) -> Sequence[Pulled]:
            if not next(self.answers, True):
                raise UnavailableError("the queue does not answer")
            return super().pull(limit)

    waiting = Envelope(id="1", source="vendor", type="vendor.thing", time=NOON)
    platform._backends.__dict__["events"] = Failing(platform._backends, waiting)
    stop = threading.Event()
    platform.events.on(UnknownEvent, handler="watch")(lambda *_: stop.set())

    with caplog.at_level(logging.WARNING, logger="cloudmlops.events"):
        platform.events.run(stop, poll=timedelta(milliseconds=1))

    assert "the queue does not answer" in caplog.text


def test_a_long_handler_keeps_its_lease(platform: Platform) -> None:
    def with_short_lease() -> Events:
        return Events(platform._context, platform=platform, lease=timedelta(milliseconds=30))

    working, finish = threading.Event(), threading.Event()
    handled: list[str] = []
    slow, other = with_short_lease(), with_short_lease()

    @slow.on(DriftDetected, handler="watch")
    def watch(_event: DriftDetected, _ctx: object) -> None:
        handled.append("slow")
        working.set()
        assert finish.wait(timeout=30)

    other.on(DriftDetected, handler="watch")(lambda *_: handled.append("other"))
    platform.events.publish(drift(platform))
    worker = in_background(slow.process)
    try:
        assert working.wait(timeout=30)
        lease_key = next(platform._backends.objects.list("inbox/attempts/"))
        seen = {platform._backends.objects.get(lease_key)}
        while len(seen) < 4:  # so many times longer than the lease
            seen.add(platform._backends.objects.get(lease_key))
        assert other.process() == 0
    finally:
        finish.set()
        worker.join()

    assert other.process() == 0
    assert handled == ["slow"]


def test_a_worker_that_is_interrupted_gives_the_event_back_at_once(platform: Platform) -> None:
    attempts: list[int] = []

    @platform.events.on(DriftDetected, handler="watch", retries=0)
    def watch(_event: DriftDetected, ctx: EventContext) -> None:
        attempts.append(ctx.attempt)
        if len(attempts) == 1:
            raise KeyboardInterrupt

    platform.events.publish(drift(platform))
    with pytest.raises(KeyboardInterrupt):
        platform.events.process()

    assert platform.events.process() == 1
    assert attempts == [1, 2]


def test_a_handler_gets_the_platform_the_event_and_a_lasting_key(platform: Platform) -> None:
    contexts: list[EventContext] = []
    platform.events.on(DriftDetected, handler="watch")(lambda _, ctx: contexts.append(ctx))
    platform.events.on(DriftDetected, handler="other")(lambda _, ctx: contexts.append(ctx))
    platform.events.publish(drift(platform))
    platform.events.process()

    watch, other = contexts
    assert watch.platform is platform
    assert watch.event == drift(platform)
    assert watch.key != other.key


def test_what_a_handler_publishes_is_what_its_first_attempt_published(platform: Platform) -> None:
    @platform.events.on(RunCompleted, handler="measure", backoff=timedelta(0))
    def measure(event: RunCompleted, ctx: EventContext) -> None:
        platform.events.publish(drift(platform, "first", minute=ctx.attempt))
        platform.events.publish(drift(platform, "second", minute=ctx.attempt))
        if ctx.attempt == 1:
            raise ConnectionError("after both")

    platform.events.publish(RunCompleted(platform=platform.target, time=NOON, pipeline="p", run="r"))

    assert platform.events.process() == 1
    assert platform.events.list(kind=DriftDetected) == [
        drift(platform, "first", minute=1),
        drift(platform, "second", minute=1),
    ]


def test_effect_keys_are_the_same_in_each_attempt_and_differ_otherwise() -> None:
    def keys(key: str) -> list[str | None]:
        with handling(key):
            return [
                effect_key("run"),
                effect_key("run"),
                effect_key("promote", "m", "1"),
                effect_key("promote", "m", "2"),
            ]

    assert effect_key("run") is None
    assert keys("a") == keys("a")
    assert len({*keys("a"), *keys("b")}) == 8


def test_a_failure_is_logged_and_holds_no_secret(platform: Platform, caplog: pytest.LogCaptureFixture) -> None:
    @platform.events.on(DriftDetected, handler="leaky", retries=0)
    def leaky(_event: DriftDetected, _ctx: object) -> None:
        raise ValueError("cannot reach redis://user:hunter2@cache:6379, api_key=abc123, Bearer eyJhbGciOi.x.y")

    platform.events.publish(drift(platform))
    with caplog.at_level(logging.WARNING, logger="cloudmlops.events"):
        platform.events.process()

    (letter,) = platform.events.dead_letters()
    for told in (letter.message, letter.traceback, caplog.text):
        assert "hunter2" not in told
        assert "abc123" not in told
        assert "eyJ" not in told
        assert "redis://***@cache:6379" in told
    assert "no attempt is left: it is a dead letter" in caplog.text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("password=hunter2 next", "password=*** next", id="assignment"),
        pytest.param('{"account_key": "s3cr3t"}', '{"account_key": "***"}', id="json"),
        pytest.param(
            "https://a.blob/x?sv=1&sig=AbC%3D&se=2", "https://a.blob/x?sv=1&sig=***&se=2", id="signed address"
        ),
        pytest.param("KeyError: 'monkey'", "KeyError: 'monkey'", id="ordinary words"),
        pytest.param("token expired", "token expired", id="the word alone"),
        pytest.param("PGPASSWORD=hunter2 psql", "PGPASSWORD=*** psql", id="an environment variable"),
        pytest.param("{'clientSecret': 'a b'}", "{'clientSecret': '***'}", id="camel case, quoted"),
        pytest.param("sasToken=abc;x", "sasToken=***;x", id="connection string"),
        pytest.param("refreshtoken: abc", "refreshtoken: ***", id="one word"),
        pytest.param("password='my hunter2', x", "password='***', x", id="a quoted value with a space"),
        pytest.param("Authorization: Basic dXNlcg==", "Authorization: ***", id="basic authorization"),
        pytest.param("passphrase=abc", "passphrase=***", id="passphrase"),
        pytest.param("mysql --password hunter2 -h x", "mysql --password *** -h x", id="an option"),
        pytest.param("postgres://u:p@hunter2@host/db", "postgres://***@host/db", id="a password with an at sign"),
    ],
)
def test_what_looks_like_a_secret_is_hidden(text: str, expected: str) -> None:
    assert without_secrets(text) == expected


class Queue(LocalEvents):
    """A provider whose events wait in a queue until they are acknowledged."""

    def __init__(self, backends: Any, *waiting: Envelope) -> None:
        super().__init__(backends)
        self.waiting = {str(number): event for number, event in enumerate(waiting)}
        self.reported_kinds = frozenset({ModelRegistered.kind})

    @property
    def reported(self) -> frozenset[str]:
        return self.reported_kinds

    def pull(self, limit: int) -> Sequence[Pulled]:
        return [Pulled(event=event, receipt=receipt) for receipt, event in self.waiting.items()][:limit]

    def acknowledge(self, receipts: Sequence[str]) -> None:
        for receipt in receipts:
            del self.waiting[receipt]


def with_queue(platform: Platform, *types: str) -> Queue:
    queue = Queue(
        platform._backends,
        *(Envelope(id=str(number), source="vendor", type=type_, time=NOON) for number, type_ in enumerate(types)),
    )
    platform._backends.__dict__["events"] = queue
    return queue


def test_what_waits_in_a_queue_is_stored_then_acknowledged_then_handled(platform: Platform) -> None:
    queue = with_queue(platform, *["vendor.thing"] * 150)
    seen: list[str] = []
    platform.events.on(UnknownEvent, handler="watch")(lambda event, _: seen.append(event.id))

    assert platform.events.process() == 150

    assert queue.waiting == {}
    assert seen == [str(number) for number in range(150)]


def test_a_malformed_event_in_a_queue_is_kept_and_holds_up_nothing(platform: Platform) -> None:
    queue = with_queue(platform, RunCompleted.kind, "vendor.thing")
    platform.events.process()

    assert queue.waiting == {}
    assert [(type(event), event.type) for event in platform.events.list(kind=UnknownEvent)] == [
        (UnknownEvent, RunCompleted.kind),
        (UnknownEvent, "vendor.thing"),
    ]


def test_what_the_platform_reports_by_itself_is_left_to_it(platform: Platform) -> None:
    with_queue(platform)
    registered = ModelRegistered(platform="p", time=NOON, model="m", version="1")

    platform.events.emit(registered)
    with pytest.raises(InvalidRequestError, match="the platform itself reports this kind"):
        platform.events.publish(registered)

    assert platform.events.list() == []


def test_all_that_keeps_an_event_from_being_published_is_told_at_once(platform: Platform) -> None:
    event = UnknownEvent(
        platform="p",
        time=datetime(2026, 1, 1),  # noqa: DTZ001 the fault under test
        type=RunCompleted.kind,
        source="s",
        id="1",
        data={"when": NOON},
    )

    with pytest.raises(InvalidRequestError) as caught:
        platform.events.publish(event)

    assert caught.value.faults == (
        "its time 2026-01-01T00:00:00 has no time zone: use datetime.now(UTC)",
        "its type is ours: publish it as RunCompleted",
        "its data are not JSON: Object of type datetime is not JSON serializable",
    )


def test_a_dead_letter_is_readable_though_its_sender_crashed_before_it_was_acknowledged(platform: Platform) -> None:
    @platform.events.on(DriftDetected, handler="fails", retries=0)
    def fails(_event: DriftDetected, _ctx: object) -> None:
        raise ValueError("no")

    platform.events.publish(drift(platform))
    platform._backends.objects.delete(f"inbox/events/{drift(platform).key}.json")
    platform.events.process()

    assert [letter.event for letter in platform.events.dead_letters()] == [drift(platform)]
    assert platform.events.retry() == 1
    platform.events.publish(drift(platform))
    platform.events.process()
    assert len(platform.events.dead_letters()) == 1


def test_all_faults_of_a_registration_are_told_at_once(platform: Platform) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        platform.events.on(
            ModelRegistered, handler="Not Good", endpoint="e", retries=-1, backoff=-timedelta(seconds=1)
        )(lambda event: None)

    assert caught.value.faults == (
        "handler name 'Not Good' must be a lower-case letter, then at most 62 of a-z, 0-9, '-' and '_'",
        "ModelRegistered has no endpoint to filter by; it has model, platform, run, time, version",
        "retries must be 0 or more, not -1",
        "backoff must not be negative, but is -1 day, 23:59:59",
        "the function must take two arguments: the event and the context",
    )


def test_a_handler_is_named_after_its_function(platform: Platform) -> None:
    @platform.events.on(Event)
    def remember(event: Event, ctx: object) -> None: ...

    assert platform.events.handlers == ("remember",)


def test_something_that_is_no_event_cannot_be_listened_for(platform: Platform) -> None:
    with pytest.raises(InvalidRequestError, match="kind must be a class of events such as ModelRegistered, not 'x'"):
        platform.events.on("x", handler="h")(lambda event, ctx: None)


def test_a_time_without_zone_cannot_be_asked_for(platform: Platform) -> None:
    with pytest.raises(InvalidRequestError, match="has no time zone"):
        platform.events.replay(since=datetime(2026, 1, 1))  # noqa: DTZ001 the fault under test


def test_a_search_by_time_reads_the_end_of_the_log_only(platform: Platform, clock: FixedClock) -> None:
    platform.events.publish(drift(platform, "old"))
    clock.at = NOON + timedelta(days=1)
    platform.events.publish(drift(platform, "day after"))
    clock.at = NOON + timedelta(days=2)
    platform.events.publish(drift(platform, "last"))
    first = platform._backends.objects
    first.put("inbox/log/000000000001.json", b"damaged: whoever reads this place fails")

    with connect(platform.target) as fresh:
        listed = fresh.events.list(since=NOON + timedelta(days=2))

    assert [event.meaning[1] for event in listed] == ["last"]


def test_a_handler_that_nobody_would_run_is_refused(platform: Platform) -> None:
    async def later(event: DriftDetected, ctx: object) -> None: ...

    def piecemeal(event: DriftDetected, ctx: object) -> Iterator[None]:
        yield

    for function in (later, piecemeal, functools.partial(later)):
        with pytest.raises(InvalidRequestError, match="it is async or a generator, which nobody runs"):
            platform.events.on(DriftDetected, handler="h")(function)


def test_work_that_a_handler_returns_instead_of_doing_it_is_a_failure(platform: Platform) -> None:
    async def later() -> None: ...

    platform.events.on(DriftDetected, handler="h", retries=0)(lambda event, ctx: later())
    platform.events.publish(drift(platform))

    assert platform.events.process() == 0
    assert [letter.error for letter in platform.events.dead_letters()] == ["TypeError"]


def test_a_handler_that_ends_the_program_is_a_failure_like_any_other(platform: Platform) -> None:
    platform.events.on(DriftDetected, handler="h", retries=0)(lambda event, ctx: sys.exit(3))
    platform.events.publish(drift(platform))

    assert platform.events.process() == 0
    assert [(letter.error, letter.message) for letter in platform.events.dead_letters()] == [("SystemExit", "3")]


def test_a_replay_finds_a_handler_whose_only_event_waits_for_its_next_attempt(platform: Platform) -> None:
    def fail(event: DriftDetected, ctx: object) -> None:
        raise ValueError

    platform.events.on(DriftDetected, handler="h", backoff=timedelta(hours=1))(fail)
    platform.events.publish(drift(platform))
    platform.events.process()
    elsewhere = Events(platform.events._context, platform=platform)

    assert elsewhere.replay(since=NOON - timedelta(days=1), handler="h") == 1


@pytest.mark.parametrize(
    ("event", "fault"),
    [
        ("x", "a str cannot be published"),
        (Event(platform="p", time=NOON), "a Event cannot be published"),
        (DriftDetected(platform="p", time="now", subject="s", metric="m", value=1, threshold=1), "its time is 'now'"),
        (DriftDetected(platform="p", time=NOON, subject="s", metric="m", value="high", threshold=1), "not 'high'"),
        (ModelRegistered(platform="p", time=NOON, model=None, version="1"), "model is missing"),
        (ModelRegistered(platform="", time=NOON, model="m", version="1"), "source must be text and not empty"),
    ],
    ids=["text", "no kind", "text for a time", "text for a number", "no model", "no platform"],
)
def test_an_event_that_no_handler_could_read_is_not_published(platform: Platform, event: Any, fault: str) -> None:
    with pytest.raises(InvalidRequestError, match=fault):
        platform.events.publish(event)

    assert platform.events.list() == []


def test_numbers_of_numpy_and_versions_that_are_numbers_are_published_as_what_they_mean(platform: Platform) -> None:
    drifted: Any = np.float32(0.5)
    version: Any = 7
    platform.events.publish(
        DriftDetected(platform="p", time=NOON, subject="s", metric="m", value=drifted, threshold=np.int64(1))
    )
    platform.events.publish(ModelRegistered(platform="p", time=NOON, model="m", version=version))

    first, second = platform.events.list()
    assert (type(first.value), first.value, first.threshold) == (float, 0.5, 1.0)
    assert second == ModelRegistered(platform="p", time=NOON, model="m", version="7")


def test_a_pause_that_is_no_length_of_time_is_refused(platform: Platform) -> None:
    with pytest.raises(InvalidRequestError, match="backoff must be a timedelta"):
        platform.events.on(DriftDetected, handler="h", backoff=5)(lambda event, ctx: None)
