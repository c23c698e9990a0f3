from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloudmlops.emulators.core.clock import Clock

START = datetime(2026, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)


@pytest.fixture
def clock() -> Iterator[Clock]:
    made = Clock()
    yield made
    made.close()


def test_it_tells_real_time_until_it_is_frozen(clock: Clock) -> None:
    before = datetime.now(UTC)

    assert before <= clock.now() <= datetime.now(UTC)
    assert not clock.frozen


def test_a_frozen_clock_stands_still(clock: Clock) -> None:
    clock.freeze(START)

    assert clock.frozen
    assert clock.now() == clock.now() == START


def test_a_moment_without_a_time_zone_is_refused(clock: Clock) -> None:
    with pytest.raises(ValueError, match="has no time zone"):
        clock.freeze(datetime(2026, 1, 1))  # noqa: DTZ001 that is the point


def test_a_moment_of_another_zone_is_told_in_utc(clock: Clock) -> None:
    clock.freeze(datetime(2026, 1, 1, 2, tzinfo=timezone(timedelta(hours=2))))

    assert clock.now() == START
    assert clock.now().tzinfo is UTC


def test_a_clock_does_not_go_back(clock: Clock) -> None:
    with pytest.raises(ValueError, match="does not go back"):
        clock.advance(-SECOND)


def test_what_is_due_happens_in_order_each_at_its_moment(clock: Clock) -> None:
    clock.freeze(START)
    seen: list[tuple[str, datetime]] = []
    for name, seconds in (("third", 3), ("first", 1), ("second", 2), ("late", 11)):
        clock.after(seconds * SECOND, lambda name=name: seen.append((name, clock.now())))

    clock.advance(10 * SECOND)

    assert seen == [("first", START + SECOND), ("second", START + 2 * SECOND), ("third", START + 3 * SECOND)]
    assert clock.now() == START + 10 * SECOND


def test_what_happens_may_let_more_happen_on_the_same_way(clock: Clock) -> None:
    clock.freeze(START)
    seen: list[datetime] = []

    def tick() -> None:
        seen.append(clock.now())
        clock.after(4 * SECOND, tick)

    clock.after(4 * SECOND, tick)
    clock.advance(10 * SECOND)

    assert seen == [START + 4 * SECOND, START + 8 * SECOND]


def test_what_is_cancelled_does_not_happen(clock: Clock) -> None:
    clock.freeze(START)
    seen: list[str] = []
    timer = clock.after(SECOND, lambda: seen.append("cancelled"))
    clock.after(2 * SECOND, lambda: seen.append("kept"))

    timer.cancel()
    clock.advance(5 * SECOND)
    timer.cancel()

    assert seen == ["kept"]


