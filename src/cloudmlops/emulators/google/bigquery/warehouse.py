"""The data itself: one DuckDB database whose schemas are the datasets."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pyarrow as pa

from cloudmlops.emulators.google.bigquery.fields import Field, quoted
from cloudmlops.emulators.google.bigquery.library.needs import define, needed
from cloudmlops.emulators.google.bigquery.macros import MACROS
from cloudmlops.emulators.google.bigquery.names import DatasetName, TableName
from cloudmlops.emulators.google.bigquery.refusals import of_duckdb


class Warehouse:
    """Rows of all tables.

    Reading needs no lock: each reader has a cursor, which sees what was committed when its statement began. Writing is
    one at a time, as BigQuery queues statements that change one table.
    """

    def __init__(self, file: Path | None) -> None:
        self.writing = threading.RLock()
        self._defining = threading.Lock()
        self._defined: set[str] = set()
        self._root = duckdb.connect(":memory:", config={"autoinstall_known_extensions": "false"})
        self._root.execute("SET GLOBAL TimeZone = 'UTC'")
        for macro in MACROS:
            self._root.execute(macro)
        self._root.execute(f"ATTACH '{file or ':memory:'}' AS store")
        self._schemas = {str(name) for (name,) in self._root.execute(_SCHEMAS).fetchall()}

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """Return a connection of one's own; close it."""
        return self._root.cursor()

    def define_functions(self, sql: str) -> None:
        """Make those functions of the library known that a statement uses, before the transaction that runs it."""
        if "__" not in sql:
            return
        with self._defining:
            names = list(needed(sql, set(self._defined)))
            if names:
                cursor = self.cursor()
                try:
                    for name in names:
                        define(cursor, name)
                        self._defined.add(name)
                finally:
                    cursor.close()

    @contextmanager
    def reading(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Read what is committed now.

        Raises:
            Refused: What DuckDB refuses, in BigQuery's words.
        """
        cursor = self.cursor()
        try:
            yield cursor
        except duckdb.Error as error:
            raise of_duckdb(error) from error
        finally:
            cursor.close()

    @contextmanager
    def changing(self, cursor: duckdb.DuckDBPyConnection | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
        """Change as one: all of it is there in the end, or nothing.

        Raises:
            Refused: What DuckDB refuses, in BigQuery's words.
        """
        with self.writing:
            own = cursor is None
            cursor = cursor or self.cursor()
            try:
                cursor.execute("BEGIN TRANSACTION")
                try:
                    yield cursor
                except BaseException:
                    cursor.execute("ROLLBACK")
                    raise
                cursor.execute("COMMIT")
            except duckdb.Error as error:
                raise of_duckdb(error) from error
            finally:
                if own:
                    cursor.close()

    def make_dataset(self, name: DatasetName) -> None:
        """Make room for a dataset's tables."""
        with self.changing() as cursor:
            cursor.execute(f"CREATE SCHEMA IF NOT EXISTS store.{quoted(str(name))}")

    def drop_dataset(self, name: DatasetName) -> None:
        """Remove a dataset with its tables."""
        with self.changing() as cursor:
            cursor.execute(f"DROP SCHEMA IF EXISTS store.{quoted(str(name))} CASCADE")

    def close(self) -> None:
        """Let go."""
        self._root.close()


_SCHEMAS = "SELECT schema_name FROM duckdb_schemas() WHERE database_name = 'store'"


def place(name: TableName) -> str:
    """Where a table's rows are, as DuckDB's SQL."""
    return f"store.{quoted(str(name.parent))}.{quoted(name.table)}"


def insert(cursor: duckdb.DuckDBPyConnection, target: str, rows: pa.Table) -> None:
    """Append rows, by the names of their columns."""
    if not rows.num_columns:
        return
    cursor.register("arriving_rows", rows)
    try:
        cursor.execute(f"INSERT INTO {target} BY NAME SELECT * FROM arriving_rows")  # noqa: S608 quoted
    finally:
        cursor.unregister("arriving_rows")


def fill_arrays(cursor: duckdb.DuckDBPyConnection, target: str, fields: Iterable[Field]) -> None:
    """Put an empty array wherever none was written: a table of BigQuery has no array that is NULL."""
    for column in [quoted(field["name"]) for field in fields if field.get("mode") == "REPEATED"]:
        cursor.execute(f"UPDATE {target} SET {column} = [] WHERE {column} IS NULL")  # noqa: S608 quoted


def count(cursor: duckdb.DuckDBPyConnection, target: str) -> int:
    """Count a table's rows."""
    return int(cursor.execute(f"SELECT count(*) FROM {target}").fetchall()[0][0])  # noqa: S608 quoted
