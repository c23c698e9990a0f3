"""Which process works on something, so that another on the same machine need not wait for a dead one's lease."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Final

_SEPARATOR: Final = ":"


def this_worker() -> str:
    """Name this process: machine (and its process-id space), process id, and when the process started."""
    return _SEPARATOR.join((_machine(), str(os.getpid()), _started(os.getpid())))


def is_gone(worker: str) -> bool:
    """Say whether `worker` certainly ended; False also when it may live on another machine, where we cannot look."""
    machine, _, rest = worker.partition(_SEPARATOR)
    process, _, started = rest.partition(_SEPARATOR)
    if not started or machine != _machine() or not process.isdigit():
        return False
    return _started(int(process)) != started


@cache
def _machine() -> str:
    # The boot, so that a process id from before a restart is not mistaken for a living one; the namespace, because two
    # containers count their processes apart.
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}/{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return ""


def _started(process: int) -> str:
    """Return the start time of a process in clock ticks since boot; empty when there is none, or it is a zombie."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in {"Z", "X"} else fields[19]
