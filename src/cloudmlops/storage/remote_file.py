"""A remote object as a file: each read asks for its own bytes alone, with the credentials of that moment."""

from __future__ import annotations

import io
import os
from collections.abc import Callable


class RemoteFile(io.RawIOBase):
    """An object of known size, read at any place; nothing is kept of it."""

    def __init__(self, read: Callable[[int, int], bytes], size: int) -> None:
        """Take how it is read.

        Args:
            read: Returns the bytes from a place on, so many of them.
            size: How many it has.
        """
        super().__init__()
        self._read = read
        self._size = size
        self._at = 0

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def seekable(self) -> bool:
        """Say that it can be read from any place."""
        return True

    def tell(self) -> int:
        """Return the place that is read next."""
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place, from the beginning, from here or from the end; return it."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = max(0, start + offset)
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        """Return so many bytes from here, or all; fewer at the end.

        Raises:
            ServiceError: The service's answer, as ours.
        """
        rest = max(0, self._size - self._at)
        length = rest if size is None or size < 0 else min(size, rest)
        found = self._read(self._at, length) if length else b""
        self._at += len(found)
        return found
