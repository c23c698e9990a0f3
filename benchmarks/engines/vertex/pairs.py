"""One call by cloudmlops beside the same calls by the SDK's own clients, timed in turns."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks.measuring import WARM_UP


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Both take the number of the call, 0, 1, …"""

    ours: Callable[[int], object]
    bare: Callable[[int], object]
    same: bool = True
    """Whether both ask the services the same."""
    share: float = 1.0
    """Of the calls that others are timed for: less for what takes long."""


class Record:
    """What the emulator was asked."""

    def __init__(self, url: str) -> None:
        self._url = f"{url}/-/emulator/calls"

    def asked_by(self, call: Callable[[], object]) -> list[str]:
        """Names of the calls that `call` makes."""
        before = len(self._names())
        call()
        return self._names()[before:]

    def _names(self) -> list[str]:
        with urllib.request.urlopen(self._url, timeout=60) as reply:
            return [f"{call['service']}/{call['operation']}" for call in json.load(reply)]


def checked(name: str, pair: Pair, record: Record) -> int:
    """How many calls ours makes once it is warm; an error if the bare side does not make the same ones."""
    pair.ours(0), pair.bare(0)
    ours, bare = record.asked_by(lambda: pair.ours(1)), record.asked_by(lambda: pair.bare(1))
    if not ours or not bare or (pair.same and sorted(ours) != sorted(bare)):
        raise AssertionError(f"{name}: ours asks {ours}, the bare side {bare}")
    return len(ours)


def in_turns(pair: Pair, calls: int) -> dict[str, float]:
    """Call both sides, each first every other time; p50 of each, and of the difference of a turn, in microseconds."""
    taken: list[tuple[float, float]] = []
    first = 2  # those before were made by `checked`
    for number in range(first, first + WARM_UP + max(2, round(calls * pair.share))):
        sides = (pair.ours, pair.bare) if number % 2 else (pair.bare, pair.ours)
        begun = time.perf_counter()
        sides[0](number)
        between = time.perf_counter()
        sides[1](number)
        seconds = (between - begun, time.perf_counter() - between)
        taken.append(seconds if number % 2 else (seconds[1], seconds[0]))
    kept = taken[WARM_UP:]
    return {
        "ours_us": _median([ours for ours, _ in kept]),
        "bare_us": _median([bare for _, bare in kept]),
        "more_us": _median([ours - bare for ours, bare in kept]),
    }


def measured(pairs: dict[str, Pair], calls: int, *, url: str) -> dict[str, dict[str, Any]]:
    """Check all pairs, then time them one after the other."""
    record = Record(url)
    counts = {name: checked(name, pair, record) for name, pair in pairs.items()}
    return {name: {**in_turns(pair, calls), "calls": counts[name]} for name, pair in pairs.items()}


def _median(seconds: list[float]) -> float:
    return sorted(seconds)[len(seconds) // 2] * 1e6
