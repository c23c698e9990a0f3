"""What the system says of processes; see proc(5). Where there is no `/proc`, it knows of none."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")


def processes() -> Iterator[int]:
    """Yield the number of every process."""
    with contextlib.suppress(FileNotFoundError):
        yield from (int(entry.name) for entry in _PROC.iterdir() if entry.name.isdecimal())


def is_alive(process: int) -> bool:
    """Say whether a process of that number lives; one that ended and was not waited for does not."""
    try:
        return _stat(process)[0] != b"Z"
    except OSError:
        return False


def children() -> set[int]:
    """Return this process's children, those that ended and were not waited for among them."""
    found: set[int] = set()
    for thread in (_PROC / "self" / "task").glob("*"):
        try:
            found.update(int(child) for child in (thread / "children").read_bytes().split())
        except FileNotFoundError:  # a kernel that is not built to tell
            return {process for process in processes() if _parent(process) == os.getpid()}
    return found


def command(process: int) -> list[str]:
    """Return a process's command line; empty when it has ended or is not ours to know."""
    try:
        line = (_PROC / str(process) / "cmdline").read_bytes()
    except OSError:
        return []
    return [os.fsdecode(part) for part in line.removesuffix(b"\0").split(b"\0")] if line else []


def environment(process: int) -> Mapping[str, str]:
    """Return the variables that a process was started with; none when it has ended or is not ours to know."""
    try:
        block = (_PROC / str(process) / "environ").read_bytes()
    except OSError:
        return {}
    pairs = (os.fsdecode(entry).partition("=") for entry in block.split(b"\0") if entry)
    return {name: value for name, _, value in pairs}


def users(file: Path) -> list[int]:
    """Return the processes that have a file open, as far as it is ours to know."""
    return [process for process in processes() if _has_open(process, file)]


def _parent(process: int) -> int:
    try:
        return int(_stat(process)[1])
    except OSError:
        return 0


def _stat(process: int) -> list[bytes]:
    """Return the fields after the name: state, parent, group, session and so on."""
    # The name stands in parentheses and may hold anything, so the fields are counted from its end.
    return (_PROC / str(process) / "stat").read_bytes().rpartition(b")")[2].split()


def _has_open(process: int, file: Path) -> bool:
    with contextlib.suppress(OSError):
        for descriptor in (_PROC / str(process) / "fd").iterdir():
            with contextlib.suppress(OSError):
                if descriptor.samefile(file):
                    return True
    return False
