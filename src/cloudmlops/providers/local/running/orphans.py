"""Processes of a run that outlived it, because its own process and the zygote were killed at once.

The kernel ends the steps themselves, but not what they have started. Who takes the run up again ends those first.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Final

from cloudmlops.providers.local.running import processes
from cloudmlops.providers.local.running.attempts import FOLDER_VARIABLE, RUN_VARIABLE

_CARRIER: Final = "cloudmlops.providers.local.running.run_process"


def end_orphans(run_folder: Path, *, going_on: Callable[[], bool]) -> list[int]:
    """Kill what is left of a run, whatever session it is in.

    Args:
        run_folder: The run's.
        going_on: Whether somebody else has taken the run up meanwhile; asked before each kill, for what was found may
            be theirs.

    Returns:
        The processes that were found; they may take a moment to be gone.
    """
    found = []
    for process in processes.processes():
        if process == os.getpid() or not _is_of(process, run_folder):
            continue
        try:
            held = os.pidfd_open(process)
        except ProcessLookupError:
            continue
        try:
            # Once more, for its number might have been given away before we held it.
            if not _is_of(process, run_folder):
                continue
            if going_on():
                break
            found.append(process)
            signal.pidfd_send_signal(held, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            continue
        finally:
            os.close(held)
    return found


def _is_of(process: int, run_folder: Path) -> bool:
    """Say whether a step of the run started it, or it was forked from the run's process."""
    told = processes.command(process)
    if _CARRIER in told[:-1]:
        return _is_folder(_carried(told[-1]), run_folder)
    variables = processes.environment(process)
    # Endpoints that a step deployed have no run.
    return RUN_VARIABLE in variables and _is_folder(Path(variables.get(FOLDER_VARIABLE, "")).parent, run_folder)


def _carried(launch: str) -> Path:
    try:
        return Path(json.loads(launch)["folder"])
    except (ValueError, LookupError, TypeError):
        return Path()


def _is_folder(told: Path, run_folder: Path) -> bool:
    try:
        return told.samefile(run_folder)
    except OSError:
        return False
