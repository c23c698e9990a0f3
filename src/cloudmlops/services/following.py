"""Following what a step prints."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from io import StringIO
from typing import Final

from cloudmlops.domain.runs import StepState
from cloudmlops.ports.clock import Clock
from cloudmlops.ports.pipelines import PipelinesPort

_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 2.0
"""Seconds between looks at a log: the longer it is followed, the seldomer, for the clouds count who reads logs."""
_SLOWER: Final = 1.5


def follow_log(port: PipelinesPort, run: str, step: str, clock: Clock) -> Iterator[str]:
    """Yield what a step prints, line by line, as it comes, until the step or the run has ended.

    It begins with the attempt that the step is in, and goes on with those that come. Of several processes, each one's
    lines come in its own order, and at each look those of one after those of another.
    """
    attempt, past, pause = 0, False, _FIRST_PAUSE
    log = _Log()
    lag = port.log_lag.total_seconds()
    while True:
        record = port.get(run)
        known = record.steps[step]
        if known.state is StepState.CACHED:
            yield from _lines(port.log(run, step, None))
            return
        over = record.state.ended or known.state.ended
        ended = known.ended_at or record.ended_at
        if not attempt and over and ended is not None and clock.now() - ended > port.log_lag:
            lag = 0  # nothing more can come
        attempt = attempt or max(1, known.attempt)
        retried = record.graph.by_name[step].options.retries > 0
        while True:
            # Asked before what it printed is read, which then is all that has come.
            past = past or known.attempt > attempt or (retried and port.log(run, step, attempt + 1) != "")
            printed = port.printed(run, step, attempt)
            yield from log.new(printed)
            if not (over or past) or not log.rests(printed, lag):
                break
            yield from log.rest(printed)
            if not past:
                return
            attempt, past, log = attempt + 1, False, _Log()
        time.sleep(pause)
        pause = min(pause * _SLOWER, _LONGEST_PAUSE)


class _Log:
    """How far what each process of an attempt printed has been told."""

    def __init__(self) -> None:
        self._told: dict[str, int] = {}
        self._length = -1
        self._since = 0.0

    def new(self, printed: Mapping[str, str]) -> Iterator[str]:
        """Yield the whole lines that have not been told."""
        for process, text in printed.items():
            begin, end = self._told.get(process, 0), text.rfind("\n") + 1
            if end > begin:
                self._told[process] = end
                yield from _lines(text[begin:end])

    def rests(self, printed: Mapping[str, str], lag: float) -> bool:
        """Say whether nothing has come for so many seconds since it was first asked."""
        length = sum(map(len, printed.values()))
        if length != self._length:
            self._length, self._since = length, time.monotonic()
        return time.monotonic() - self._since >= lag

    def rest(self, printed: Mapping[str, str]) -> Iterator[str]:
        """Yield the last lines, which nothing ended."""
        for process, text in printed.items():
            if line := text[self._told.get(process, 0) :]:
                yield line if len(printed) == 1 else f"{line}\n"


def _lines(text: str) -> Iterator[str]:
    return iter(StringIO(text, newline="\n"))
