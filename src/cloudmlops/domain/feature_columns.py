"""What is wrong with the columns that a definition of features names, and how it is refused."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from cloudmlops.domain.feature_types import FeatureType, type_name
from cloudmlops.errors import InvalidRequestError

EVENT_TIME: Final = "event_time"
"""The column of entity rows that says as of when their features are wanted."""
_COLUMN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def mapping_faults(name: str, given: object) -> list[str]:
    """Say that something is no mapping of columns to types; nothing where it is one."""
    if isinstance(given, Mapping):
        return []
    return [f"{name} is {given!r}, not a mapping of columns to types such as {{'origin': str}}"]


def column_faults(kind: str, names: Iterable[object]) -> list[str]:
    """List the names that no column of this kind may have."""
    faults = [
        f"{kind} {name!r} must be letters, digits and '_', not beginning with a digit"
        for name in names
        if not isinstance(name, str) or not _COLUMN.fullmatch(name)
    ]
    return faults + [f"{kind} {name!r} is a reserved name" for name in names if name == EVENT_TIME]


def type_faults(kind: str, types: Mapping[str, FeatureType], allowed: frozenset[str] | None) -> list[str]:
    """List the columns whose types this kind may not have; `allowed` are names of types, None is all there are."""
    listed = ", ".join(sorted(allowed)) if allowed else "int, float, bool, str, bytes, date, datetime or a list of one"
    return [
        f"{kind} {name!r} is of type {getattr(of, '__name__', repr(of))}; allowed: {listed}"
        for name, of in types.items()
        if (known := type_name(of)) is None or (allowed is not None and known not in allowed)
    ]


def refuse(what: str, faults: Sequence[str], *, hint: str = "") -> None:
    """Refuse a definition that has faults.

    Raises:
        InvalidRequestError: With all of them, each once.
    """
    if faults:
        raise InvalidRequestError(f"{what} is wrong", faults=list(dict.fromkeys(faults)), hint=hint)
