"""What a process started, directly or not: adopted when its own parent ends, and ended with whoever adopted it.

Linux alone tells a process to adopt; elsewhere only a step's own process group ends with it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Collection
from typing import Final

from cloudmlops.providers.local.running import processes

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_CHILD_SUBREAPER: Final = 36

_MEANT_TO_STAY: Final = frozenset(
    {
        "cloudmlops.providers.local.hosting.front",
        "cloudmlops.providers.local.running.run_process",
        "cloudmlops.cli.announcing",
    }
)
"""Programs that a step may start in order to leave them: an endpoint, another run, the news of that run's end."""


def adopt_descendants() -> None:
    """Make this process the parent of those of its descendants whose parent ends, whatever session they are in."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent() -> None:
    """Have this process killed when its parent ends."""
    parent = os.getppid()
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died in between
        os._exit(1)


def outlive_parent() -> None:
    """Undo `die_with_parent`."""
    _prctl(_PR_SET_PDEATHSIG, 0)


def end_children(spared: Collection[int] = ()) -> None:
    """Kill and bury this process's children, and their children, which become its own, until none is left.

    Args:
        spared: Children that stay. So do endpoints and other runs.
    """
    stay = set(spared)
    while ended := _children() - stay:
        for child in ended:
            if is_meant_to_stay(child):
                stay.add(child)
                continue
            try:
                os.kill(child, signal.SIGKILL)
            except PermissionError:  # it has become another user's
                stay.add(child)
                continue
            with contextlib.suppress(ChildProcessError):
                os.waitpid(child, 0)


def is_meant_to_stay(process: int) -> bool:
    """Say whether it is an endpoint, or carries or announces another run."""
    told = processes.command(process)
    # A forked process has the command line of whom it was forked from: ours is no other run's.
    if told == processes.command(os.getpid()) or "-m" not in told:
        return False
    return told[told.index("-m") + 1] in _MEANT_TO_STAY


def kill_group(leader: int) -> None:
    """Kill a process and its process group."""
    for kill in (os.killpg, os.kill):  # the second for a child that has not made its group yet
        with contextlib.suppress(ProcessLookupError, PermissionError):
            kill(leader, signal.SIGKILL)


def _children() -> set[int]:
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return set()
    return processes.children()


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, *(ctypes.c_ulong(argument) for argument in (value, 0, 0, 0)))
