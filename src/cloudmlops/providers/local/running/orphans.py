"""Processes of a step that outlived the run's process and the zygote, because all were killed at once.

The kernel ends the steps themselves, but not what they have started. Who takes the run up again ends those first.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterable, Iterator
from pathlib import Path

from cloudmlops.providers.local.running.attempts import RUN_VARIABLE


def end_orphans(run: str, lease: Path, leaders: Iterable[int]) -> None:
    """Kill what is left of a run's steps.

    Args:
        run: The run's id.
        lease: Its lease's file; a forked process still has it open.
        leaders: The processes of the steps that had not ended; each led a session of its own.
    """
    sessions = set(leaders)
    for process in _processes() if sessions else ():
        if _session(process) in sessions and (_starts_within(process, run) or _has_open(process, lease)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(process.name), signal.SIGKILL)


def is_alive(process: int) -> bool:
    """Say whether a process of that number lives; one that ended and was not waited for does not."""
    try:
        return _stat(Path(f"/proc/{process}"))[0] != b"Z"
    except OSError:
        return False


def _processes() -> Iterator[Path]:
    return (entry for entry in Path("/proc").iterdir() if entry.name.isdecimal())


def _session(process: Path) -> int:
    try:
        return int(_stat(process)[3])
    except OSError:
        return 0


def _stat(process: Path) -> list[bytes]:
    """Return the fields after the name: state, parent, group, session, …; see proc(5)."""
    # The name stands in parentheses and may hold anything, so the fields are counted from its end.
    return (process / "stat").read_bytes().rpartition(b")")[2].split()


def _starts_within(process: Path, run: str) -> bool:
    try:
        return f"{RUN_VARIABLE}={run}/".encode() in (process / "environ").read_bytes()
    except OSError:
        return False


def _has_open(process: Path, file: Path) -> bool:
    with contextlib.suppress(OSError):
        for descriptor in (process / "fd").iterdir():
            with contextlib.suppress(OSError):
                if descriptor.samefile(file):
                    return True
    return False
