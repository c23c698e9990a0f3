"""Statements on DuckDB, over tables in memory."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import duckdb
import pyarrow as pa


@contextmanager
def holding(tables: Mapping[str, pa.Table]) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open an engine that knows tables by name; its time zone is UTC, and it downloads nothing."""
    with (
        tempfile.TemporaryDirectory(prefix="cloudmlops-duckdb-") as folder,
        duckdb.connect(config={"autoinstall_known_extensions": False, "temp_directory": folder}) as connection,
    ):
        connection.execute("SET TimeZone = 'UTC'")
        for name, table in tables.items():
            connection.register(name, table)
        yield connection


def answer(statement: str, tables: Mapping[str, pa.Table]) -> pa.Table:
    """Return what a statement of ours answers."""
    with holding(tables) as connection:
        return connection.sql(statement).to_arrow_table()
