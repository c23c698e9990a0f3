"""Runs at their times, with a clock that the test moves."""

import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
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
