"""Floor: a call in this process, plus what no durable orchestrator can avoid: a key, a look-up and two commits."""

from __future__ import annotations

import hashlib
import inspect
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.engines.pipelines import Layers, RunLayers, tagged, work

_TABLE = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
CREATE TABLE IF NOT EXISTS steps (id INTEGER PRIMARY KEY, key TEXT, state TEXT);
CREATE INDEX IF NOT EXISTS by_key ON steps (key);
"""


def prepare(folder: Path) -> RunLayers:
    database = sqlite3.connect(folder / "runs.db", isolation_level=None, check_same_thread=False)
    database.executescript(_TABLE)
    lock, source = threading.Lock(), inspect.getsource(work)
    pool = ThreadPoolExecutor()

    def run(layers: Layers, cache: bool, marks: str) -> None:
        def step(named: tuple[str, float]) -> None:
            tag, seconds = named
            key = hashlib.sha256(f"{tag} {marks} {source}".encode()).hexdigest()
            with lock:
                if (
                    cache
                    and database.execute("SELECT 1 FROM steps WHERE key = ? AND state = 'done'", (key,)).fetchone()
                ):
                    database.execute("INSERT INTO steps (key, state) VALUES (?, 'cached')", (key,))
                    return
                inserted = database.execute("INSERT INTO steps (key, state) VALUES (?, 'running')", (key,)).lastrowid
            work(marks, seconds, tag)
            with lock:
                database.execute("UPDATE steps SET state = 'done' WHERE id = ?", (inserted,))

        for layer in tagged(layers):
            list(pool.map(step, layer))

    return run
