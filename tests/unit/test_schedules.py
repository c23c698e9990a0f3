"""Runs at their times, with a clock that the test moves."""

import subprocess
import sys
import threading
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit import odd_flow

from cloudmlops import Platform
from cloudmlops.domain.runs import RunState
from cloudmlops.domain.schedules import Schedule, scheduled_run_id
from cloudmlops.errors import ConflictError, InvalidRequestError
from cloudmlops.ports.clock import FixedClock
from cloudmlops.providers.local.pipelines import LocalPipelines
from cloudmlops.providers.local.running.scheduler import Scheduler, latest_time


@pytest.fixture
def clock(platform: Platform) -> FixedClock:
    platform._backends.clock = FixedClock(datetime(2013, 1, 1, 1, 30, tzinfo=UTC))
    return platform._backends.clock


@pytest.fixture
def scheduler(platform: Platform, clock: FixedClock) -> Scheduler:
    opened = open_scheduler(platform)
    yield opened
    opened.close()


def open_scheduler(platform: Platform) -> Scheduler:
    pipelines = platform._backends.pipelines
    assert isinstance(pipelines, LocalPipelines)
    return Scheduler.open(pipelines, platform.native / "scheduler.lease", holder="of ada", wait=False)


def ids(platform: Platform) -> list[str]:
    return [run.id for run in platform.pipelines.list()]


def test_a_time_that_has_come_makes_one_run(platform: Platform, clock: FixedClock, scheduler: Scheduler) -> None:
    platform.pipelines.schedule(odd_flow.chain, name="nightly", cron="0 2 * * *", parameters={"n": 2})
    scheduler.tick()
    assert ids(platform) == []

    clock.at += timedelta(minutes=30)
    scheduler.tick()
    scheduler.tick()

    assert ids(platform) == ["nightly-20130101t020000z"]
    assert platform.pipelines.get("nightly-20130101t020000z").wait().outputs == {"output": 2}
    assert platform.pipelines.schedules()[0].last_fired_at == clock.at


def test_of_several_times_missed_only_the_latest_makes_a_run(
    platform: Platform, clock: FixedClock, scheduler: Scheduler
) -> None:
    platform.pipelines.schedule(odd_flow.chain, name="nightly", cron="0 2 * * *")

    clock.at += timedelta(days=5)
    scheduler.tick()

    assert ids(platform) == ["nightly-20130105t020000z"]


def test_a_time_before_the_schedule_was_made_is_not_made_up_for(
    platform: Platform, clock: FixedClock, scheduler: Scheduler
) -> None:
    platform.pipelines.schedule(odd_flow.chain, name="nightly", cron="0 1 * * *")

    scheduler.tick()

    assert ids(platform) == []


def test_a_run_recorded_before_a_crash_is_started_after_it(
    platform: Platform, clock: FixedClock, scheduler: Scheduler
) -> None:
    platform.pipelines.schedule(odd_flow.chain, name="nightly", cron="0 2 * * *")
    clock.at += timedelta(minutes=30)
    schedule = platform.pipelines.schedules()[0]
    platform._backends.pipelines.fire(schedule, clock.at)  # and then the scheduler died
    assert platform.pipelines.get("nightly-20130101t020000z").status is RunState.INTERRUPTED

    scheduler.tick()

    assert platform.pipelines.get("nightly-20130101t020000z").wait().outputs == {"output": 3}
    assert ids(platform) == ["nightly-20130101t020000z"]


def test_a_schedule_whose_run_cannot_start_does_not_stop_the_others(
    platform: Platform, clock: FixedClock, scheduler: Scheduler, caplog: pytest.LogCaptureFixture
) -> None:
    platform.pipelines.schedule(odd_flow.chain, name="broken", cron="0 2 * * *")
    platform.pipelines.schedule(odd_flow.chain, name="nightly", cron="0 2 * * *")
    clock.at += timedelta(minutes=30)
    (platform.native / "runs").mkdir(exist_ok=True)
    (platform.native / "runs" / "broken-20130101t020000z").touch()  # its folder cannot be made

    scheduler.tick()

    assert "the scheduled run broken-20130101t020000z cannot be started" in caplog.text
    (platform.native / "runs" / "broken-20130101t020000z").unlink()
    assert platform.pipelines.get("nightly-20130101t020000z").wait().outputs == {"output": 3}


