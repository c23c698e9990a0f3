"""Cron expressions with a time zone before them: `TZ=Europe/Zurich 0 2 * * *`."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from croniter import croniter

from cloudmlops.emulators.core.faults import Refused

_CRON: Final = re.compile(r"(?:(?:CRON_)?TZ=(\S+)\s+)?(\S+(?:\s+\S+){4})\s*")


class Cron:
    """The times of a schedule."""

    def __init__(self, text: str) -> None:
        """Read an expression.

        Raises:
            Refused: It is none, or there is no such time zone.
        """
        found = _CRON.fullmatch(text.strip())
        if found is None or not croniter.is_valid(found[2]):
            raise Refused("INVALID_ARGUMENT", f"Invalid cron expression {text!r}: five fields are expected.")
        try:
            self._zone = ZoneInfo(found[1] or "UTC")
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise Refused("INVALID_ARGUMENT", f"Invalid time zone {found[1]!r} in {text!r}.") from error
        self._fields = found[2]

    def after(self, moment: datetime) -> datetime:
        """Return the first time after a moment, in UTC."""
        found: datetime = croniter(self._fields, moment.astimezone(self._zone)).get_next(datetime)
        return found.astimezone(UTC)
