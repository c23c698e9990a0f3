"""Schedules when changes are refused, answers are lost and others change them: Azure knows what is in force."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from cloudmlops import Platform
from cloudmlops.emulators.azure.arm.paging import PAGE
from cloudmlops.emulators.azure.cloud import SUBSCRIPTION, AzureCloud
from cloudmlops.emulators.core.emulator import Emulator
from cloudmlops.emulators.core.faults import Fault, Refused
from cloudmlops.errors import ConflictError, NotFoundError, PermissionDeniedError, ServiceError, WaitTimeoutError
from cloudmlops.providers.azureml.sdk import ml

from .conftest import Connects, Opened
from .steps.pipelines import exactly, single

pytestmark = pytest.mark.filterwarnings("ignore::marshmallow.warnings.RemovedInMarshmallow4Warning")
PUT = "arm/PUT workspaces/schedules"
DELETE = "arm/DELETE workspaces/schedules"
NO = Refused("PERMISSION_DENIED", "no")
GIVEN = {"large": 1, "real": 0.5, "text": "a"}


def _times(platform: Platform) -> list[tuple[str, str, bool]]:
    return [(one.cron, one.timezone, one.paused) for one in platform.pipelines.schedules()]


@pytest.mark.conformance(ci=True)
def test_what_was_scheduled_is_listed_as_it_was_given(connect_to_run: Connects) -> None:
    platform = connect_to_run()

    given = platform.pipelines.schedule(
        exactly, name="nightly", cron="0 3 * * *", timezone="Europe/Zurich", parameters=GIVEN
    )

    assert platform.pipelines.schedules() == [given]
    assert connect_to_run().pipelines.schedules() == [given]


@pytest.mark.conformance(ci=True)
def test_when_schedules_fired_is_asked_with_one_page_of_jobs_for_each(
    connect_to_run: Connects, cloud: AzureCloud, azureml_emulator: Emulator
) -> None:
    azureml_emulator.clock.freeze(datetime(2030, 1, 1, 12, tzinfo=UTC))
    cloud.pace.queued = timedelta(days=1000)
    platform = connect_to_run()
    platform.pipelines.schedule(exactly, name="often", cron="0 3 * * *", parameters=GIVEN)
    platform.pipelines.schedule(exactly, name="never", cron="0 3 * * *", parameters=GIVEN)
    platform.native.schedules.begin_disable("never").result()
    azureml_emulator.clock.advance(timedelta(days=PAGE + 5))  # more jobs than are on a page
    azureml_emulator.calls.clear()

    fired = {schedule.name: schedule.last_fired_at for schedule in platform.pipelines.schedules()}

    assert fired == {"often": datetime(2030, 1, 1, 3, tzinfo=UTC) + timedelta(days=PAGE + 5), "never": None}
    asked = [call.request["query"] for call in azureml_emulator.calls.list("arm/GET workspaces/jobs")]
    assert sorted(query["tag"] for query in asked) == ["cloudmlops_schedule_never", "cloudmlops_schedule_often"]
    assert all("$skipToken" not in query for query in asked)


@pytest.mark.conformance(ci=True)
def test_a_change_that_is_refused_leaves_what_was_in_force(
    connect_to_run: Connects, azureml_emulator: Emulator
) -> None:
    azureml_emulator.clock.freeze(datetime(2030, 1, 1, 1, 30, tzinfo=UTC))
    platform = connect_to_run()
    kept = platform.pipelines.schedule(single, name="nightly", cron="0 3 * * *", parameters={"value": 7})
    azureml_emulator.faults.set(Fault(matching=PUT, refused=NO))

    with pytest.raises(PermissionDeniedError):
        platform.pipelines.schedule(single, name="nightly", cron="*/5 * * * *", parameters={"value": 8})

    assert platform.pipelines.schedules() == [kept]
    azureml_emulator.clock.advance(timedelta(hours=2))
    (run,) = platform.pipelines.list("single")
    assert run.lineage.parameters == {"value": 7}


@pytest.mark.conformance(ci=True)
def test_a_change_whose_answer_is_lost_is_shown_as_what_it_is(
    connect_to_run: Connects, azureml_emulator: Emulator
) -> None:
    azureml_emulator.clock.freeze(datetime(2030, 1, 1, 1, 30, tzinfo=UTC))
    platform, impatient = connect_to_run(), connect_to_run(timeout="2")
    platform.pipelines.schedule(single, name="nightly", cron="0 3 * * *", parameters={"value": 7})
    azureml_emulator.faults.set(Fault(matching=PUT, lose_response=True, times=None))
    with pytest.raises(ServiceError):
        impatient.pipelines.schedule(single, name="nightly", cron="0 2 * * *", parameters={"value": 8})
    azureml_emulator.faults.clear()

    (kept,) = platform.pipelines.schedules()
    assert (kept.cron, kept.parameters) == ("0 2 * * *", {"value": 8})
    azureml_emulator.clock.advance(timedelta(hours=1))
    (run,) = platform.pipelines.list("single")
    assert run.lineage.parameters == {"value": 8}


@pytest.mark.conformance(ci=True)
def test_a_first_schedule_that_failed_claims_no_other_of_its_name(
    connect_to_run: Connects, azureml_emulator: Emulator
) -> None:
    platform = connect_to_run()
    azureml_emulator.faults.set(Fault(matching=PUT, refused=NO))
    with pytest.raises(PermissionDeniedError):
        platform.pipelines.schedule(single, name="nightly", cron="0 3 * * *")
    _somebody_schedules(platform, "nightly")

    with pytest.raises(ConflictError, match="that this library did not make"):
        platform.pipelines.schedule(single, name="nightly", cron="0 4 * * *")
    with pytest.raises(NotFoundError, match="there is no schedule 'nightly'"):
        platform.pipelines.unschedule("nightly")

    assert platform.pipelines.schedules() == []
    assert platform.native.schedules.get("nightly").trigger.expression == "0 9 * * 1"


def test_a_removal_that_was_begun_is_shown_as_paused_and_can_be_ended(
    connect_to_run: Connects, azureml_emulator: Emulator
) -> None:
    platform = connect_to_run()
    platform.pipelines.schedule(single, name="nightly", cron="0 3 * * *")
    azureml_emulator.faults.set(Fault(matching=DELETE, refused=NO))
    with pytest.raises(PermissionDeniedError):
        platform.pipelines.unschedule("nightly")

    assert _times(platform) == [("0 3 * * *", "UTC", True)]

    platform.pipelines.unschedule("nightly")
    assert platform.pipelines.schedules() == []
    assert azureml_emulator.calls.list(DELETE)[-1].status == "OK"


@pytest.mark.conformance(ci=True)
@pytest.mark.parametrize("call", [PUT, DELETE])
def test_a_removal_whose_answer_is_lost_is_done_by_the_next_call(
    connect_to_run: Connects, azureml_emulator: Emulator, call: str
) -> None:
    platform, impatient = connect_to_run(), connect_to_run(timeout="2")
    platform.pipelines.schedule(single, name="nightly", cron="0 3 * * *")
    azureml_emulator.faults.set(Fault(matching=call, lose_response=True, times=None))
    with pytest.raises(ServiceError):
        impatient.pipelines.unschedule("nightly")
    azureml_emulator.faults.clear()

    for one in platform.pipelines.schedules():
        platform.pipelines.unschedule(one.name)

    assert platform.pipelines.schedules() == []


@pytest.mark.conformance(ci=True)
def test_what_studio_changes_is_what_is_shown_and_scheduling_anew_resumes(
    connect_to_run: Connects, azureml_emulator: Emulator
) -> None:
    azureml_emulator.clock.freeze(datetime(2030, 1, 1, 1, 30, tzinfo=UTC))
    platform = connect_to_run()
    platform.pipelines.schedule(single, name="nightly", cron="0 3 * * *", timezone="Europe/Zurich")
    changed = platform.native.schedules.get("nightly")
    changed.trigger = ml().entities.CronTrigger(expression="30 5 * * *", time_zone="Tokyo Standard Time")
    platform.native.schedules.begin_create_or_update(changed).result()
    platform.native.schedules.begin_disable("nightly").result()

    assert _times(platform) == [("30 5 * * *", "Asia/Tokyo", True)]
    azureml_emulator.clock.advance(timedelta(days=1))
    assert platform.pipelines.list() == []

    platform.pipelines.schedule(single, name="nightly", cron="0 3 * * *", timezone="Europe/Vaduz")
    assert _times(platform) == [("0 3 * * *", "Europe/Vaduz", False)]
    azureml_emulator.clock.advance(timedelta(days=1))
    (run,) = platform.pipelines.list("single")
    assert run.wait().outputs == {"output": 1}


@pytest.mark.conformance(ci=True)
def test_the_runs_of_a_schedule_that_was_replaced_and_removed_keep_what_they_were_asked_to_do(
    connect_to_run: Connects, azureml_emulator: Emulator
) -> None:
    azureml_emulator.clock.freeze(datetime(2030, 1, 1, 1, 30, tzinfo=UTC))
    platform = connect_to_run()
    platform.pipelines.schedule(single, name="nightly", cron="0 2 * * *", parameters={"value": 7})
    azureml_emulator.clock.advance(timedelta(hours=1))
    platform.pipelines.schedule(single, name="nightly", cron="0 4 * * *", parameters={"value": 8})
    platform.pipelines.unschedule("nightly")

    (run,) = connect_to_run().pipelines.list("single")

    assert run.lineage.parameters == {"value": 7}
    assert run.wait().outputs == {"output": 7}


def test_nothing_is_printed_while_azure_takes_its_time(
    connect_to_run: Connects, cloud: AzureCloud, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cloud.operations, "takes", timedelta(seconds=0.3))
    platform = connect_to_run(compute="made", compute_machine="Standard_DS3_v2")
    capfd.readouterr()

    platform.pipelines.schedule(single, name="nightly", cron="0 3 * * *")
    assert _times(platform) == [("0 3 * * *", "UTC", False)]
    platform.pipelines.unschedule("nightly")
    assert platform.pipelines.schedules() == []
    platform.pipelines.run(single).cancel()

    assert capfd.readouterr().out == ""


def test_why_what_was_begun_failed_is_told(opened: Opened, cloud: AzureCloud) -> None:
    wire = opened().wire

    def begin(raw_response_hook: Callable[[object], None]) -> None:
        name = cloud.operations.start(f"{wire.settings.workspace_id}/schedules/nightly")
        cloud.operations.fail(name, Refused("INVALID_ARGUMENT", "the moon is not full"))
        headers = cloud.operations.followed(name, SUBSCRIPTION, "westeurope", version="2024-01-01-preview")
        raw_response_hook(SimpleNamespace(http_response=SimpleNamespace(status_code=201, headers=headers)))

    with pytest.raises(ServiceError, match=r"pipelines\.schedule of 'nightly' failed: the moon is not full"):
        wire.settle(begin, operation="pipelines.schedule", resource="nightly")


def test_a_schedule_that_azure_does_not_come_to_make_is_waited_for_no_longer_than_a_call_may_take(
    connect_to_run: Connects, cloud: AzureCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cloud.operations, "stuck", True)

    with pytest.raises(WaitTimeoutError, match=r"pipelines\.schedule of 'nightly' has not ended after 3 s"):
        connect_to_run(timeout="3").pipelines.schedule(single, name="nightly", cron="0 3 * * *")


def _somebody_schedules(platform: Platform, name: str) -> None:
    platform.pipelines.schedule(single, name="model", cron="0 9 * * 1")
    theirs = platform.native.schedules.get("model")
    platform.pipelines.unschedule("model")
    theirs.name, theirs.tags = name, {}
    platform.native.schedules.begin_create_or_update(theirs).result()
