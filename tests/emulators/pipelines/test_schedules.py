"""Schedules on the emulator's clock."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from google.api_core import exceptions
from google.cloud import aiplatform_v1 as v1
from google.protobuf import field_mask_pb2
from tests.emulators.pipelines.conftest import Google
from tests.emulators.pipelines.specs import Spec

from cloudmlops.emulators.google import vertex_emulator

START = datetime(2030, 1, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def frozen(google: Google) -> Google:
    google.emulator.clock.freeze(START)
    return google


def _schedule(google: Google, script: str = "true", **fields: Any) -> v1.Schedule:
    spec = Spec("nightly")
    spec.shell("act", script)
    spec.task("act")
    schedule = v1.Schedule(
        display_name="nightly",
        create_pipeline_job_request=v1.CreatePipelineJobRequest(parent=google.parent, pipeline_job=google.job(spec)),
        **{"cron": "0 * * * *", "max_concurrent_run_count": 1, **fields},
    )
    return _client(google).create_schedule(parent=google.parent, schedule=schedule)


def _client(google: Google) -> v1.ScheduleServiceClient:
    return google.client(v1.ScheduleServiceClient)


def _jobs(google: Google) -> list[str]:
    return sorted(job.name.rpartition("/")[2] for job in google.pipelines.list_pipeline_jobs(parent=google.parent))


def _all_ended(google: Google) -> None:
    for job in google.pipelines.list_pipeline_jobs(parent=google.parent):
        google.ended(job)


def _until(google: Google, count: int) -> list[str]:
    import time

    until = time.monotonic() + 30
    while len(found := _jobs(google)) < count:
        assert time.monotonic() < until, found
        time.sleep(0.01)
    return found


def test_a_schedule_makes_jobs_at_its_times(frozen: Google) -> None:
    schedule = _schedule(frozen)
    assert schedule.next_run_time == START + HOUR

    for _ in range(2):
        frozen.emulator.clock.advance(HOUR)
        _all_ended(frozen)

    assert _jobs(frozen) == ["nightly-20300101130000", "nightly-20300101140000"]
    known = _client(frozen).get_schedule(name=schedule.name)
    assert known.started_run_count == 2
    assert known.next_run_time == START + 3 * HOUR
    assert known.last_scheduled_run_response.scheduled_run_time == START + 2 * HOUR
    assert next(iter(frozen.pipelines.list_pipeline_jobs(parent=frozen.parent))).schedule_name == schedule.name


def test_times_are_read_in_the_zone_before_them(frozen: Google) -> None:
    assert _schedule(frozen, cron="TZ=America/New_York 0 9 * * *").next_run_time == START + 2 * HOUR
    assert _schedule(frozen, cron="CRON_TZ=Asia/Tokyo 0 0 * * *").next_run_time == START + 3 * HOUR


def test_a_schedule_ends_after_so_many_runs_or_at_its_end(frozen: Google) -> None:
    counted = _schedule(frozen, max_run_count=1)
    timed = _schedule(frozen, end_time=START + timedelta(minutes=90), cron="30 * * * *")

    frozen.emulator.clock.advance(4 * HOUR)

    for name in (counted.name, timed.name):
        known = _client(frozen).get_schedule(name=name)
        assert known.state is v1.Schedule.State.COMPLETED
        assert known.started_run_count == 1 if name == counted.name else 2


def test_a_time_at_which_too_many_runs_go_on_is_left_out(frozen: Google, tmp_path: Path) -> None:
    _schedule(frozen, f"while ! test -f {tmp_path}/go; do sleep 0.02; done")

    frozen.emulator.clock.advance(3 * HOUR)
    (tmp_path / "go").touch()
    _all_ended(frozen)

    assert _jobs(frozen) == ["nightly-20300101130000"]


def test_with_queueing_such_a_time_is_made_up_for(frozen: Google, tmp_path: Path) -> None:
    _schedule(frozen, f"while ! test -f {tmp_path}/go; do sleep 0.02; done", allow_queueing=True)

    frozen.emulator.clock.advance(2 * HOUR)
    assert _jobs(frozen) == ["nightly-20300101130000"]
    (tmp_path / "go").touch()

    assert _until(frozen, 2) == ["nightly-20300101130000", "nightly-20300101140000"]
    _all_ended(frozen)


def test_the_end_of_a_run_plans_nothing_anew(frozen: Google, tmp_path: Path) -> None:
    schedule = _schedule(frozen, f"while ! test -f {tmp_path}/go; do sleep 0.02; done")
    frozen.emulator.clock.advance(HOUR)
    (carrying,) = [thread for thread in threading.enumerate() if "pipeline-job-nightly-20300101130000" in thread.name]

    frozen.emulator.clock.freeze(START - 24 * HOUR)  # as a reset does
    (tmp_path / "go").touch()
    carrying.join(30)

    assert not carrying.is_alive()
    assert _client(frozen).get_schedule(name=schedule.name).next_run_time == START + 2 * HOUR


def test_what_is_queued_is_made_up_for_after_a_restart(tmp_path: Path) -> None:
    with vertex_emulator(state=tmp_path / "state") as first, grpc.insecure_channel(first.address) as channel:
        google = Google(emulator=first, project="restarted", channel=channel)
        httpx.post(
            f"{first.url}/storage/v1/b", params={"project": "restarted"}, json={"name": google.bucket}, verify=False
        )
        first.clock.freeze(START)
        going = f"test -f {tmp_path}/go || sleep 600"
        _schedule(google, going, allow_queueing=True)
        first.clock.advance(2 * HOUR)
        assert _jobs(google) == ["nightly-20300101130000"]
    (tmp_path / "go").touch()

    with vertex_emulator(state=tmp_path / "state") as second, grpc.insecure_channel(second.address) as channel:
        google = Google(emulator=second, project="restarted", channel=channel)
        assert _until(google, 2) == ["nightly-20300101130000", "nightly-20300101140000"]
        _all_ended(google)
        states = [job.state.name for job in google.pipelines.list_pipeline_jobs(parent=google.parent)]
    assert sorted(states) == ["PIPELINE_STATE_FAILED", "PIPELINE_STATE_SUCCEEDED"]


@pytest.mark.parametrize(("catch_up", "made"), [(False, 1), (True, 3)])
def test_a_paused_schedule_makes_none_and_may_catch_up(frozen: Google, catch_up: bool, made: int) -> None:
    schedule = _schedule(frozen, max_concurrent_run_count=5)
    _client(frozen).pause_schedule(name=schedule.name)
    frozen.emulator.clock.advance(2 * HOUR)
    assert _jobs(frozen) == []

    _client(frozen).resume_schedule(name=schedule.name, catch_up=catch_up)
    frozen.emulator.clock.advance(HOUR)

    assert len(_until(frozen, made)) == made
    _all_ended(frozen)


def test_a_schedule_is_changed_and_removed(frozen: Google) -> None:
    schedule = _schedule(frozen)
    changed = v1.Schedule(name=schedule.name, cron="0 0 * * *")

    changed = _client(frozen).update_schedule(schedule=changed, update_mask=field_mask_pb2.FieldMask(paths=["cron"]))
    frozen.emulator.clock.advance(HOUR)

    assert changed.next_run_time == START + 12 * HOUR
    assert _jobs(frozen) == []
    _client(frozen).delete_schedule(name=schedule.name).result()
    frozen.emulator.clock.advance(24 * HOUR)
    assert _jobs(frozen) == []
    assert list(_client(frozen).list_schedules(parent=frozen.parent)) == []


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"cron": "at noon"}, "five fields"),
        ({"cron": "TZ=Mars/Olympus 0 0 * * *"}, "time zone"),
        ({"max_concurrent_run_count": 0}, "max_concurrent_run_count"),
    ],
)
def test_a_wrong_schedule_is_refused(google: Google, wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(exceptions.InvalidArgument, match=told):
        _schedule(google, **wrong)
