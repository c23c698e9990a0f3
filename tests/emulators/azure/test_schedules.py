from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import httpx
import pytest
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError

from cloudmlops.emulators.azure.cloud import AzureCloud
from cloudmlops.emulators.azure.ml.time_zones import WINDOWS, time_zone
from cloudmlops.emulators.azure.ml.triggers import read_trigger
from cloudmlops.emulators.core.emulator import Emulator
from cloudmlops.emulators.core.faults import Refused

if TYPE_CHECKING:
    from pathlib import Path

    from azure.ai.ml.entities import JobSchedule
    from tests.emulators.azure.conftest import Azure

    from cloudmlops.emulators.azure.entra.tokens import Caller

pytestmark = pytest.mark.filterwarnings("ignore::marshmallow.warnings.RemovedInMarshmallow4Warning")
"""azure-ai-ml 1.35 is written for marshmallow 3, which tells of its fourth."""
API = "2023-06-01-preview"
AT = datetime(2026, 3, 2, 12, tzinfo=UTC)
"""A Monday."""
SHOWN = {
    "description",
    "tags",
    "properties",
    "displayName",
    "isEnabled",
    "trigger",
    "action",
    "provisioningState",
}
"""The properties of a schedule in recorded traffic of 2024-02."""
PIPELINE = {
    "description",
    "tags",
    "properties",
    "displayName",
    "status",
    "experimentName",
    "services",
    "computeId",
    "isArchived",
    "identity",
    "componentId",
    "notificationSetting",
    "secretsConfiguration",
    "jobType",
    "settings",
    "jobs",
    "inputs",
    "outputs",
    "sourceJobId",
}
"""What is shown of the pipeline that it makes."""


class Started:
    """Keeps what the schedules of a workspace make, in place of the jobs."""

    def __init__(self, workspace: str) -> None:
        self.workspace = workspace
        self.jobs: list[tuple[str, Mapping[str, Any], Caller]] = []

    def __call__(self, workspace: str, name: str, definition: Mapping[str, Any], caller: Caller) -> None:
        if workspace.endswith(f"/{self.workspace}"):
            self.jobs.append((name, definition, caller))

    @property
    def names(self) -> list[str]:
        return [name for name, _, _ in self.jobs]


@pytest.fixture
def started(azure: Azure) -> Any:
    before = azure.cloud.schedules.starter
    azure.cloud.schedules.starter = started = Started(azure.workspace)
    azure.emulator.clock.freeze(AT)
    yield started
    azure.cloud.schedules.starter = before


def call(azure: Azure, method: str, path: str, **more: Any) -> httpx.Response:
    token = azure.cloud.tokens.issue(azure.principal("owner"), "https://management.azure.com")
    return httpx.request(
        method,
        f"{azure.emulator.url}{azure.workspace_id}{path}",
        headers={"authorization": f"Bearer {token}"},
        params={"api-version": API, **more.pop("params", {})},
        trust_env=False,
        **more,
    )


