"""What a step has printed in all of its attempts, and what in one."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

_LAST_LINES: Final = 20


def heading(job: str, attempt: int) -> str:
    """Return what stands in the log before each attempt but the first.

    Args:
        job: Id of the step's own run, which nothing else prints in this way.
        attempt: Its number.
    """
    return f"\n===== attempt {attempt} in run {job} =====\n"


def attempts(printed: Mapping[str, str], job: str) -> Sequence[Mapping[str, str]]:
    """Return what each process has printed in each attempt, the first attempt first.

    Args:
        printed: All that each process has printed.
        job: Id of the step's own run.
    """
    parts = {process: _parts(text, job) for process, text in printed.items()}
    count = max(map(len, parts.values()), default=1)
    return [
        {process: texts[number] for process, texts in parts.items() if number < len(texts)} for number in range(count)
    ]


def _parts(text: str, job: str) -> Sequence[str]:
    return re.split(rf"\n===== attempt [0-9]+ in run {re.escape(job)} =====\n", text)


def unheard(text: str, job: str, environment: str) -> str:
    """Return what is said of a step that failed and left no word of why: it was killed, or it never began.

    Args:
        text: What it printed.
        job: Id of the step's own run.
        environment: That it was to run in.
    """
    lines = _parts(text, job)[-1].rstrip().splitlines()
    if not lines:
        return (
            f"its process left no word, and printed nothing. If {environment} is not there, or was not built for "
            f"steps: cloudmlops image steps FOLDER. What Azure ML says of it: the run {job} in Studio."
        )
    told = "\n".join(lines[-_LAST_LINES:])
    return f"its process left no word; the last that it printed:\n{told}"
