"""The online store: SQLite in WAL mode, one table a view, one packed row an entity."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import threading
import weakref
from collections.abc import Callable, Iterable, Sequence
from contextlib import contextmanager
from datetime import date
from functools import cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cloudmlops.domain.feature_types import type_name
from cloudmlops.domain.features import FeatureView
from cloudmlops.domain.point_in_time import FeatureRow, rank, reduced
from cloudmlops.errors import (
    InvalidEntitiesError,
    PermissionDeniedError,
    QuotaExceededError,
    ServiceError,
    UnavailableError,
    UnexpectedReplyError,
)
from cloudmlops.providers.packed_rows import HEADER_BYTES, RowPacking, day_number

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cloudmlops.ports.features import OnlineReader

_BUSY_SECONDS: Final = 60.0
_BATCH: Final = 50_000
_PARAMETERS: Final = 30_000
"""SQLite takes at most 32,766 in a statement."""


class OnlineStore:
    """Rows of all views in one file, shared by threads and processes."""

    def __init__(self, path: Path, *, durable: bool) -> None:
        self._path = path
        self._durable = durable
        self._local = threading.local()
        self._opened: list[weakref.finalize[[int, sqlite3.Connection], _Opened]] = []

    def write(self, view: FeatureView, rows: Iterable[tuple[Any, ...]], *, instead: bool = False) -> None:
        """Write rows where they are newer than what is stored, in batches that are each written whole or not at all.

        Args:
            view: The view, under its own names.
            rows: The key's parts, as `key_column` stores them, then the packed row.
            instead: Remove what is stored, and write all rows in the same transaction.
        """
        table = _Table(view)
        waiting = iter(rows)
        try:
            connection = self._connection()
            connection.execute(table.create)
            table.add_comparison(connection)
            if instead:
                with _transaction(connection):
                    connection.execute(table.empty)
                    connection.executemany(table.upsert, waiting)
            while batch := list(islice(waiting, _BATCH)):
                with _transaction(connection):
                    connection.executemany(table.upsert, batch)
        except sqlite3.Error as error:
            raise _service_error(error, "write", view.name) from error

    def reader(self, view: FeatureView) -> OnlineReader:
        """Prepare reading a view."""
        table = _Table(view)
        try:
            self._connection().execute(table.create)
        except sqlite3.Error as error:
            raise _service_error(error, "read", view.name) from error
        read = table.reader(self._connection)

        def read_or_say(keys: Sequence[Any]) -> list[Sequence[FeatureRow]]:
            try:
                return read(keys)
            except sqlite3.Error as error:
                raise _service_error(error, "read", view.name) from error
            except UnicodeEncodeError as error:
                raise InvalidEntitiesError(
                    f"entity rows do not fit {view.name!r}", faults=[f"a key is no Unicode text: {error.reason}"]
                ) from error

        return read_or_say

    def close(self) -> None:
        """Close all connections."""
        for close in self._opened:
            close()
        self._opened.clear()
        self._local = threading.local()

    def _connection(self) -> sqlite3.Connection:
        process = os.getpid()
        opened: _Opened | None = getattr(self._local, "opened", None)
        if opened is None or opened.process != process:
            # SQLite's connections belong to one thread here, and must never be carried over a fork.
            self._path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(
                self._path, isolation_level=None, timeout=_BUSY_SECONDS, check_same_thread=False
            )
            opened = self._local.opened = _Opened(process, connection)
            # It ends with its thread, with the store or with the process, whichever is first.
            self._opened = [close for close in self._opened if close.alive]
            self._opened.append(weakref.finalize(opened, _close, process, connection))
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute(f"PRAGMA synchronous={'FULL' if self._durable else 'OFF'}")
        return opened.connection


class _Opened:
    """One thread's connection."""

    __slots__ = ("__weakref__", "connection", "process")

    def __init__(self, process: int, connection: sqlite3.Connection) -> None:
        self.process = process
        self.connection = connection


_CARRIED_OVER: Final[list[sqlite3.Connection]] = []
"""Another process's connections: a forked one must not even close them."""


def _close(process: int, connection: sqlite3.Connection) -> None:
    if process == os.getpid():
        connection.close()
    else:
        _CARRIED_OVER.append(connection)


def key_column(kind: str) -> Callable[[Any], Any] | None:
    """Return how a key of a type is stored; None when it is stored as it is."""
    return day_number if kind == "date" else None