def body(trigger: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    job = {"jobType": "Pipeline", "inputs": {"text": {"jobInputType": "literal", "value": "${{name}}"}}}
    action = {"actionType": "CreateJob", "jobDefinition": job}
    return {"properties": {"trigger": trigger, "action": action, **more}}


def hourly(**more: Any) -> dict[str, Any]:
    return {"triggerType": "Cron", "expression": "0 * * * *", "timeZone": "UTC", **more}


def put(azure: Azure, trigger: Mapping[str, Any], name: str = "retrain", **more: Any) -> None:
    call(azure, "PUT", f"/schedules/{name}", json=body(trigger, **more)).raise_for_status()


def schedule(trigger: Any) -> JobSchedule:
    from azure.ai.ml.entities import JobSchedule, PipelineJob

    return JobSchedule(name="retrain", trigger=trigger, create_job=PipelineJob(jobs={}, experiment_name="nightly"))


def due(trigger: Mapping[str, Any], count: int, *, at: datetime = AT) -> list[str]:
    """Return the next times in the trigger's own zone."""
    read = read_trigger(trigger, at)
    found: list[str] = []
    moment = at - timedelta(microseconds=1)
    for _ in range(count):
        following = read.after(moment)
        if following is None:
            return found
        moment = following
        found.append(following.astimezone(read.zone).strftime("%m-%d %H:%M"))
    return found


def test_a_schedule_is_made_listed_disabled_and_deleted_by_the_sdk(azure: Azure, started: Started) -> None:
    from azure.ai.ml.constants import TimeZone
    from azure.ai.ml.entities import CronTrigger

    schedules = azure.client().schedules
    trigger = CronTrigger(expression="15 10 * * 1", time_zone=TimeZone.PACIFIC_STANDARD_TIME)

    made = schedules.begin_create_or_update(schedule(trigger)).result()
    assert (made.name, made.is_enabled, made.provisioning_state) == ("retrain", True, "Succeeded")
    assert made.trigger.expression == "15 10 * * 1"
    assert [one.name for one in schedules.list()] == ["retrain"]
    assert schedules.begin_disable("retrain").result().is_enabled is False
    assert list(schedules.list()) == []
    assert schedules.begin_enable("retrain").result().is_enabled is True
    with pytest.raises(HttpResponseError, match="must be disabled"):
        schedules.begin_delete("retrain").result()
    schedules.begin_disable("retrain").result()
    schedules.begin_delete("retrain").result()
    with pytest.raises(ResourceNotFoundError, match="ScheduleNotFound"):
        schedules.get("retrain")


def test_a_schedule_is_shown_with_all_that_the_service_shows(azure: Azure, started: Started) -> None:
    making = call(azure, "PUT", "/schedules/retrain", json=body(hourly()))

    assert making.status_code == 201
    assert set(making.json()) == {"properties"}
    assert making.json()["properties"]["provisioningState"] == "Creating"
    made = call(azure, "GET", "/schedules/retrain").json()
    assert set(made) == {"name", "properties", "systemData"}
    assert set(made["properties"]) == SHOWN
    assert set(made["properties"]["trigger"]) == {"endTime", "startTime", "timeZone", "triggerType", "expression"}
    job = made["properties"]["action"]["jobDefinition"]
    assert set(job) == PIPELINE
    assert (job["status"], job["experimentName"]) == ("NotStarted", "Default")
    assert call(azure, "PUT", "/schedules/retrain", json=body(hourly())).status_code == 201


def test_each_time_that_is_due_makes_a_job(azure: Azure, started: Started) -> None:
    put(azure, hourly())

    azure.emulator.clock.advance(timedelta(hours=2, minutes=30))

    assert started.names == ["retrain-20260302T130000Z", "retrain-20260302T140000Z"]
    name, definition, caller = started.jobs[0]
    assert definition["inputs"]["text"]["value"] == name
    assert definition["displayName"] == name
    assert caller.name == "owner"
    firings = azure.cloud.schedules.firings(f"{azure.workspace_id}/schedules/retrain")
    assert [(one.job, one.error) for one in firings] == [(name, "") for name in started.names]


def test_a_job_that_cannot_be_made_is_told_and_the_next_one_comes(azure: Azure, started: Started) -> None:
    def refuse(workspace: str, name: str, definition: Mapping[str, Any], caller: Caller) -> None:
        raise Refused("INVALID_ARGUMENT", "no such compute")

    azure.cloud.schedules.starter = refuse
    put(azure, hourly())
    azure.emulator.clock.advance(timedelta(hours=2))

    firings = azure.cloud.schedules.firings(f"{azure.workspace_id}/schedules/retrain")
    assert [one.error for one in firings] == ["no such compute"] * 2


def test_nothing_is_made_while_it_is_disabled_nor_afterwards_for_that_time(azure: Azure, started: Started) -> None:
    put(azure, hourly())
    azure.emulator.clock.advance(timedelta(hours=1))
    put(azure, hourly(), isEnabled=False)
    azure.emulator.clock.advance(timedelta(hours=3))
    put(azure, hourly())
    azure.emulator.clock.advance(timedelta(hours=1))

    assert started.names == ["retrain-20260302T130000Z", "retrain-20260302T170000Z"]


def test_a_changed_trigger_takes_the_place_of_the_one_before(azure: Azure, started: Started) -> None:
    put(azure, hourly())
    put(azure, hourly(expression="30 * * * *"))

    azure.emulator.clock.advance(timedelta(hours=1))

    assert started.names == ["retrain-20260302T123000Z"]


def test_a_recurrence_without_a_start_begins_at_once(azure: Azure, started: Started) -> None:
    from azure.ai.ml.entities import RecurrenceTrigger

    trigger = RecurrenceTrigger(frequency="hour", interval=6)
    azure.client().schedules.begin_create_or_update(schedule(trigger)).result()

    azure.emulator.clock.advance(timedelta(hours=12))

    assert started.names == [f"retrain-20260302T{hour:02}0000Z" for hour in (12, 18)] + ["retrain-20260303T000000Z"]


def test_a_recurrence_with_a_pattern_is_made_by_the_sdk(azure: Azure, started: Started) -> None:
    from azure.ai.ml.entities import RecurrencePattern, RecurrenceTrigger

    pattern = RecurrencePattern(hours=9, minutes=[0, 30], week_days=["monday", "wednesday"])
    trigger = RecurrenceTrigger(frequency="week", interval=1, schedule=pattern)
    azure.client().schedules.begin_create_or_update(schedule(trigger)).result()

    azure.emulator.clock.advance(timedelta(days=7))

    assert started.names == [f"retrain-202603{day}T09{minute}00Z" for day in ("04", "09") for minute in ("00", "30")]
    assert azure.client().schedules.get("retrain").trigger.schedule.week_days == ["monday", "wednesday"]


@pytest.mark.parametrize(
    ("trigger", "times"),
    [
        (hourly(expression="30 2 * * *", timeZone="W. Europe Standard Time"), ["03-03 02:30", "03-04 02:30"]),
        (hourly(startTime="2026-03-05T00:00:00"), ["03-05 00:00", "03-05 01:00"]),
        (hourly(endTime="2026-03-02 13:30:00"), ["03-02 12:00", "03-02 13:00"]),
        (hourly(endTime="2026-03-02 12:30:00"), ["03-02 12:00"]),
        (
            {"triggerType": "Recurrence", "frequency": "Minute", "interval": 90, "startTime": "2026-03-01 00:00:00"},
            ["03-02 12:00", "03-02 13:30"],
        ),
        (
            {"triggerType": "Recurrence", "frequency": "Day", "interval": 2, "startTime": "2026-03-01 07:15:00"},
            ["03-03 07:15", "03-05 07:15"],
        ),
        (
            {"triggerType": "Recurrence", "frequency": "Week", "interval": 2, "startTime": "2026-02-26 07:00:00"},
            ["03-12 07:00", "03-26 07:00"],
        ),
        (
            {"triggerType": "Recurrence", "frequency": "Month", "interval": 1, "startTime": "2026-01-31 07:00:00"},
            ["03-31 07:00", "05-31 07:00"],
        ),
        (
            {
                "triggerType": "Recurrence",
                "frequency": "Month",
                "interval": 3,
                "startTime": "2026-01-01 00:00:00",
                "schedule": {"hours": [6], "minutes": [0], "monthDays": [10, 1]},
            },
            ["04-01 06:00", "04-10 06:00"],
        ),
    ],
)
def test_times_follow_the_trigger(trigger: dict[str, Any], times: list[str]) -> None:
    assert due(trigger, 2) == times


def test_a_daily_time_is_that_of_the_zone_through_a_change_of_clocks() -> None:
    pattern = {"hours": [8], "minutes": [0]}
    daily = {"triggerType": "Recurrence", "frequency": "Day", "interval": 1, "schedule": pattern}
    trigger = read_trigger({**daily, "timeZone": "W. Europe Standard Time"}, datetime(2026, 3, 28, tzinfo=UTC))

    first = trigger.after(datetime(2026, 3, 28, 0, tzinfo=UTC))
    assert first is not None
    second = trigger.after(first)
    assert second is not None
    assert second - first == timedelta(hours=23)


def test_a_time_that_the_clocks_leave_out_is_not_due() -> None:
    pattern = {"hours": [2], "minutes": [30]}
    daily = {"triggerType": "Recurrence", "frequency": "Day", "interval": 1, "schedule": pattern}
    trigger = {**daily, "timeZone": "W. Europe Standard Time"}

    at = datetime(2026, 3, 27, 12, tzinfo=UTC)
    assert due(trigger, 2, at=at) == ["03-28 02:30", "03-30 02:30"]


@pytest.mark.parametrize(
    ("trigger", "told"),
    [
        (hourly(expression="0 0 * * * *"), "five fields"),
        (hourly(timeZone="Mars"), "'Mars'"),
        (hourly(startTime="tomorrow"), "startTime"),
        (hourly(startTime="2026-03-05", endTime="2026-03-04"), "endTime"),
        ({"triggerType": "Recurrence", "frequency": "Year", "interval": 1}, "'year'"),
        ({"triggerType": "Recurrence", "frequency": "Day", "interval": 0}, "positive"),
        ({"triggerType": "Recurrence", "frequency": "Hour", "interval": 1, "schedule": {"hours": [1]}}, "every hour"),
        ({"triggerType": "Recurrence", "frequency": "Day", "interval": 1, "schedule": {"hours": [24]}}, "0 to 23"),
        ({"triggerType": "Event"}, "'Event'"),
    ],
)
def test_triggers_that_make_no_sense_are_refused(azure: Azure, trigger: dict[str, Any], told: str) -> None:
    reply = call(azure, "PUT", "/schedules/retrain", json=body(trigger))

    assert (reply.status_code, reply.json()["error"]["code"]) == (400, "UserError")
    assert told in reply.json()["error"]["message"]


@pytest.mark.parametrize("action", ["InvokeBatchEndpoint", "CreateMonitor", "ImportData"])
def test_other_actions_are_refused_by_name(azure: Azure, action: str) -> None:
    given = body(hourly(), action={"actionType": action})

    reply = call(azure, "PUT", "/schedules/retrain", json=given)

    assert reply.status_code == 501
    assert action in reply.json()["error"]["message"]


def test_all_time_zones_that_the_sdk_names_are_known() -> None:
    from azure.ai.ml.constants import TimeZone

    for zone in TimeZone:
        assert time_zone(zone.value).key == WINDOWS[zone.value]
    assert all(ZoneInfo(zone) for zone in WINDOWS.values())


def test_schedules_go_on_after_a_restart_and_do_not_make_up_what_was_missed(
    tmp_path: Path, principals_file: Path
) -> None:
    def run(act: Any) -> None:
        with Emulator([AzureCloud(principals_file)], state=tmp_path / "state") as emulator:
            cloud = emulator.cloud(AzureCloud)
            cloud.schedules.starter = made
            emulator.clock.freeze()
            path = cloud.ensure_workspace("w", group="g") + "/schedules/retrain"
            token = cloud.tokens.issue(cloud.tokens.directory.by_name("owner"), "https://management.azure.com")
            act(emulator, f"{emulator.url}{path}?api-version={API}", {"authorization": f"Bearer {token}"})

    def make(emulator: Emulator, url: str, headers: dict[str, str]) -> None:
        every_minute = hourly(expression="* * * * *", startTime="2020-01-01")
        httpx.put(url, headers=headers, json=body(every_minute), trust_env=False, verify=False).raise_for_status()

    def wait(emulator: Emulator, url: str, headers: dict[str, str]) -> None:
        before = emulator.clock.now()
        emulator.clock.advance(timedelta(minutes=2))
        assert len(made.names) == 2
        assert all(name > f"retrain-{before:%Y%m%dT%H%M%SZ}" for name in made.names)

    made = Started("w")
    run(make)
    run(wait)