def test_a_time_is_read_in_the_schedules_own_zone_also_when_clocks_change() -> None:
    schedule = Schedule(
        name="daily",
        pipeline="p",
        cron="30 6 * * *",
        timezone="Europe/Zurich",
        created_at=datetime(2013, 1, 1, tzinfo=UTC),
    )

    assert latest_time(schedule, datetime(2013, 3, 30, 12, tzinfo=UTC)) == datetime(2013, 3, 30, 5, 30, tzinfo=UTC)
    assert latest_time(schedule, datetime(2013, 3, 31, 12, tzinfo=UTC)) == datetime(2013, 3, 31, 4, 30, tzinfo=UTC)
    assert latest_time(schedule, datetime(2013, 3, 31, 4, 30, tzinfo=UTC)) == datetime(2013, 3, 31, 4, 30, tzinfo=UTC)


ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC")


def daily(cron: str, zone: str) -> Schedule:
    return Schedule(name="s", pipeline="p", cron=cron, timezone=zone, created_at=datetime(2013, 1, 1, tzinfo=UTC))


def times(schedule: Schedule, start: datetime, end: datetime) -> list[datetime]:
    """Return all times of a schedule after `start`, up to `end`."""
    found, now = [], end
    while (latest := latest_time(schedule, now)) > start:
        found.append(latest)
        now = latest - timedelta(microseconds=1)
    return found[::-1]


def shows(zone: str, at: datetime) -> datetime:
    return at.astimezone(ZoneInfo(zone)).replace(tzinfo=None, fold=0)


DAYS = st.one_of(
    st.dates(date(2012, 1, 1), date(2037, 1, 1)),
    st.sampled_from([date(2013, 3, 31), date(2013, 10, 27), date(2013, 3, 10), date(2013, 11, 3)]),
    st.sampled_from([date(2013, 10, 6), date(2013, 4, 7)]),  # Lord Howe moves its clocks by half an hour
)


@given(zone=st.sampled_from(ZONES), day=DAYS, hour=st.integers(0, 23), minute=st.integers(0, 59))
def test_a_time_of_the_day_comes_once_on_every_day(zone: str, day: date, hour: int, minute: int) -> None:
    wanted = datetime.combine(day, time(hour, minute))
    start, end = (datetime.combine(day + timedelta(days=n), time(), ZoneInfo(zone)).astimezone(UTC) for n in (0, 1))

    (found,) = times(daily(f"{minute} {hour} * * *", zone), start - timedelta(seconds=1), end - timedelta(seconds=1))

    if wanted.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None) == wanted:
        assert found == wanted.replace(tzinfo=ZoneInfo(zone), fold=0).astimezone(UTC)
    else:  # the clock leaves it out: then as soon as the clock shows a later time
        assert shows(zone, found) > wanted > shows(zone, found - timedelta(minutes=1))


@given(zone=st.sampled_from(ZONES), day=DAYS, minute=st.integers(0, 59), hours=st.sampled_from(["*", "*/1", "0-23"]))
def test_an_hourly_schedule_comes_whenever_the_clock_shows_its_minute(
    zone: str, day: date, minute: int, hours: str
) -> None:
    start = datetime.combine(day, time(), ZoneInfo(zone)).astimezone(UTC)

    found = times(daily(f"{minute} {hours} * * *", zone), start - timedelta(seconds=1), start + timedelta(hours=23))

    minutes = [start + timedelta(minutes=n) for n in range(23 * 60 + 1)]
    assert found == [at for at in minutes if shows(zone, at).minute == minute]
    if zone != "Australia/Lord_Howe":
        assert {b - a for a, b in pairwise(found)} == {timedelta(hours=1)}


