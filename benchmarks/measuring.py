"""Figures of repeated runs and calls: the standard library only, for it runs in every peer's environment."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

WARM_UP: Final = 10


@dataclass(frozen=True, kw_only=True)
class Spread:
    """The median of some runs, with the lowest and the highest."""

    median: float
    low: float
    high: float
    count: int

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        ordered = sorted(values)
        return cls(median=statistics.median(ordered), low=ordered[0], high=ordered[-1], count=len(ordered))


@dataclass(frozen=True, kw_only=True)
class Missing:
    """A figure that could not be taken."""

    reason: str


Figure = Spread | Missing


def latencies(call: Callable[[int], object], count: int) -> dict[str, float]:
    """Call with 0, 1, …, `WARM_UP` + `count` - 1; p50 and p99 in microseconds of all but the first `WARM_UP` calls."""
    for index in range(WARM_UP):
        call(index)
    seconds = []
    for index in range(WARM_UP, WARM_UP + count):
        begun = time.perf_counter()
        call(index)
        seconds.append(time.perf_counter() - begun)
    seconds.sort()
    return {"p50_us": seconds[count // 2] * 1e6, "p99_us": seconds[int(count * 0.99)] * 1e6}


def peak_mib() -> float:
    """The most memory that this process has held so far, in MiB."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def resident_mib(process: int) -> float:
    """The memory that a process holds now, in MiB."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024
