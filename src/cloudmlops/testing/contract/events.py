"""What events promise on every provider."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from cloudmlops.domain.events import DriftDetected, Event, EventContext, RunCompleted, RunFailed, UnknownEvent
from cloudmlops.errors import InvalidRequestError, NotFoundError

if TYPE_CHECKING:
    from cloudmlops._platform import Platform

_LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


def drift(platform: Platform, metric: str = "psi", *, subject: str = "delays", minute: int = 0) -> DriftDetected:
    """Make an event that only its arguments tell apart from others."""
    time = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minute)
    return DriftDetected(platform=platform.address, time=time, subject=subject, metric=metric, value=0.3, threshold=0.2)


class EventsContract:
    """Inherit from it, and give the fixture `platform`."""

    def test_a_published_event_reaches_its_handler(self, platform: Platform) -> None:
        seen: list[Event] = []
        platform.events.on(DriftDetected, handler="watch")(lambda event, _: seen.append(event))

        platform.events.publish(drift(platform))

        assert platform.events.process() == 1
        assert seen == [drift(platform)]

    def test_an_event_that_was_there_before_its_handler_is_handled(self, platform: Platform) -> None:
        platform.events.publish(drift(platform))
        seen: list[Event] = []

        platform.events.on(DriftDetected, handler="watch")(lambda event, _: seen.append(event))

        assert platform.events.process() == 1
        assert seen == [drift(platform)]

    def test_an_event_is_handled_once_however_often_it_is_published(self, platform: Platform) -> None:
        seen: list[Event] = []
        platform.events.on(DriftDetected, handler="watch")(lambda event, _: seen.append(event))

        for _ in range(3):
            platform.events.publish(drift(platform))
            platform.events.process()

        assert seen == [drift(platform)]
        assert platform.events.list() == [drift(platform)]

    def test_each_handler_gets_each_event_that_it_asked_for(self, platform: Platform) -> None:
        seen: list[tuple[str, str]] = []
        platform.events.on(RunCompleted, handler="delays", pipeline="delays")(
            lambda event, _: seen.append(("delays", event.run))
        )
        platform.events.on(Event, handler="all")(lambda event, _: seen.append(("all", event.meaning[0])))
        now = datetime.now(UTC)

        platform.events.publish(RunCompleted(platform=platform.address, time=now, pipeline="delays", run="r1"))
        platform.events.publish(RunCompleted(platform=platform.address, time=now, pipeline="other", run="r2"))

        assert platform.events.process() == 3
        assert sorted(seen) == [("all", "r1"), ("all", "r2"), ("delays", "r1")]

    def test_an_event_of_an_unknown_kind_is_kept_and_can_be_handled(self, platform: Platform) -> None:
        seen: list[UnknownEvent] = []
        platform.events.on(UnknownEvent, handler="other", type="com.example.new")(lambda event, _: seen.append(event))
        unknown = UnknownEvent(
            platform="//example.com",
            time=datetime(2026, 1, 1, tzinfo=UTC),
            type="com.example.new",
            source="//example.com",
            id="7",
            data={"Answer": 42},
        )

        platform.events.publish(unknown)

        assert platform.events.process() == 1
        assert seen == [unknown]

    def test_a_handler_that_fails_is_tried_again(self, platform: Platform) -> None:
        attempts: list[int] = []

        @platform.events.on(DriftDetected, handler="flaky", retries=2, backoff=timedelta(0))
        def flaky(_event: DriftDetected, ctx: EventContext) -> None:
            attempts.append(ctx.attempt)
            if len(attempts) < 3:
                raise ConnectionError("not yet")

        platform.events.publish(drift(platform))

        assert platform.events.process() == 1
        assert attempts == [1, 2, 3]
        assert platform.events.dead_letters() == []

    def test_an_event_whose_retries_are_used_is_a_dead_letter_with_its_error(self, platform: Platform) -> None:
        @platform.events.on(DriftDetected, handler="broken", retries=1, backoff=timedelta(0))
        def broken(event: DriftDetected, _ctx: EventContext) -> None:
            raise ValueError(f"no idea what {event.metric} is")

        platform.events.publish(drift(platform))

        assert platform.events.process() == 0
        (letter,) = platform.events.dead_letters()
        assert (letter.handler, letter.event, letter.attempts) == ("broken", drift(platform), 2)
        assert (letter.error, letter.message) == ("ValueError", "no idea what psi is")
        assert "in broken" in letter.traceback

    def test_one_event_that_fails_holds_up_no_other(self, platform: Platform) -> None:
        seen: list[str] = []

        @platform.events.on(DriftDetected, handler="picky", retries=5, backoff=timedelta(hours=1))
        def picky(event: DriftDetected, _ctx: EventContext) -> None:
            if event.metric == "bad":
                raise ValueError("bad")
            seen.append(event.metric)

        for metric in ("bad", "good", "better"):
            platform.events.publish(drift(platform, metric))

        assert platform.events.process() == 2
        assert seen == ["good", "better"]

    def test_a_dead_letter_can_be_handled_again(self, platform: Platform) -> None:
        healed = False
        keys: list[str] = []

        @platform.events.on(DriftDetected, handler="heals", retries=0)
        def heals(_event: DriftDetected, ctx: EventContext) -> None:
            keys.append(ctx.key)
            if not healed:
                raise ValueError("not yet")

        platform.events.publish(drift(platform))
        platform.events.process()
        healed = True

        assert platform.events.retry() == 1
        assert platform.events.process() == 1
        assert platform.events.dead_letters() == []
        assert keys[0] == keys[1]

    def test_a_replay_handles_events_again(self, platform: Platform) -> None:
        seen: list[str] = []
        other: list[str] = []
        platform.events.on(DriftDetected, handler="watch")(lambda event, _: seen.append(event.metric))
        platform.events.on(DriftDetected, handler="other")(lambda event, _: other.append(event.metric))
        for metric in ("a", "b"):
            platform.events.publish(drift(platform, metric))
        platform.events.process()

        assert platform.events.replay(since=_LONG_AGO, handler="watch") == 2
        assert platform.events.process() == 2

        assert seen == ["a", "b", "a", "b"]
        assert other == ["a", "b"]
        assert len(platform.events.list()) == 2

    def test_a_replay_publishes_nothing_a_second_time(self, platform: Platform) -> None:
        @platform.events.on(RunFailed, handler="alarm")
        def alarm(event: RunFailed, ctx: EventContext) -> None:
            platform.events.publish(
                DriftDetected(
                    platform=event.platform,
                    time=datetime.now(UTC),
                    subject=event.pipeline,
                    metric="failures",
                    value=ctx.attempt,
                    threshold=0.0,
                )
            )

        failed = RunFailed(platform=platform.address, time=_LONG_AGO, pipeline="p", run="r", step="s", error="e")
        platform.events.publish(failed)
        platform.events.process()
        before = platform.events.list(kind=DriftDetected)

        platform.events.replay(since=_LONG_AGO)
        platform.events.process()

        assert len(before) == 1
        assert platform.events.list(kind=DriftDetected) == before

    def test_an_event_published_by_a_handler_is_handled_before_process_returns(self, platform: Platform) -> None:
        seen: list[str] = []

        @platform.events.on(DriftDetected, handler="chain")
        def chain(event: DriftDetected, _ctx: EventContext) -> None:
            seen.append(event.metric)
            if len(seen) < 4:
                platform.events.publish(drift(platform, f"{event.metric}+"))

        platform.events.publish(drift(platform, "a"))

        assert platform.events.process() == 4
        assert seen == ["a", "a+", "a++", "a+++"]

    def test_events_can_be_listed_by_kind_and_time(self, platform: Platform) -> None:
        now = datetime.now(UTC)
        run = RunCompleted(platform=platform.address, time=now, pipeline="p", run="r1")
        platform.events.publish(drift(platform))
        platform.events.publish(run)

        assert platform.events.list() == [drift(platform), run]
        assert platform.events.list(kind=RunCompleted) == [run]
        assert platform.events.list(since=now + timedelta(hours=3)) == []

    def test_a_handlers_name_is_its_own(self, platform: Platform) -> None:
        platform.events.on(DriftDetected, handler="watch")(lambda *_: None)

        with pytest.raises(InvalidRequestError, match="another handler is named 'watch'"):
            platform.events.on(RunFailed, handler="watch")(lambda *_: None)

    def test_an_unknown_handler_cannot_be_replayed(self, platform: Platform) -> None:
        with pytest.raises(NotFoundError, match="no handler named 'nobody'"):
            platform.events.replay(since=_LONG_AGO, handler="nobody")

    def test_an_event_whose_time_has_no_zone_is_refused(self, platform: Platform) -> None:
        naive = DriftDetected(
            platform=platform.address,
            time=datetime(2026, 1, 1),  # noqa: DTZ001 the fault under test
            subject="s",
            metric="m",
            value=1.0,
            threshold=0.5,
        )

        with pytest.raises(InvalidRequestError, match="has no time zone"):
            platform.events.publish(naive)
        assert platform.events.list() == []