def test_one_that_fails_is_logged_and_stops_nothing(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    clock.freeze(START)
    seen: list[str] = []
    clock.after(SECOND, lambda: 1 / 0)
    clock.after(2 * SECOND, lambda: seen.append("went on"))

    with caplog.at_level(logging.ERROR):
        clock.advance(3 * SECOND)

    assert seen == ["went on"]
    assert "ZeroDivisionError" in caplog.text


def test_a_moment_that_has_passed_is_due_as_soon_as_time_moves(clock: Clock) -> None:
    clock.freeze(START)
    seen: list[datetime] = []
    clock.at(START - SECOND, lambda: seen.append(clock.now()))

    assert seen == []
    clock.advance(timedelta(0))

    assert seen == [START]


def test_in_real_time_a_thread_of_the_clock_lets_it_happen(clock: Clock) -> None:
    happened = threading.Event()
    where: list[str] = []

    def act() -> None:
        where.append(threading.current_thread().name)
        happened.set()

    clock.after(timedelta(milliseconds=20), act)

    assert happened.wait(20)
    assert where == ["emulated-clock"]


def test_a_running_clock_can_be_moved_forward(clock: Clock) -> None:
    happened = threading.Event()
    clock.after(timedelta(days=2), happened.set)

    clock.advance(timedelta(days=3))

    assert happened.is_set()
    assert clock.now() - datetime.now(UTC) > timedelta(days=2, hours=23)


def test_who_moves_time_waits_for_what_is_happening_in_another_thread(clock: Clock) -> None:
    clock.freeze(START)
    seen: list[str] = []

    def advance() -> None:
        clock.advance(SECOND)
        seen.append(f"moved to {(clock.now() - START).seconds}")

    def act() -> None:
        other.start()
        other.join(0.05)  # it would return at once if it did not wait for this
        seen.append("happened")

    other = threading.Thread(target=advance)
    clock.after(SECOND, act)
    clock.advance(SECOND)
    other.join(20)

    assert seen == ["happened", "moved to 2"]


def test_who_moves_a_running_clock_waits_for_what_its_own_thread_does(clock: Clock) -> None:
    seen: list[str] = []
    begun = threading.Event()

    def advance() -> None:
        begun.wait(20)
        clock.advance(SECOND)
        seen.append("moved")

    other = threading.Thread(target=advance)
    other.start()

    def act() -> None:
        begun.set()
        other.join(0.05)
        seen.append("happened")

    clock.after(timedelta(0), act)
    other.join(20)

    assert seen == ["happened", "moved"]


def test_what_happens_may_move_time_from_its_own_moment_on(clock: Clock) -> None:
    clock.freeze(START)
    seen: list[tuple[str, datetime]] = []

    def first() -> None:
        clock.advance(5 * SECOND)
        seen.append(("first", clock.now()))

    clock.after(SECOND, first)
    clock.after(2 * SECOND, lambda: seen.append(("second", clock.now())))
    clock.advance(3 * SECOND)

    assert seen == [("second", START + 2 * SECOND), ("first", START + 6 * SECOND)]
    assert clock.now() == START + 6 * SECOND


def test_a_resumed_clock_goes_on_from_where_it_stood(clock: Clock) -> None:
    clock.freeze(START)
    happened = threading.Event()
    clock.after(timedelta(milliseconds=20), happened.set)

    clock.resume()

    assert happened.wait(20)
    assert START < clock.now() < START + timedelta(minutes=5)


def test_a_reset_clock_tells_real_time_again(clock: Clock) -> None:
    clock.freeze(START)
    clock.advance(timedelta(days=400))

    clock.reset()

    assert abs(clock.now() - datetime.now(UTC)) < timedelta(minutes=1)


def test_a_closed_clock_lets_nothing_happen_and_leaves_no_thread() -> None:
    others = set(threading.enumerate())
    clock = Clock()
    seen: list[str] = []
    clock.after(timedelta(hours=1), lambda: seen.append("before"))
    clock.close()
    clock.after(timedelta(0), lambda: seen.append("after"))
    clock.advance(timedelta(hours=2))

    assert seen == []
    assert not [thread for thread in threading.enumerate() if thread.name == "emulated-clock" and thread not in others]


@settings(max_examples=100, deadline=None)
@given(
    delays=st.lists(st.integers(0, 1000), max_size=30),
    cancelled=st.sets(st.integers(0, 29)),
    steps=st.lists(st.integers(0, 400), max_size=8),
)
def test_however_time_is_moved_each_happens_once_in_order_at_its_moment(
    delays: list[int], cancelled: set[int], steps: list[int]
) -> None:
    clock = Clock()
    clock.freeze(START)
    seen: list[tuple[int, int, datetime]] = []
    for order, delay in enumerate(delays):
        timer = clock.after(delay * SECOND, lambda d=delay, o=order: seen.append((d, o, clock.now())))
        if order in cancelled:
            timer.cancel()

    for step in steps:
        clock.advance(step * SECOND)

    reached = sum(steps)
    due = sorted((d, o) for o, d in enumerate(delays) if o not in cancelled and d <= reached and steps)
    assert [(d, o) for d, o, _ in seen] == due
    assert all(when == START + d * SECOND for d, _, when in seen)
    clock.close()


@settings(max_examples=60, deadline=None)
@given(
    delays=st.lists(st.integers(0, 60), max_size=20),
    steps=st.lists(st.lists(st.integers(0, 20), max_size=4), min_size=2, max_size=4),
)
def test_however_many_threads_move_time_each_returns_when_all_is_over_that_was_due(
    delays: list[int], steps: list[list[int]]
) -> None:
    clock = Clock()
    clock.freeze(START)
    lock, ready = threading.Lock(), threading.Barrier(len(steps))
    begun: list[int] = []
    ended: list[int] = []
    faults: list[str] = []

    def act(delay: int) -> None:
        begun.append(delay)
        if clock.now() != START + delay * SECOND or len(begun) != len(ended) + 1:
            faults.append(f"{delay} happened at {clock.now()}, beside {begun[len(ended) : -1]}")
        ended.append(delay)

    def move(own: list[int]) -> None:
        reached = 0
        ready.wait(20)
        for step in own:
            clock.advance(step * SECOND)
            reached += step
            with lock:
                late = [delay for delay in delays if delay <= reached and ended.count(delay) < delays.count(delay)]
                if late:
                    faults.append(f"{late} were not over at {reached}")

    for delay in delays:
        clock.after(delay * SECOND, lambda d=delay: act(d))
    movers = [threading.Thread(target=move, args=(own,)) for own in steps]
    for mover in movers:
        mover.start()
    for mover in movers:
        mover.join(20)

    total = sum(map(sum, steps))
    assert not faults
    assert begun == sorted(delay for delay in delays if delay <= total and any(steps))
    assert clock.now() == START + total * SECOND
    clock.close()
