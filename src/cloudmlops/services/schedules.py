"""What every schedule must be, whichever provider keeps it."""

from __future__ import annotations

from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cloudmlops.domain.schedules import Schedule
from cloudmlops.errors import InvalidRequestError

_FIELDS: Final = 5


def check_schedule(schedule: Schedule) -> None:
    """Raise `InvalidRequestError`, listing what is wrong with a schedule's expression and time zone."""
    from croniter import croniter  # here, because starting a run needs none of it

    faults = []
    if len(schedule.cron.split()) != _FIELDS or not croniter.is_valid(schedule.cron):
        faults.append(f"cron {schedule.cron!r} is not five fields: minute, hour, day of month, month, day of week")
    try:
        ZoneInfo(schedule.timezone)
    except (ZoneInfoNotFoundError, ValueError):
        faults.append(f"there is no time zone {schedule.timezone!r}; write it as in 'Europe/Zurich'")
    if faults:
        raise InvalidRequestError(f"schedule {schedule.name!r} cannot be kept", faults=faults)
