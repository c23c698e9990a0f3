"""Floor: one row in sqlite, replaced with the log synced to disk at each commit."""

from __future__ import annotations

import sqlite3
from pathlib import Path


class RawSqlite:
    def __init__(self, folder: Path) -> None:
        self._database = sqlite3.connect(folder / "registry.db", isolation_level=None)
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = FULL")
        self._database.execute("CREATE TABLE aliases (name TEXT PRIMARY KEY, version INTEGER)")

    def promote(self, index: int) -> object:
        return self._database.execute("INSERT OR REPLACE INTO aliases VALUES ('production', ?)", (index,))

    def production(self) -> object:
        return self._database.execute("SELECT version FROM aliases WHERE name = 'production'").fetchone()


def open_registry(folder: Path, versions: int) -> RawSqlite:
    del versions
    return RawSqlite(folder)
