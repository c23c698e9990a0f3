"""Durations as ISO 8601 writes them, such as `P1DT12H`."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Final

from cloudmlops.emulators.azure.eventgrid.filters import invalid

_PATTERN: Final = re.compile(
    r"P(?:(?P<days>\d+)D)?(?:T(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+(?:\.\d+)?)S)?)?"
)


def duration_of(text: str) -> timedelta:
    """Return the duration that a text says, in days and less.

    >>> duration_of("P1DT12H")
    datetime.timedelta(days=1, seconds=43200)

    Raises:
        Refused: It says none.
    """
    found = _PATTERN.fullmatch(text)
    if found is None or not any(found.groupdict().values()):
        raise invalid(f"'{text}' is not a duration of ISO 8601.")
    return timedelta(**{unit: float(value) for unit, value in found.groupdict().items() if value})
