"""Which process a folder belongs to: a `:memory:` platform's, or one in which something is prepared."""

from __future__ import annotations

import os
from pathlib import Path


def mark_owner(folder: Path) -> None:
    """Note in `folder` that this process owns it."""
    (folder / "owner").write_text(f"{os.getpid()} {_started(os.getpid())}", encoding="ascii")


def owner_is_gone(folder: Path) -> bool:
    """Say whether the process that owns `folder` has ended; a folder that nobody owns outlives all processes."""
    try:
        pid, started = (folder / "owner").read_text(encoding="ascii").split()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return _started(int(pid)) != started


def _started(pid: int) -> str:
    """Return when the process began, in ticks since boot: with the id it names a process for good."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return "gone"
    state, *rest = stat.rpartition(")")[2].split()
    return "gone" if state == "Z" else rest[18]
