"""Reading on: of what was read last, only what is new is asked for."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Generic, TypeVar

Found = TypeVar("Found")


class LastRead(Generic[Found]):
    """What was read last of the things of one kind, for any thread; one thing is kept, and one is read at a time."""

    def __init__(self) -> None:
        self._reading = Lock()
        self._key = ""
        self._found: Found | None = None

    def on(self, key: str, read: Callable[[Found | None], Found]) -> Found:
        """Read a thing, and keep what there is of it.

        Args:
            key: Which of the things.
            read: Is given what was read of it before, if it was the last; returns all that there is now.
        """
        with self._reading:
            found = read(self._found if self._key == key else None)
            self._key, self._found = key, found
            return found
