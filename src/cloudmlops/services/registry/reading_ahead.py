"""Reading numbered objects one after the other from a store that is far away, several at once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

_MOST_AT_ONCE: Final = 32
_FEWEST_FOR_THREADS: Final = 4

Read = Callable[[int], bytes | None]
"""Returns the object of that number; None when there is none."""


class ReadAhead:
    """Answers like `read` for growing numbers; the more it was asked already, the more it reads at once."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._found: dict[int, bytes | None] = {}
        self._at_once = 1

    def __call__(self, number: int) -> bytes | None:
        """Return the object of that number; None when there is none."""
        if number not in self._found:
            self._found = dict(zip(range(number, number + self._at_once), self._batch(number), strict=True))
            self._at_once = min(self._at_once * 2, _MOST_AT_ONCE)
        return self._found[number]

    def _batch(self, number: int) -> list[bytes | None]:
        numbers = range(number, number + self._at_once)
        if len(numbers) < _FEWEST_FOR_THREADS:
            return [self._read(wanted) for wanted in numbers]
        # A pool of its own each time: one that is kept would not survive a fork.
        with ThreadPoolExecutor(max_workers=len(numbers), thread_name_prefix="cloudmlops-ledger") as pool:
            return list(pool.map(self._read, numbers))
