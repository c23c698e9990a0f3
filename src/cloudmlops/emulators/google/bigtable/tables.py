"""The tables of all instances: definitions and rows, in memory for speed and in the state to last."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Self
from weakref import WeakKeyDictionary

from google.cloud.bigtable_admin_v2 import types

from cloudmlops.emulators.core.clock import Clock
from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.core.state import State
from cloudmlops.emulators.google.bigtable import rows
from cloudmlops.emulators.google.bigtable.rows import Cell, Family, Row, Rows

_Table = types.Table.pb()


class Table:
    """One table.

    Its families are read in the order in which they were made; those made with the table, in the order of their names.
    """

    def __init__(self, definition: Any, *, splits: Sequence[bytes], order: Sequence[str] = ()) -> None:
        self.name: str = definition.name
        self.definition = definition
        """A `Table`."""
        self.splits = splits
        """The keys at which it was divided when it was made, sorted."""
        self.rows = Rows()
        self.families: Mapping[str, Family] = {}
        self.arrange(order)

    @property
    def instance(self) -> str:
        """Name of the instance that it is in."""
        return self.name.rpartition("/tables/")[0]

    @classmethod
    def read(cls, data: bytes) -> Self:
        """Take a table without its rows out of bytes."""
        kept = json.loads(data)
        definition = _Table.FromString(bytes.fromhex(kept["definition"]))
        return cls(definition, splits=[bytes.fromhex(key) for key in kept["splits"]], order=kept["families"])

    def write(self) -> bytes:
        """Put all but the rows into bytes."""
        kept = {
            "definition": self.definition.SerializeToString().hex(),
            "splits": [key.hex() for key in self.splits],
            "families": list(self.families),
        }
        return json.dumps(kept).encode()

    def arrange(self, order: Sequence[str] = ()) -> None:
        """Bring the families into their order, after a change of the definition."""
        defined = self.definition.column_families
        earlier = [name for name in (order or self.families) if name in defined]
        names = [*earlier, *sorted(set(defined) - set(earlier))]
        self.families = {name: Family(place, defined[name]) for place, name in enumerate(names)}

    def family(self, name: str) -> Family:
        """Return a family, or refuse."""
        try:
            return self.families[name]
        except KeyError:
            raise Refused("NOT_FOUND", f"Requested column family not found: {name} in {self.name}") from None


class Tables:
    """All tables. Whoever reads or changes one holds `lock`."""

    def __init__(self, state: State, clock: Clock) -> None:
        self.lock = threading.RLock()
        self._state = state
        self._clock = clock
        self._definitions = state.table("bigtable_tables")
        self._kept_rows = state.table("bigtable_rows")
        self._tables: dict[str, Table] = {}
        for name, data in self._definitions.items():
            table = self._tables[name] = Table.read(data)
            for key, row in self._kept_rows.items(f"{name} "):
                table.rows.put(bytes.fromhex(key.rpartition(" ")[2]), rows.read(row))

    def now_micros(self) -> int:
        """The present, in microseconds since the epoch."""
        return int(self._clock.now().timestamp() * 1_000_000)

    def get(self, name: str) -> Table:
        """Return a table, or refuse."""
        try:
            return self._tables[name]
        except KeyError:
            raise Refused("NOT_FOUND", f"Table not found: {name}") from None

    def check(self, table: Table) -> None:
        """Refuse a table that was removed since it was found, also where another one has its name."""
        if self._tables.get(table.name) is not table:
            raise Refused("NOT_FOUND", f"Table not found: {table.name}")

    def of(self, instance: str) -> list[Table]:
        """Return the tables of an instance, by name."""
        return [table for name, table in sorted(self._tables.items()) if name.startswith(f"{instance}/tables/")]

    def create(self, table: Table) -> None:
        """Keep a new table, or refuse."""
        with self.lock:
            if table.name in self._tables:
                raise Refused("ALREADY_EXISTS", f"Table already exists: {table.name}")
            self.save(table)
            self._tables[table.name] = table

    @contextmanager
    def together(self) -> Iterator[None]:
        """Do several writes as one."""
        with self.lock, self._state.transaction():
            yield

    def save(self, table: Table) -> None:
        """Keep a definition that has changed."""
        table.arrange()
        self._definitions.put(table.name, table.write())

    def delete(self, table: Table) -> None:
        """Remove a table and its rows."""
        with self.lock, self._state.transaction():
            self.drop(table, table.rows.between())
            self._definitions.delete(table.name)
            del self._tables[table.name]

    def cells(self, table: Table, key: bytes) -> list[Cell]:
        """Return what can be seen of a row now."""
        row = table.rows.get(key)
        return [] if row is None else rows.cells(row, table.families, self.now_micros())

    def row(self, table: Table, key: bytes) -> Row:
        """Return a copy of a row to be changed and put back; an empty one when there is none."""
        row = table.rows.get(key)
        return {} if row is None else rows.collected(row, table.families, self.now_micros())

    def put(self, table: Table, key: bytes, row: Row) -> None:
        """Keep a row; one without cells is none."""
        if row:
            self._kept_rows.put(f"{table.name} {key.hex()}", rows.write(row))
            table.rows.put(key, row)
        else:
            self.drop(table, [key])

    def drop(self, table: Table, keys: list[bytes]) -> None:
        """Remove rows."""
        with self._state.transaction():
            for key in keys:
                self._kept_rows.delete(f"{table.name} {key.hex()}")
        table.rows.delete(keys)

    def drop_family(self, table: Table, family: str) -> None:
        """Remove the cells of a family from every row."""
        with self._state.transaction():
            for key in table.rows.between():
                row = table.rows.get(key)
                if row is not None and family in row:
                    self.put(table, key, {name: columns for name, columns in row.items() if name != family})


_tables: WeakKeyDictionary[State, Tables] = WeakKeyDictionary()


def tables_of(state: State, clock: Clock) -> Tables:
    """Return the tables of an emulator, known by its state: other services of Google's read theirs here."""
    if (known := _tables.get(state)) is None:
        known = _tables[state] = Tables(state, clock)
    return known
