"""Rows and cells in memory, sorted as they are read."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

from google.cloud.bigtable_v2 import types

from cloudmlops.emulators.google.bigtable.garbage_collection import kept

_Row = types.Row.pb()

Versions = list[tuple[int, bytes]]
"""The cells of a column: timestamp in microseconds, and value; the newest first."""
Row = dict[str, dict[bytes, Versions]]
"""By family and qualifier; neither an empty family nor an empty column is kept."""


class Cell(NamedTuple):
    """A cell on its way through filters."""

    order: int
    """Place of the family among those of its table."""
    family: str
    qualifier: bytes
    timestamp: int
    value: bytes
    labels: tuple[str, ...] = ()


def place(cell: Cell) -> tuple[int, bytes, int]:
    """Where a cell stands in its row."""
    return cell.order, cell.qualifier, -cell.timestamp


class Family(NamedTuple):
    """A column family of a table."""

    order: int
    definition: Any
    """A `ColumnFamily`."""


def cells(row: Row, families: Mapping[str, Family], now_micros: int) -> list[Cell]:
    """Return the cells that can be seen, in their order."""
    seen = []
    for name in row if len(row) == 1 else sorted(row, key=lambda name: families[name].order):
        order, definition = families[name]
        rule = definition.gc_rule if definition.HasField("gc_rule") else None
        columns = row[name]
        for qualifier in sorted(columns):
            versions = columns[qualifier]
            if rule is not None:
                versions = versions[: kept([timestamp for timestamp, _ in versions], rule, now_micros)]
            for timestamp, value in versions:
                seen.append(Cell(order, name, qualifier, timestamp, value))
    return seen


def collected(row: Row, families: Mapping[str, Family], now_micros: int) -> Row:
    """Return a copy of a row without what is garbage."""
    copy: Row = {}
    for cell in cells(row, families, now_micros):
        put(copy, cell)
    return copy


def put(row: Row, cell: Cell) -> None:
    """Put a cell in place of the one with its timestamp, if there is one."""
    versions = row.setdefault(cell.family, {}).setdefault(cell.qualifier, [])
    at = bisect_left(versions, -cell.timestamp, key=lambda version: -version[0])
    if at < len(versions) and versions[at][0] == cell.timestamp:
        versions[at] = (cell.timestamp, cell.value)
    else:
        versions.insert(at, (cell.timestamp, cell.value))


def write(row: Row) -> bytes:
    """Put a row into bytes."""
    message = _Row()
    for family, columns in row.items():
        kept_family = message.families.add(name=family)
        for qualifier, versions in columns.items():
            column = kept_family.columns.add(qualifier=qualifier)
            for timestamp, value in versions:
                column.cells.add(timestamp_micros=timestamp, value=value)
    return message.SerializeToString()  # type: ignore[no-any-return]


def read(data: bytes) -> Row:
    """Take a row out of bytes."""
    return {
        family.name: {
            column.qualifier: [(cell.timestamp_micros, cell.value) for cell in column.cells]
            for column in family.columns
        }
        for family in _Row.FromString(data).families
    }


class Rows:
    """The rows of a table, by key and in the order of keys."""

    def __init__(self) -> None:
        self._rows: dict[bytes, Row] = {}
        self._keys: list[bytes] = []

    def get(self, key: bytes) -> Row | None:
        return self._rows.get(key)

    def put(self, key: bytes, row: Row) -> None:
        if key not in self._rows:
            insort(self._keys, key)
        self._rows[key] = row

    def delete(self, keys: Collection[bytes]) -> None:
        """Remove rows; none of a key is no error."""
        gone = [key for key in keys if self._rows.pop(key, None) is not None]
        if len(gone) == 1:
            del self._keys[bisect_left(self._keys, gone[0])]
        elif gone:
            self._keys = [key for key in self._keys if key in self._rows]

    def between(self, start: bytes = b"", end: bytes | None = None) -> list[bytes]:
        """Return the keys from `start` and before `end`, sorted."""
        first = bisect_left(self._keys, start)
        last = len(self._keys) if end is None else bisect_left(self._keys, end)
        return self._keys[first:last]

    def items(self) -> Iterator[tuple[bytes, Row]]:
        """All, in the order of keys; not to be changed meanwhile."""
        for key in self._keys:
            yield key, self._rows[key]
