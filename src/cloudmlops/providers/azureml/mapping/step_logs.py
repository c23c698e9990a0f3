"""What a step has printed in all of its attempts, and what in one."""

from __future__ import annotations

import re
from collections.abc import Sequence


def heading(job: str, attempt: int) -> str:
    """Return what stands in the log before each attempt but the first.

    Args:
        job: Id of the step's own run, which nothing else prints in this way.
        attempt: Its number.
    """
    return f"\n===== attempt {attempt} in run {job} =====\n"


def attempts(text: str, job: str) -> Sequence[str]:
    """Return what was printed in each attempt, the first one first."""
    return re.split(rf"\n===== attempt [0-9]+ in run {re.escape(job)} =====\n", text)
