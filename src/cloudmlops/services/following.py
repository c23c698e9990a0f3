"""Following what a step prints."""

from __future__ import annotations

import time
from collections.abc import Iterator
from io import StringIO
from typing import Final

from cloudmlops.domain.runs import StepState
from cloudmlops.ports.pipelines import PipelinesPort

_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 2.0
"""Seconds between looks at a log: the longer it is followed, the seldomer, for the clouds count who reads logs."""
_SLOWER: Final = 1.5


def follow_log(port: PipelinesPort, run: str, step: str) -> Iterator[str]:
    """Yield what a step prints, line by line, as it comes, until the step or the run has ended.

    It begins with the attempt that the step is in, and goes on with those that come.
    """
    attempt, told, pause = 0, 0, _FIRST_PAUSE
    while True:
        record = port.get(run)
        known = record.steps[step]
        if known.state is StepState.CACHED:
            yield from _lines(port.log(run, step, None))
            return
        over = record.state.ended or known.state.ended
        attempt = attempt or max(1, known.attempt)
        retried = record.graph.by_name[step].options.retries > 0
        while True:
            # Asked before what it printed is read, which then is all.
            past = known.attempt > attempt or (retried and port.log(run, step, attempt + 1) != "")
            text = port.log(run, step, attempt)
            end = len(text) if over or past else text.rfind("\n") + 1
            yield from _lines(text[told:end])
            told = max(told, end)
            if not past:
                break
            attempt, told = attempt + 1, 0
        if over:
            return
        time.sleep(pause)
        pause = min(pause * _SLOWER, _LONGEST_PAUSE)


def _lines(text: str) -> Iterator[str]:
    return iter(StringIO(text, newline="\n"))
