"""What strangers' payloads say: JSON read once, names found in any letter case."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

_STANDARD: Final = frozenset({"specversion", "id", "source", "type", "time", "subject", "datacontenttype", "data"})


def loaded(text: bytes) -> object:
    """Return the JSON value that a stranger wrote; None when it is none that can be written again."""
    try:
        found: object = json.loads(text)
        json.dumps(found, ensure_ascii=False).encode()  # half a surrogate pair can be read, but never written
    except (ValueError, RecursionError):
        return None
    return found


def moment(text: str) -> datetime:
    """Read a time with a zone, as UTC.

    Raises:
        ValueError: It is none, or has no zone.
    """
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return time.astimezone(UTC)


def value_of(data: Mapping[str, object], name: str) -> object:
    """Return what stands under a name, whatever its letter case and underscores; None when nothing does."""
    wanted = _folded(name)
    return next((value for key, value in data.items() if _folded(key) == wanted), None)


def part_of(data: Mapping[str, object], name: str) -> Mapping[str, object]:
    """Return the object under a name; an empty one when there is none."""
    value = value_of(data, name)
    return value if isinstance(value, Mapping) else {}


def text_of(data: Mapping[str, object], name: str) -> str:
    """Return the text under a name; an integer is text, too; empty when there is neither."""
    value = value_of(data, name)
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""


def extensions_of(event: Mapping[str, object]) -> dict[str, str]:
    """Return the attributes of a CloudEvent beyond the standard ones."""
    return {name: str(value) for name, value in event.items() if name not in _STANDARD and value is not None}


def _folded(name: str) -> str:
    return name.replace("_", "").casefold()
