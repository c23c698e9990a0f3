"""Schedules when changes are refused, answers are lost and others change them: Vertex AI knows what is in force."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from google.cloud import aiplatform_v1 as v1
from google.protobuf import field_mask_pb2

from cloudmlops import Platform, connect
from cloudmlops.emulators.core.emulator import Emulator
from cloudmlops.emulators.core.faults import Fault, Refused
from cloudmlops.errors import NotFoundError, PermissionDeniedError, UnavailableError
from cloudmlops.testing.contract.pipeline_steps import training

from .conftest import Opened

pytestmark = pytest.mark.conformance(ci=True)

IMAGE = "europe-west4-docker.pkg.dev/any/steps/cloudmlops:latest"
CREATE, UPDATE, DELETE = (f"aiplatform/ScheduleService.{verb}Schedule" for verb in ("Create", "Update", "Delete"))
NO = Refused("PERMISSION_DENIED", "no")


@pytest.fixture
def platform(opened: Opened, vertex_emulator: Emulator) -> Iterator[Platform]:
    vertex_emulator.clock.freeze(datetime(2030, 1, 1, 1, 30, tzinfo=UTC))
    with connect(opened(image=IMAGE).target) as connected:
        yield connected


@pytest.fixture
def native(opened: Opened) -> v1.ScheduleServiceClient:
    return opened().wire.client(v1.ScheduleServiceClient)


def _there(native: v1.ScheduleServiceClient, opened: Opened) -> list[v1.Schedule]:
    return list(native.list_schedules(parent=opened().settings.parent))


def _times(platform: Platform) -> list[tuple[str, str, bool]]:
    return [(one.cron, one.timezone, one.paused) for one in platform.pipelines.schedules()]


def test_what_was_scheduled_is_listed_as_it_was_given(platform: Platform) -> None:
    given = platform.pipelines.schedule(
        training, name="nightly", cron="0 3 * * *", timezone="Europe/Zurich", parameters={"rows": 4}
    )

    assert platform.pipelines.schedules() == [given]


def test_a_change_that_is_refused_leaves_what_was_in_force(platform: Platform, vertex_emulator: Emulator) -> None:
    kept = platform.pipelines.schedule(training, name="nightly", cron="0 3 * * *", parameters={"rows": 4})
    vertex_emulator.faults.set(Fault(matching=UPDATE, refused=NO))

    with pytest.raises(PermissionDeniedError):
        platform.pipelines.schedule(training, name="nightly", cron="*/5 * * * *", parameters={"rows": 5})

    assert platform.pipelines.schedules() == [kept]
    vertex_emulator.clock.advance(timedelta(hours=2))
    (run,) = platform.pipelines.list("training")
    assert run.lineage.parameters["rows"] == 4


def test_a_change_whose_answer_is_lost_is_shown_as_what_it_is(
    opened: Opened, platform: Platform, vertex_emulator: Emulator
) -> None:
    platform.pipelines.schedule(training, name="nightly", cron="0 3 * * *", parameters={"rows": 4})
    vertex_emulator.faults.set(Fault(matching=UPDATE, lose_response=True, times=None))
    with connect(opened(image=IMAGE, timeout="1").target) as impatient, pytest.raises(UnavailableError):
        impatient.pipelines.schedule(training, name="nightly", cron="0 2 * * *", parameters={"rows": 5})
    vertex_emulator.faults.clear()

    assert _times(platform) == [("0 2 * * *", "UTC", False)]
    vertex_emulator.clock.advance(timedelta(hours=1))
    (run,) = platform.pipelines.list("training")
    assert run.lineage.parameters["rows"] == 5


def test_a_first_schedule_that_failed_claims_no_other_of_its_name(
    opened: Opened, native: v1.ScheduleServiceClient, platform: Platform, vertex_emulator: Emulator
) -> None:
    vertex_emulator.faults.set(Fault(matching=CREATE, refused=NO))
    with pytest.raises(PermissionDeniedError):
        platform.pipelines.schedule(training, name="nightly", cron="0 3 * * *")
    platform.pipelines.schedule(training, name="model", cron="0 3 * * *")
    (theirs,) = _there(native, opened)
    theirs.display_name = "nightly"
    theirs.create_pipeline_job_request.pipeline_job.labels.clear()
    native.create_schedule(parent=opened().settings.parent, schedule=_as_new(theirs))

    assert [one.name for one in platform.pipelines.schedules()] == ["model"]
    with pytest.raises(NotFoundError, match="there is no schedule 'nightly'"):
        platform.pipelines.unschedule("nightly")
    platform.pipelines.schedule(training, name="nightly", cron="0 4 * * *")

    assert sorted(one.cron for one in _there(native, opened) if one.display_name == "nightly") == [
        "TZ=UTC 0 3 * * *",
        "TZ=UTC 0 4 * * *",
    ]


def test_the_schedules_of_a_platform_with_another_store_are_somebody_elses(opened: Opened, platform: Platform) -> None:
    platform.pipelines.schedule(training, name="nightly", cron="0 3 * * *")

    with connect(opened(image=IMAGE, prefix="elsewhere").target) as other:
        assert other.pipelines.schedules() == []
        with pytest.raises(NotFoundError):
            other.pipelines.unschedule("nightly")


def test_what_the_console_changes_is_what_is_shown_and_scheduling_anew_resumes(
    opened: Opened, native: v1.ScheduleServiceClient, platform: Platform, vertex_emulator: Emulator
) -> None:
    platform.pipelines.schedule(training, name="nightly", cron="0 3 * * *", timezone="Europe/Zurich")
    (known,) = _there(native, opened)
    known.cron, known.display_name = "30 5 * * *", "renamed"
    mask = field_mask_pb2.FieldMask(paths=["cron", "display_name"])
    native.update_schedule(schedule=known, update_mask=mask)
    native.pause_schedule(name=known.name)

    (shown,) = platform.pipelines.schedules()
    assert (shown.name, shown.cron, shown.timezone, shown.paused) == ("nightly", "30 5 * * *", "UTC", True)

    platform.pipelines.schedule(training, name="nightly", cron="0 2 * * *")
    assert _times(platform) == [("0 2 * * *", "UTC", False)]
    vertex_emulator.clock.advance(timedelta(hours=1))
    assert len(platform.pipelines.list("training")) == 1


def test_doubles_that_lost_answers_have_left_end_with_the_next_change_or_the_removal(
    opened: Opened, native: v1.ScheduleServiceClient, platform: Platform
) -> None:
    for again in (
        lambda: platform.pipelines.schedule(training, name="nightly", cron="0 5 * * *"),
        lambda: platform.pipelines.unschedule("nightly"),
    ):
        platform.pipelines.schedule(training, name="nightly", cron="0 3 * * *")
        native.create_schedule(parent=opened().settings.parent, schedule=_as_new(_there(native, opened)[0]))
        assert len(platform.pipelines.schedules()) == 2
        again()
        assert len(_there(native, opened)) == len(platform.pipelines.schedules()) < 2


def test_a_schedule_that_has_come_to_its_end_is_replaced(
    opened: Opened, native: v1.ScheduleServiceClient, platform: Platform, vertex_emulator: Emulator
) -> None:
    platform.pipelines.schedule(training, name="nightly", cron="0 2 * * *")
    (known,) = _there(native, opened)
    known.end_time = datetime(2030, 1, 1, 3, tzinfo=UTC)
    native.update_schedule(schedule=known, update_mask=field_mask_pb2.FieldMask(paths=["end_time"]))
    vertex_emulator.clock.advance(timedelta(days=1))
    assert _times(platform) == [("0 2 * * *", "UTC", True)]

    platform.pipelines.schedule(training, name="nightly", cron="0 5 * * *")

    assert _times(platform) == [("0 5 * * *", "UTC", False)]


def test_a_removal_whose_answer_is_lost_is_done_by_the_next_call(
    opened: Opened, platform: Platform, vertex_emulator: Emulator
) -> None:
    platform.pipelines.schedule(training, name="nightly", cron="0 3 * * *")
    vertex_emulator.faults.set(Fault(matching=DELETE, lose_response=True, times=None))
    with connect(opened(image=IMAGE, timeout="1").target) as impatient, pytest.raises(UnavailableError):
        impatient.pipelines.unschedule("nightly")
    vertex_emulator.faults.clear()

    for one in platform.pipelines.schedules():
        platform.pipelines.unschedule(one.name)

    assert platform.pipelines.schedules() == []


def test_the_runs_of_a_schedule_that_was_replaced_and_removed_keep_what_they_were_asked_to_do(
    platform: Platform, vertex_emulator: Emulator
) -> None:
    platform.pipelines.schedule(training, name="nightly", cron="0 2 * * *", parameters={"rows": 4})
    vertex_emulator.clock.advance(timedelta(hours=1))
    platform.pipelines.schedule(training, name="nightly", cron="0 4 * * *", parameters={"rows": 5})
    platform.pipelines.unschedule("nightly")

    (run,) = platform.pipelines.list("training")

    assert run.lineage.parameters["rows"] == 4


def _as_new(known: v1.Schedule) -> v1.Schedule:
    return v1.Schedule(
        display_name=known.display_name,
        cron=known.cron,
        create_pipeline_job_request=known.create_pipeline_job_request,
        max_concurrent_run_count=1,
    )
