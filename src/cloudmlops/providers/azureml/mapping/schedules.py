"""When a schedule fires, in Azure ML's words.

Of a cron expression Azure follows the minutes, the hours and the days of the week, 0 to 6; it ignores the days of the
month and the months, and takes them as `*` (learn.microsoft.com, "Schedule machine learning pipeline jobs",
Limitations). Days of the month are what a recurrence of every month can say; months are what nothing can.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from cloudmlops.domain.schedules import Schedule

CRON_TAG: Final = "cloudmlops_cron"
"""Of a schedule: its expression as it was given, where Azure's words for it are others."""
_MINUTES: Final = 60
_HOURS: Final = 24
_FIELDS: Final = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Times:
    """When a schedule fires: by `cron`, or where it is empty on days of every month."""

    cron: str = ""
    """Its fields for days of the month and months are `*`."""
    minutes: tuple[int, ...] = ()
    hours: tuple[int, ...] = ()
    month_days: tuple[int, ...] = ()

    @property
    def expression(self) -> str:
        """The cron expression that says the same on every platform."""
        return self.cron or f"{_listed(self.minutes)} {_listed(self.hours)} {_listed(self.month_days)} * *"


def faults(cron: str) -> list[str]:
    """List what Azure ML would not follow of a valid expression."""
    _, _, days, months, week_days = _expanded(cron)
    found = []
    if not _is_any(months):
        found.append(
            f"Azure ML's schedules know no months: they would fire in every month and not in {cron.split()[3]!r} alone "
            f"of cron {cron!r}; write * there, and let the first step look at the date, or start the runs yourself"
        )
    if not (_is_any(days) or _is_any(week_days)):
        found.append(
            f"Azure ML's schedules fire on days of the month or on days of the week, not on both as cron {cron!r} "
            "does; make two schedules, one with * for the days of the week, one with * for the days of the month"
        )
    return found


def times(cron: str) -> Times:
    """Return when a schedule fires by an expression that has no `faults`."""
    minutes, hours, days, _, week_days = _expanded(cron)
    if not _is_any(days):
        return Times(minutes=_all_of(minutes, _MINUTES), hours=_all_of(hours, _HOURS), month_days=tuple(days))
    written = cron.split()
    fields = (_field(minutes, written[0]), _field(hours, written[1]), "*", "*", _field(week_days, written[4]))
    return Times(cron=" ".join(fields))


def start(schedule: Schedule) -> str:
    """Return from when on a schedule is in force: the day before it was made.

    Without a start, or with one that a clock ahead of Azure's names, the first run is at once or late
    (learn.microsoft.com, "CLI (v2) job schedule YAML schema", `start_time`); one in the past delays nothing.
    """
    local: datetime = schedule.created_at.astimezone(ZoneInfo(schedule.timezone))
    return f"{local - timedelta(days=1):%Y-%m-%d}T00:00:00"


def expression(trigger: Any, told: str) -> str:
    """Return when a schedule fires: as a cron expression, or of what Studio has made of one of ours, in words.

    Args:
        trigger: What is in force.
        told: What whoever set it called it; counts while it says the same.
    """
    if trigger is None:
        return ""
    known = _times_of(trigger)
    if known is None:
        return f"every {trigger.interval} {trigger.frequency}"
    return told if told and _says(told, known) else known.expression


def _times_of(trigger: Any) -> Times | None:
    if cron := getattr(trigger, "expression", ""):
        fields = str(cron).split()
        return Times(cron=" ".join((*fields[:2], "*", "*", *fields[4:])) if len(fields) == _FIELDS else str(cron))
    pattern = trigger.schedule
    if trigger.frequency != "month" or trigger.interval != 1 or pattern.week_days:
        return None
    if not (pattern.minutes and pattern.hours and pattern.month_days):
        return None
    return Times(
        minutes=tuple(sorted(pattern.minutes)),
        hours=tuple(sorted(pattern.hours)),
        month_days=tuple(sorted(pattern.month_days)),
    )


def _says(cron: str, known: Times) -> bool:
    from croniter import croniter  # here, because starting a run needs none of it

    return bool(croniter.is_valid(cron)) and not faults(cron) and times(cron) == known


def _expanded(cron: str) -> Sequence[Sequence[Any]]:
    from croniter import croniter  # here, because starting a run needs none of it

    fields: Sequence[Sequence[Any]] = croniter.expand(cron)[0]
    return fields


def _is_any(values: Sequence[Any]) -> bool:
    return "*" in values


def _all_of(values: Sequence[Any], count: int) -> tuple[int, ...]:
    return tuple(range(count)) if _is_any(values) else tuple(values)


def _field(values: Sequence[Any], text: str) -> str:
    """Return a field as Azure documents it: `*` or a list of numbers; a step through all means the same everywhere."""
    if _is_any(values):
        return "*"
    return text if text.startswith("*/") and text[2:].isdigit() else _listed(values)


def _listed(values: Sequence[int]) -> str:
    return ",".join(map(str, values))
