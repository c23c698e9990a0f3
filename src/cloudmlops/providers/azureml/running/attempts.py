"""Attempts at a step, each a process of its own; Azure ML tries no command again by itself."""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cloudmlops.providers.azureml.mapping.step_logs import heading

_LONGEST_PAUSE: Final = 60.0
"""Seconds."""
_PR_SET_CHILD_SUBREAPER: Final = 36
"""Of Linux' prctl(2): processes whose parent is gone have this process as their parent."""


def attempts(words: Sequence[str], given: argparse.Namespace) -> int:
    """Try a step until it succeeds, or must not be tried again; return the status of the last attempt.

    Args:
        words: The command line of one attempt, but for its number.
        given: The same, read.
    """
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)
    pause = float(given.retry_delay)
    status = 1
    for attempt in range(1, given.retries + 2):
        if attempt > 1:
            time.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 no secret
            pause = min(pause * 2, _LONGEST_PAUSE)
            sys.stdout.write(heading(os.environ["AZUREML_RUN_ID"], attempt))
            sys.stdout.flush()
        status = subprocess.call(
            [sys.executable, "-m", "cloudmlops.providers.azureml.running", *words, f"--attempt={attempt}"]
        )
        _end_what_is_left()
        if status == 0 or not _retryable(Path(given.record, "error.json")):
            break
    return status


def _retryable(error: Path) -> bool:
    """Say whether a failure may pass; a process that was killed has left no word of it."""
    try:
        return bool(json.loads(error.read_text(encoding="utf-8"))["retryable"])
    except FileNotFoundError:
        return True


def _end_what_is_left() -> None:
    """Kill the processes that an attempt has left, so that none works beside the next one."""
    while True:
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                continue
        children = [int(one) for file in Path("/proc/self/task").glob("*/children") for one in file.read_text().split()]
        if not children:
            return
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(-1, 0)