class _Table:
    """One view's table. Its name holds what its rows are: a view that changes key, source or features gets another."""

    def __init__(self, view: FeatureView) -> None:
        self._view = view
        self._packing = RowPacking(view)
        self._kinds = [type_name(kind) or "" for kind in view.entity.keys.values()]
        self._digest = hashlib.sha256(view.layout.encode()).hexdigest()[:12]
        self._name = f'"{view.name}/{self._digest}"'
        self._keys = [f"key{number}" for number in range(len(self._kinds))]
        listed = ", ".join(self._keys)
        if self._kinds == ["int"]:
            self.create = f"CREATE TABLE IF NOT EXISTS {self._name} (key0 INTEGER PRIMARY KEY, row BLOB NOT NULL)"
        else:
            # No types: SQLite would turn the text '1' into the number 1 for a numeric column.
            columns = f"{listed}, row BLOB NOT NULL, PRIMARY KEY ({listed})"
            self.create = f"CREATE TABLE IF NOT EXISTS {self._name} ({columns}) WITHOUT ROWID"
        self.empty = f"DELETE FROM {self._name}"  # noqa: S608 names are ours
        marks = ", ".join("?" * (len(self._keys) + 1))
        insert = f"INSERT INTO {self._name} AS old ({listed}, row) VALUES ({marks})"  # noqa: S608 names are ours
        self.upsert = f"{insert} ON CONFLICT DO UPDATE SET " + (
            self._replacing if view.nulls == "row" else self._merging
        )

    @property
    def _replacing(self) -> str:
        new, old = (f"substr({side}.row, 1, {HEADER_BYTES})" for side in ("excluded", "old"))
        return (
            f"row = excluded.row WHERE {new} > {old} OR ({new} = {old} AND excluded.row <> old.row "
            f"AND compare_{self._digest}(excluded.row, old.row))"
        )

    @property
    def _merging(self) -> str:
        return f"row = merge_{self._digest}(old.row, excluded.row) WHERE excluded.row <> old.row"

    def add_comparison(self, connection: sqlite3.Connection) -> None:
        """Teach a connection the comparison that `upsert` calls where times do not decide."""
        view, packing = self._view, self._packing

        def greater(new: bytes, old: bytes) -> bool:
            return rank(view, packing.unpack(new)[0]) > rank(view, packing.unpack(old)[0])

        def merge(old: bytes, new: bytes) -> bytes:
            return packing.pack(reduced(view, [*packing.unpack(old), *packing.unpack(new)]))

        connection.create_function(f"compare_{self._digest}", 2, greater, deterministic=True)
        connection.create_function(f"merge_{self._digest}", 2, merge, deterministic=True)

    def reader(self, connect: Callable[[], sqlite3.Connection]) -> OnlineReader:
        """Return a function that reads the rows of keys."""
        unpack = self._packing.unpack
        if len(self._kinds) > 1:
            return self._tuple_reader(connect)
        one = f"SELECT row FROM {self._name} WHERE key0 = ?"  # noqa: S608 names are ours
        many = f"SELECT key0, row FROM {self._name} WHERE key0 IN "  # noqa: S608
        stored = key_column(self._kinds[0])

        @cache
        def statement(count: int) -> str:
            return f"{many}({','.join('?' * count)})"

        def read(keys: Sequence[Any]) -> list[Sequence[FeatureRow]]:
            if stored is not None:
                keys = [None if key is None else stored(key) for key in keys]
            execute = connect().execute
            if len(keys) == 1:
                found = execute(one, keys).fetchone()
                return [() if found is None else unpack(found[0])]
            rows: dict[Any, bytes] = {}
            for start in range(0, len(keys), _PARAMETERS):
                part = keys[start : start + _PARAMETERS]
                rows.update(execute(statement(len(part)), part))
            get = rows.get
            return [() if (row := get(key)) is None else unpack(row) for key in keys]

        return read

    def _tuple_reader(self, connect: Callable[[], sqlite3.Connection]) -> OnlineReader:
        unpack = self._packing.unpack
        listed, width = ", ".join(self._keys), len(self._keys)
        marks = f"({','.join('?' * width)})"
        many = f"SELECT {listed}, row FROM {self._name} WHERE ({listed}) IN (VALUES "  # noqa: S608 names are ours
        dates = [place for place, kind in enumerate(self._kinds) if kind == "date"]

        def stored(key: tuple[Any, ...]) -> tuple[Any, ...]:
            return tuple(
                day_number(part) if place in dates and isinstance(part, date) else part
                for place, part in enumerate(key)
            )

        def read(keys: Sequence[Any]) -> list[Sequence[FeatureRow]]:
            if dates:
                keys = [stored(key) for key in keys]
            rows: dict[tuple[Any, ...], bytes] = {}
            execute = connect().execute
            step = _PARAMETERS // width
            for start in range(0, len(keys), step):
                part = keys[start : start + step]
                sql = f"{many}{','.join([marks] * len(part))})"
                for *parts, row in execute(sql, [value for key in part for value in key]):
                    rows[tuple(parts)] = row
            return [() if (row := rows.get(key)) is None else unpack(row) for key in keys]

        return read


def _service_error(error: sqlite3.Error, operation: str, view: str) -> ServiceError:
    details: dict[str, Any] = {"provider": "local", "operation": f"features.{operation}", "resource": view}
    said = f"the online store cannot {operation} feature view {view!r}: {error}"
    match getattr(error, "sqlite_errorcode", 0) & 0xFF:  # the rest of an extended code is detail
        case sqlite3.SQLITE_FULL:
            return QuotaExceededError(said, hint="Free space on the disk, then try again.", **details)
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM | sqlite3.SQLITE_AUTH:
            return PermissionDeniedError(said, hint="Ask the folder's owner for the permission.", **details)
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return UnexpectedReplyError(said, hint="Remove online.db, and materialise again.", **details)
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return UnavailableError(said, hint="Another process writes for long; try again.", retryable=True, **details)
        case _:
            return UnavailableError(said, **details)


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # SQLite ends it itself when the disk is full
            connection.execute("ROLLBACK")
        raise
