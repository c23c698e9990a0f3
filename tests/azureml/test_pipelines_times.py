"""When schedules fire: what cron says is said in Azure ML's words, or refused before anything is asked."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from croniter import croniter

from cloudmlops import Platform
from cloudmlops.domain.schedules import Schedule
from cloudmlops.emulators.azure.ml.triggers import read_trigger
from cloudmlops.emulators.core.emulator import Emulator
from cloudmlops.errors import InvalidRequestError
from cloudmlops.providers.azureml.mapping import schedules as mapping
from cloudmlops.providers.azureml.sdk import ml

from .conftest import Connects
from .steps.pipelines import single

pytestmark = pytest.mark.filterwarnings("ignore::marshmallow.warnings.RemovedInMarshmallow4Warning")
PUT = "arm/PUT workspaces/schedules"
SAID = {
    "0 3 * * *": "0 3 * * *",
    "*/5 * * * *": "*/5 * * * *",
    "0 3 * * 7": "0 3 * * 0",
    "0 3 * * 5-7": "0 3 * * 0,5,6",
    "0 3 * * MON-fri": "0 3 * * 1,2,3,4,5",
    "0 22-3 * * *": "0 0,1,2,3,22,23 * * *",
    "5/15 * * * *": "5,20,35,50 * * * *",
    "0 3 1-31 */1 *": "0 3 * * *",
    "0 3 * 1-12 0-6": "0 3 * * *",
}
MONTHLY = ["0 3 1 * *", "0,30 3,15 1-3 * *", "*/20 3 31 * *", "0 3 */10 * *"]


def _sent(emulator: Emulator) -> dict[str, object]:
    trigger: dict[str, object] = emulator.calls.list(PUT)[-1].request["body"]["properties"]["trigger"]
    return trigger


@pytest.mark.parametrize("cron", SAID)
def test_what_azure_reads_of_cron_is_written_as_it_reads_it(cron: str) -> None:
    assert mapping.faults(cron) == []
    assert mapping.times(cron) == mapping.Times(cron=SAID[cron])


@pytest.mark.parametrize("cron", [*SAID, *MONTHLY])
def test_azure_fires_when_cron_says_so(cron: str) -> None:
    at = datetime(2030, 1, 1, tzinfo=UTC)
    said = mapping.times(cron)
    pattern = {"minutes": said.minutes, "hours": said.hours, "monthDays": said.month_days}
    monthly = {"triggerType": "Recurrence", "frequency": "Month", "interval": 1, "schedule": pattern}
    given = {"triggerType": "Cron", "expression": said.cron} if said.cron else monthly
    trigger = read_trigger({**given, "startTime": "2029-12-31T00:00:00"}, at)
    expected = croniter(cron, at)

    moment: datetime | None = at
    for _ in range(200):
        assert moment is not None
        moment = trigger.after(moment)
        assert moment == expected.get_next(datetime)


@pytest.mark.parametrize(
    "cron", [MONTHLY[0], *(pytest.param(one, marks=pytest.mark.conformance(ci=True)) for one in MONTHLY[1:])]
)
def test_days_of_the_month_are_a_recurrence_of_every_month(
    connect_to_run: Connects, azureml_emulator: Emulator, cron: str
) -> None:
    platform = connect_to_run()
    given = platform.pipelines.schedule(single, name="monthly", cron=cron, timezone="Europe/Zurich")

    minutes, hours, days, _, _ = croniter.expand(cron)[0]
    sent = _sent(azureml_emulator)
    assert (sent["triggerType"], sent["frequency"], sent["interval"]) == ("Recurrence", "month", 1)
    assert sent["schedule"] == {"hours": hours, "minutes": minutes, "monthDays": days}
    assert sent["timeZone"] == "W. Europe Standard Time"
    assert platform.pipelines.schedules() == [given]
    platform.pipelines.unschedule("monthly")


@pytest.mark.conformance(ci=True)
def test_the_seventh_day_is_sunday_and_is_shown_as_it_was_given(
    connect_to_run: Connects, azureml_emulator: Emulator
) -> None:
    platform = connect_to_run()
    given = platform.pipelines.schedule(single, name="weekly", cron="0 3 * * 7")

    assert _sent(azureml_emulator)["expression"] == "0 3 * * 0"
    assert platform.pipelines.schedules() == [given]


@pytest.mark.conformance(ci=True)
def test_a_schedule_begins_the_day_before_it_was_made(connect_to_run: Connects, azureml_emulator: Emulator) -> None:
    made = datetime(2030, 1, 1, 23, 30, tzinfo=UTC)
    schedule = Schedule(name="s", pipeline="p", cron="0 3 * * *", timezone="Europe/Zurich", created_at=made)
    assert mapping.start(schedule) == "2030-01-01T00:00:00"

    for cron in ("0 3 * * *", "0 3 1 * *"):
        connect_to_run().pipelines.schedule(single, name="nightly", cron=cron)
        assert datetime.fromisoformat(f"{_sent(azureml_emulator)['startTime']}+00:00") < datetime.now(UTC)


@pytest.mark.parametrize(
    ("cron", "told"),
    [
        pytest.param("0 3 * 1 *", [r"know no months.*'1' alone"], marks=pytest.mark.conformance(ci=True)),
        pytest.param("0 3 1 */3 *", [r"know no months.*'\*/3' alone"], marks=pytest.mark.conformance(ci=True)),
        pytest.param("0 3 1 * MON", ["make two schedules"], marks=pytest.mark.conformance(ci=True)),
        ("0 3 1 JAN 1", ["know no months", "make two schedules"]),
    ],
)
def test_what_azure_would_ignore_is_refused_before_anything_is_asked(
    connect_to_run: Connects, azureml_emulator: Emulator, cron: str, told: list[str]
) -> None:
    platform = connect_to_run()
    assert platform.pipelines.schedules() == []  # where things are kept is asked when it is opened
    azureml_emulator.calls.clear()

    with pytest.raises(InvalidRequestError) as refusal:
        platform.pipelines.schedule(single, name="odd", cron=cron, timezone="Antarctica/Troll")

    *faults, zone = refusal.value.faults
    assert "Antarctica/Troll" in zone
    assert len(faults) == len(told)
    for fault, words in zip(faults, told, strict=True):
        assert repr(cron) in fault
        assert re.search(words, fault)
    assert azureml_emulator.calls.list() == []


@pytest.mark.conformance(ci=True)
def test_what_studio_makes_of_a_schedule_is_shown_as_what_it_is(connect_to_run: Connects) -> None:
    platform = connect_to_run()
    platform.pipelines.schedule(single, name="ours", cron="0 3 1-3 * *")
    entities = ml().entities
    pattern = entities.RecurrencePattern
    for trigger, shown in (
        (entities.CronTrigger(expression="0 3 1 1 1"), "0 3 * * 1"),
        (_monthly(pattern(hours=[4], minutes=[0], month_days=[3, 1])), "0 4 1,3 * *"),
        (_monthly(pattern(hours=[3], minutes=[0], month_days=[1, 2, 3])), "0 3 1-3 * *"),
        (_monthly(pattern(hours=[3], minutes=[0], month_days=[1]), interval=2), "every 2 month"),
        (entities.RecurrenceTrigger(frequency="day", interval=2), "every 2 day"),
    ):
        changed = platform.native.schedules.get("ours")
        changed.trigger = trigger
        platform.native.schedules.begin_create_or_update(changed).result()
        assert _shown(platform) == shown


def _monthly(pattern: object, interval: int = 1) -> object:
    return ml().entities.RecurrenceTrigger(frequency="month", interval=interval, schedule=pattern)


def _shown(platform: Platform) -> str:
    (kept,) = platform.pipelines.schedules()
    return kept.cron
