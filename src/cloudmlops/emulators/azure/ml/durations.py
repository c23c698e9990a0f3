"""Durations as Azure Machine Learning writes them: ISO 8601 without years and months."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Final

from cloudmlops.emulators.azure.arm.errors import UserError

_DURATION: Final = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?")


def duration(text: str) -> timedelta:
    """Read a duration such as `PT1M40S`.

    Raises:
        Refused: It is none.
    """
    found = _DURATION.fullmatch(text)
    if found is None or not any(found.groups()):
        raise UserError("INVALID_ARGUMENT", f"The duration {text!r} is not in the format of ISO 8601.")
    days, hours, minutes, seconds = (float(part or 0) for part in found.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
