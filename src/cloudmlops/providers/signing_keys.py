"""The keys that tokens are verified by: asked for once and kept for a while, for each push needs them."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock
from typing import Final, Generic, TypeVar

SKEW_SECONDS: Final = 10
"""So much the clocks of whoever signs and of this machine may differ."""
_KEPT_SECONDS: Final = 3600.0
"""Google and Microsoft announce new keys longer than this before they sign with them."""
_KEYS = TypeVar("_KEYS")


class KeptKeys(Generic[_KEYS]):
    """Keys as one who issues tokens shows them; of several who want them at once, one asks."""

    def __init__(self, ask: Callable[[], _KEYS]) -> None:
        self._ask = ask
        self._lock = Lock()
        self._kept: tuple[float, _KEYS] | None = None

    def get(self, *, seconds: float = _KEPT_SECONDS) -> _KEYS:
        """Return keys that were asked for so many seconds ago at most."""
        with self._lock:
            if self._kept is None or time.monotonic() - self._kept[0] > seconds:
                found = self._ask()
                self._kept = (time.monotonic(), found)
            return self._kept[1]
