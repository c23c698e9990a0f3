"""What every schedule must be, whichever provider keeps it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cloudmlops.domain.schedules import Schedule
from cloudmlops.errors import InvalidRequestError

_MONTHS: Final = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"
_DAYS: Final = "sun|mon|tue|wed|thu|fri|sat"
_FIELDS: Final = {"minute": "", "hour": "", "day of month": "", "month": f"|{_MONTHS}", "day of week": f"|{_DAYS}"}
"""What may stand in each beside numbers."""


def check_schedule(schedule: Schedule, provider_faults: Callable[[Schedule], Sequence[str]]) -> None:
    """Raise `InvalidRequestError`, listing what is wrong with a schedule's expression and time zone.

    Args:
        schedule: What is to be kept.
        provider_faults: Lists why the provider cannot keep one that is well formed.
    """
    faults: Sequence[str] = [*_cron_faults(schedule.cron), *_zone_faults(schedule.timezone)]
    if faults := faults or provider_faults(schedule):
        raise InvalidRequestError(f"schedule {schedule.name!r} cannot be kept", faults=faults)


def _cron_faults(cron: str) -> list[str]:
    from croniter import croniter  # here, because starting a run needs none of it

    written = cron.split()
    if len(written) != len(_FIELDS):
        return [f"cron {cron!r} is not five fields: minute, hour, day of month, month, day of week"]
    strange = [
        f"{field} {text!r}"
        for (field, names), text in zip(_FIELDS.items(), written, strict=True)
        if not _means_the_same_everywhere(text, names)
    ]
    if strange:
        allowed = "write numbers, names such as MON and JAN, and * , - /; nothing else means the same on every platform"
        return [f"cron {cron!r} has the {' and the '.join(strange)}: {allowed}"]
    return [] if croniter.is_valid(cron) else [f"cron {cron!r} has a number that is none of its field"]


def _means_the_same_everywhere(text: str, names: str) -> bool:
    value = rf"(?:\d+{names})"
    part = rf"(?:\*|{value}(?:-{value})?)(?:/\d+)?"
    return re.fullmatch(rf"{part}(?:,{part})*", text, re.IGNORECASE | re.ASCII) is not None


def _zone_faults(name: str) -> list[str]:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return [f"there is no time zone {name!r}; write it as in 'Europe/Zurich'"]
    return []
