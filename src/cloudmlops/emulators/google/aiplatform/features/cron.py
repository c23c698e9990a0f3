"""Cron expressions: five fields, and the time zone before them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from cloudmlops.emulators.core.faults import Refused

_PREFIXES: Final = ("CRON_TZ=", "TZ=")
_RANGES: Final = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_LOOKED_AHEAD: Final = 366 * 5


class Cron:
    """When something is due."""

    def __init__(self, text: str) -> None:
        """Read an expression such as `CRON_TZ=Europe/Amsterdam 0 3 * * *`.

        Raises:
            Refused: It is none.
        """
        zone, rest = "UTC", text.strip()
        for prefix in _PREFIXES:
            if rest.startswith(prefix):
                zone, _, rest = rest.removeprefix(prefix).partition(" ")
                break
        fields = rest.split()
        try:
            self._zone = ZoneInfo(zone)
            if len(fields) != len(_RANGES):
                raise ValueError(f"{len(fields)} fields")
            read = [_values(field, *bounds) for field, bounds in zip(map(_numbered, fields), _RANGES, strict=True)]
        except (ValueError, LookupError, OSError) as error:
            raise Refused("INVALID_ARGUMENT", f"The cron schedule {text!r} is invalid: {error}.") from error
        self._minutes, self._hours, self._days, self._months = sorted(read[0]), sorted(read[1]), read[2], read[3]
        self._weekdays = {day % 7 for day in read[4]}
        # With both days given, one of them is enough.
        self._either = not fields[2].startswith("*") and not fields[4].startswith("*")

    def after(self, moment: datetime) -> datetime | None:
        """Return the first due time after a moment, in UTC; None when there is none for years."""
        local = moment.astimezone(self._zone)
        day = local.date()
        for _ in range(_LOOKED_AHEAD):
            if self._on(day.month, day.day, (day.weekday() + 1) % 7):
                for hour in self._hours:
                    for minute in self._minutes:
                        naive = datetime(day.year, day.month, day.day, hour, minute, tzinfo=self._zone)
                        due = naive.astimezone(UTC)
                        # What the clocks leave out in spring is not due.
                        if due > moment and due.astimezone(self._zone).replace(tzinfo=None) == naive.replace(
                            tzinfo=None
                        ):
                            return due
            day += timedelta(days=1)
        return None

    def _on(self, month: int, day: int, weekday: int) -> bool:
        if month not in self._months:
            return False
        if self._either:
            return day in self._days or weekday in self._weekdays
        return day in self._days and weekday in self._weekdays


def _numbered(field: str) -> str:
    lowered = field.lower()
    for names, first in ((_MONTHS, 1), (_DAYS, 0)):
        for number, name in enumerate(names, first):
            lowered = lowered.replace(name, str(number))
    return lowered


def _values(field: str, low: int, high: int) -> set[int]:
    found: set[int] = set()
    for part in field.split(","):
        span, _, step = part.partition("/")
        if span == "*":
            first, last = low, high
        else:
            start, dash, end = span.partition("-")
            first = int(start)
            last = int(end) if dash else (high if step else first)
        width = int(step) if step else 1
        if not low <= first <= last <= high or width < 1:
            raise ValueError(part)
        found.update(range(first, last + 1, width))
    return found
