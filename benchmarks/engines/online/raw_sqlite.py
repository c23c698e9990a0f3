"""Floor: one sqlite table with a column a feature, filled in one transaction and read with one IN query."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

import pyarrow.parquet as pq

from benchmarks.data import FEATURES


class RawSqlite:
    def __init__(self, folder: Path, features: str) -> None:
        self._features = features
        self._database = sqlite3.connect(folder / "online.db", isolation_level=None)
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = NORMAL")
        columns = ", ".join(f"{name} REAL" for name in FEATURES)
        self._database.execute(f"CREATE TABLE latest (user_id INTEGER PRIMARY KEY, time INTEGER, {columns})")

    def fill(self) -> None:
        table = pq.read_table(self._features)
        times = table["event_timestamp"].cast("int64").to_pylist()
        columns = [table["user_id"].to_pylist(), times, *(table[name].to_pylist() for name in FEATURES)]
        marks = ", ".join("?" * len(columns))
        self._database.execute("BEGIN")
        self._database.executemany(f"INSERT OR REPLACE INTO latest VALUES ({marks})", zip(*columns, strict=True))
        self._database.execute("COMMIT")

    def read(self, keys: Sequence[int]) -> list[tuple[float, ...]]:
        rows = self._database.execute(f"SELECT * FROM latest WHERE user_id IN ({','.join('?' * len(keys))})", keys)
        return rows.fetchall()


def open_store(folder: Path, features: str) -> RawSqlite:
    return RawSqlite(folder, features)
