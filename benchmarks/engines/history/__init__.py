"""A long history: written once, then read whole and verified.

An engine's module has `open_history(folder) -> History`.
"""

from __future__ import annotations

import time
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol


class History(Protocol):
    """The history of one model."""

    def write(self, entries: int) -> None:
        """Make the history this long."""

    def read(self) -> int:
        """Read and verify it as a process does that has not read it before; return its length."""


def drive(engine: ModuleType, *, folder: str, entries: int, reads: int) -> dict[str, Any]:
    """Write the history and read it `reads` times, after one reading that is not counted."""
    home = Path(folder)
    home.mkdir(parents=True, exist_ok=True)
    history: History = engine.open_history(home)
    begun = time.perf_counter()
    history.write(entries)
    write_s = time.perf_counter() - begun
    seconds = [_timed(history, entries) for _ in range(1 + reads)][1:]
    return {"write_s": write_s, "read_s": sorted(seconds)[len(seconds) // 2]}


def _timed(history: History, entries: int) -> float:
    begun = time.perf_counter()
    found = history.read()
    seconds = time.perf_counter() - begun
    if found != entries:
        raise AssertionError(f"the history has {found} entries in place of {entries}")
    return seconds
