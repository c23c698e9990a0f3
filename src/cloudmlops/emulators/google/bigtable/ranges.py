"""Ranges of bytes: of row keys, qualifiers and values; what is left out has no bound."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.google.bigtable.rows import Rows


def keys_of(rows: Rows, chosen: Any) -> list[bytes]:
    """Return the keys that a `RowSet` names, sorted, each once; an empty set names all."""
    if not chosen.row_keys and not chosen.row_ranges:
        return rows.between()
    for key in chosen.row_keys:
        if not key:
            raise Refused("INVALID_ARGUMENT", "Error in field 'row_keys' : Row keys must be non-empty")
    _check(chosen.row_ranges)
    if not chosen.row_ranges:
        return sorted({key for key in chosen.row_keys if rows.get(key) is not None})
    if len(chosen.row_ranges) == 1 and not chosen.row_keys:
        return rows.between(*_bounds(chosen.row_ranges[0]))
    found = {key for key in chosen.row_keys if rows.get(key) is not None}
    for each in chosen.row_ranges:
        found.update(rows.between(*_bounds(each)))
    return sorted(found)


def _check(row_ranges: Iterable[Any]) -> None:
    """Refuse `RowRange`s whose end is before their start; such as `[k, k)` are empty, and no mistake."""
    for index, rows in enumerate(row_ranges):
        start, end = rows.WhichOneof("start_key"), rows.WhichOneof("end_key")
        if start and end and getattr(rows, end) and getattr(rows, start) > getattr(rows, end):
            raise Refused(
                "INVALID_ARGUMENT",
                f"Error in field 'row_ranges' : Error in element #{index} : {start} must be less than {end}",
            )


def _bounds(rows: Any) -> tuple[bytes, bytes | None]:
    """Return the first key of a `RowRange` and the one behind its last; an open end without a key is no end."""
    start, end = b"", None
    match rows.WhichOneof("start_key"):
        case "start_key_closed":
            start = rows.start_key_closed
        case "start_key_open":
            start = rows.start_key_open + b"\0"
    match rows.WhichOneof("end_key"):
        case "end_key_closed":
            end = rows.end_key_closed + b"\0"
        case "end_key_open":
            end = rows.end_key_open or None
    return start, end


def within(bounds: Any, noun: str) -> Callable[[bytes], bool]:
    """Return the test of a `ColumnRange` or `ValueRange`.

    Args:
        bounds: The message.
        noun: `qualifier` or `value`, as its fields are named.
    """
    start_kind, end_kind = bounds.WhichOneof(f"start_{noun}"), bounds.WhichOneof(f"end_{noun}")
    start = getattr(bounds, start_kind) if start_kind else b""
    end = getattr(bounds, end_kind) if end_kind else None
    start_open = start_kind == f"start_{noun}_open"
    end_open = end_kind == f"end_{noun}_open"

    def test(text: bytes) -> bool:
        if text < start or (start_open and text == start):
            return False
        return end is None or text < end or (not end_open and text == end)

    return test