def test_nightly_in_berlin_when_clocks_change() -> None:
    nightly = daily("30 2 * * *", "Europe/Berlin")

    autumn = times(nightly, datetime(2013, 10, 26, 12, tzinfo=UTC), datetime(2013, 10, 27, 12, tzinfo=UTC))
    spring = times(nightly, datetime(2013, 3, 30, 12, tzinfo=UTC), datetime(2013, 3, 31, 12, tzinfo=UTC))

    assert autumn == [datetime(2013, 10, 27, 0, 30, tzinfo=UTC)]
    assert spring == [datetime(2013, 3, 31, 1, 0, tzinfo=UTC)]  # 03:00, the first minute after the gap


def test_a_scheduled_run_runs_its_steps_anew_unless_it_is_to_use_the_cache(
    platform: Platform, clock: FixedClock, scheduler: Scheduler
) -> None:
    platform.pipelines.schedule(odd_flow.chain, name="anew", cron="0 2 * * *", parameters={"n": 1})
    platform.pipelines.schedule(odd_flow.chain, name="cached", cron="0 3 * * *", parameters={"n": 1}, cache=True)
    states = []
    for hours in (0.5, 1, 23, 1):
        clock.at += timedelta(hours=hours)
        scheduler.tick()
        run = platform.pipelines.list()[0].wait()
        states.append((run.id.partition("-")[0], run.steps["one"].state))

    assert states == [("anew", "succeeded"), ("cached", "cached"), ("anew", "succeeded"), ("cached", "cached")]


def test_a_scheduled_run_is_made_from_the_packages_of_its_own_day(
    platform: Platform, clock: FixedClock, scheduler: Scheduler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform.pipelines.schedule(odd_flow.chain, name="nightly", cron="0 2 * * *", parameters={"n": 1})
    (tmp_path / "quite_new-1.5.dist-info").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))

    clock.at += timedelta(minutes=30)
    scheduler.tick()

    run = platform.pipelines.get("nightly-20130101t020000z").wait()
    assert run.lineage.packages["quite-new"] == "1.5"


def test_a_second_scheduler_is_told_who_is_at_work(platform: Platform, scheduler: Scheduler) -> None:
    with pytest.raises(ConflictError, match=r"another scheduler is at work: process \d+ of ada") as refusal:
        open_scheduler(platform)

    assert "cloudmlops schedule run --wait" in refusal.value.hint


def test_a_waiting_scheduler_takes_over(platform: Platform, scheduler: Scheduler) -> None:
    stop, done = threading.Event(), threading.Event()
    stop.set()

    def stand_by() -> None:
        platform.pipelines.run_schedules(wait=True, stop=stop)
        done.set()

    thread = threading.Thread(target=stand_by)
    thread.start()
    assert not done.wait(0.05)
    scheduler.close()
    thread.join(60)

    assert done.is_set()


def test_two_scheduler_commands_at_once(platform_on_disk: Platform, tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from cloudmlops.cli import main; main()", "schedule", "run", "--target"]
    first = subprocess.Popen([*command, platform_on_disk.target], stderr=subprocess.PIPE, text=True)
    try:
        assert first.stderr is not None
        assert "scheduling" in first.stderr.readline()
        second = subprocess.run([*command, platform_on_disk.target], capture_output=True, text=True, timeout=60)

        assert second.returncode == 4
        assert f"another scheduler is at work: process {first.pid}" in second.stderr
    finally:
        first.terminate()
        first.communicate()


def test_a_name_too_long_for_its_runs_is_refused(platform: Platform) -> None:
    with pytest.raises(InvalidRequestError, match="a schedule cannot be called"):
        platform.pipelines.schedule(odd_flow.chain, name="x" * 60, cron="0 2 * * *")


def test_a_runs_id_names_its_schedule_and_time() -> None:
    assert scheduled_run_id("nightly", datetime(2013, 1, 1, 2, tzinfo=UTC)) == "nightly-20130101t020000z"
