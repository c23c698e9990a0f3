"""When a schedule is due: pure rules, on the clocks of its time zone.

What the documentation says of starts holds here (azure-ai-ml's `CronTrigger` and `RecurrenceTrigger`): a recurrence
without a pattern is due at its start and then in steps; one with a pattern, and a cron expression, at the times that
fit and are not before the start. A start in the past is where the steps are counted from, and no more. Of a cron
expression the days of the month and the months are ignored, and the days of the week are 0 to 6, 0 for Sunday, or names
(learn.microsoft.com, "Schedule machine learning pipeline jobs": Limitations, and "Define a time-based schedule with a
cron expression").
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from croniter import croniter

from cloudmlops.emulators.azure.arm.errors import UserError
from cloudmlops.emulators.azure.ml.time_zones import time_zone
from cloudmlops.emulators.core.faults import Refused

_CRON: Final = {"minute": (0, 59), "hour": (0, 23), "day of month": (1, 31), "month": (1, 12), "day of week": (0, 6)}
"""The least and the most of each field."""
_PART: Final = re.compile(r"\*(?:/[1-9]\d*)?|(?P<first>\d+)(?:-(?P<last>\d+))?(?P<step>/[1-9]\d*)?", re.ASCII)
_STEPS: Final = {"minute": timedelta(minutes=1), "hour": timedelta(hours=1)}
"""Steps of real time; the others are of the calendar."""
_DAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_WEEK: Final = (_DAYS[-1], *_DAYS[:-1])
"""As cron expressions count it."""
_YEAR: Final = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
_MONTHS: Final = 12
_LOOKED_AHEAD: Final = 366 * 5
"""Days, or steps of the calendar, in which a pattern must fit once."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Trigger:
    """When a schedule is due."""

    zone: ZoneInfo
    start: datetime
    """Time-zone aware."""
    end: datetime | None
    cron: str
    """Five fields, those of days of the month and months being `*`; empty for a recurrence."""
    frequency: str
    """`minute`, `hour`, `day`, `week` or `month`."""
    interval: int
    hours: tuple[int, ...] = ()
    minutes: tuple[int, ...] = ()
    week_days: tuple[int, ...] = ()
    """0 is Monday."""
    month_days: tuple[int, ...] = ()

    def after(self, moment: datetime) -> datetime | None:
        """Return the first time after a moment, in UTC; None when there is none any more."""
        found = self._cron_after(moment) if self.cron else self._step_after(moment)
        return None if found is None or (self.end is not None and found > self.end) else found

    def _cron_after(self, moment: datetime) -> datetime:
        begin = max(moment, self.start - timedelta(microseconds=1)).astimezone(self.zone)
        found: datetime = croniter(self.cron, begin).get_next(datetime)
        return found.astimezone(UTC)

    def _step_after(self, moment: datetime) -> datetime | None:
        if self.frequency in _STEPS:
            return self._even_step_after(moment, _STEPS[self.frequency] * self.interval)
        for due in self._times(moment):
            if due > moment and due >= self.start:
                return due.astimezone(UTC)
        return None

    def _even_step_after(self, moment: datetime, step: timedelta) -> datetime:
        if moment < self.start:
            return self.start.astimezone(UTC)
        return (self.start + step * ((moment - self.start) // step + 1)).astimezone(UTC)

    def _times(self, moment: datetime) -> Iterator[datetime]:
        """Yield the times of days, weeks or months that fit, from a little before a moment on."""
        local = self.start.astimezone(self.zone)
        hours, minutes = self.hours or (local.hour,), self.minutes or (local.minute,)
        second = 0 if self.hours or self.minutes else local.second
        for day in self._days(local.date(), moment.astimezone(self.zone).date()):
            for hour in sorted(hours):
                for minute in sorted(minutes):
                    due = datetime(day.year, day.month, day.day, hour, minute, second, tzinfo=self.zone)
                    there = due.astimezone(UTC).astimezone(self.zone)
                    if (there.hour, there.minute) == (hour, minute):
                        yield due  # what the clocks leave out in spring is not due

    def _days(self, first: date, near: date) -> Iterator[date]:
        near = max(first, near - timedelta(days=1))
        if self.frequency == "month":
            yield from self._month_days(first, near)
            return
        for offset in range(_LOOKED_AHEAD):
            day = near + timedelta(days=offset)
            passed = (day - first).days
            if self.frequency == "day" and passed % self.interval == 0:
                yield day
            if self.frequency == "week":
                weeks = (passed + first.weekday()) // len(_DAYS)
                if weeks % self.interval == 0 and day.weekday() in (self.week_days or (first.weekday(),)):
                    yield day

    def _month_days(self, first: date, near: date) -> Iterator[date]:
        for offset in range(_LOOKED_AHEAD):
            month = near.month - 1 + offset
            year, number = near.year + month // _MONTHS, month % _MONTHS + 1
            if ((year - first.year) * _MONTHS + number - first.month) % self.interval:
                continue
            last = calendar.monthrange(year, number)[1]
            for day in sorted(self.month_days or (first.day,)):
                if day <= last:
                    yield date(year, number, day)


def read_trigger(given: Mapping[str, Any], now: datetime) -> Trigger:
    """Read a schedule's trigger.

    Args:
        given: As the service is sent it.
        now: The start where none is given.

    Raises:
        Refused: It is none.
    """
    zone = time_zone(str(given.get("timeZone") or "UTC"))
    start = _moment(given.get("startTime"), zone, "startTime") or now
    end = _moment(given.get("endTime"), zone, "endTime")
    kind = str(given.get("triggerType", ""))
    if kind == "Cron":
        cron = _followed(str(given.get("expression", "")))
        return Trigger(zone=zone, start=start, end=end, cron=cron, frequency="", interval=1)
    if kind != "Recurrence":
        raise UserError("INVALID_ARGUMENT", f"The trigger type {kind!r} is not one of Cron, Recurrence.")
    frequency, interval = str(given.get("frequency", "")).lower(), given.get("interval")
    if frequency not in ("minute", "hour", "day", "week", "month"):
        raise UserError("INVALID_ARGUMENT", f"The frequency {frequency!r} is not supported.")
    if not isinstance(interval, int) or interval < 1:
        raise UserError("INVALID_ARGUMENT", f"The interval must be a positive number, not {interval}.")
    pattern: Mapping[str, Any] = given.get("schedule") or {}
    if pattern and frequency in _STEPS and any(pattern.get(name) for name in _PATTERN):
        raise UserError("INVALID_ARGUMENT", f"A pattern is for days, weeks and months, not for every {frequency}.")
    for name, known in (("weekDays", "week"), ("monthDays", "month")):
        if pattern.get(name) and frequency != known:
            raise Refused("UNIMPLEMENTED", f"{name} in a recurrence of every {frequency} are not emulated")
    return Trigger(
        zone=zone,
        start=start,
        end=end,
        cron="",
        frequency=frequency,
        interval=interval,
        hours=_numbers(pattern, "hours", 0, 23),
        minutes=_numbers(pattern, "minutes", 0, 59),
        week_days=_week_days(pattern),
        month_days=_numbers(pattern, "monthDays", 1, 31),
    )


def _followed(expression: str) -> str:
    """Return a cron expression with what Azure follows of it, days of the week as numbers."""
    written = expression.split()
    fields = [_numbered(text, name) for text, name in zip(written, _CRON, strict=False)]
    if len(written) != len(_CRON) or not all(map(_is_field, fields, _CRON)):
        raise UserError("INVALID_ARGUMENT", f"The cron expression {expression!r} is invalid: five fields.")
    minutes, hours, _, _, week_days = fields
    return f"{minutes} {hours} * * {week_days}"


def _numbered(text: str, field: str) -> str:
    names = {"month": _YEAR, "day of week": _WEEK}.get(field, ())
    least = _CRON[field][0]
    numbers = {name[:length]: least + place for place, name in enumerate(names) for length in (3, None)}
    return re.sub(r"[a-z]+", lambda found: str(numbers.get(found[0], found[0])), text.lower())


def _is_field(text: str, field: str) -> bool:
    """Return whether a field's numbers are its own.

    Raises:
        Refused: NCrontab, which Azure follows, may read it in another way than crontab.
    """
    least, most = _CRON[field]
    for part in text.split(","):
        found = _PART.fullmatch(part)
        if found is None or not all(least <= int(end) <= most for end in found.group("first", "last") if end):
            return False
        first, last, step = found.group("first", "last", "step")
        if (step and first and not last) or (last and int(last) < int(first)):
            raise Refused("UNIMPLEMENTED", f"{part!r} for the {field} of a cron expression is not emulated")
    return True


_PATTERN: Final = ("hours", "minutes", "weekDays", "monthDays")


def _moment(text: object, zone: ZoneInfo, name: str) -> datetime | None:
    if not text:
        return None
    try:
        read = datetime.fromisoformat(str(text))
    except ValueError as error:
        raise UserError("INVALID_ARGUMENT", f"The {name} {text!r} is not in the format of ISO 8601.") from error
    return read if read.tzinfo is not None else read.replace(tzinfo=zone)


def _numbers(pattern: Mapping[str, Any], name: str, least: int, most: int) -> tuple[int, ...]:
    given = pattern.get(name) or []
    if not all(isinstance(one, int) and least <= one <= most for one in given):
        raise UserError("INVALID_ARGUMENT", f"The {name} of the schedule must be from {least} to {most}.")
    return tuple(given)


def _week_days(pattern: Mapping[str, Any]) -> tuple[int, ...]:
    given = [str(day).lower() for day in pattern.get("weekDays") or []]
    if unknown := [day for day in given if day not in _DAYS]:
        raise UserError("INVALID_ARGUMENT", f"The day {unknown[0]!r} of the schedule is none.")
    return tuple(_DAYS.index(day) for day in given)
