"""The bytes of objects: one immutable file each, named by chance, written before anything refers to it."""

from __future__ import annotations

import base64
import hashlib
import os
import secrets
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import google_crc32c

PIECE: Final = 1 << 18
"""How many bytes are held at once while streaming."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stored:
    """Bytes on disk that no object has yet."""

    file: str
    size: int
    crc32c: str
    """Base64 of the big-endian sum, as the API has it."""
    md5: str
    """Base64."""


class Sums:
    """Both sums of bytes that come in pieces."""

    _new_crc32c: Final[Any] = google_crc32c.Checksum

    def __init__(self) -> None:
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._crc32c = self._new_crc32c()
        self._size = 0

    def update(self, piece: bytes) -> None:
        """Take the next piece."""
        self._md5.update(piece)
        self._crc32c.update(piece)
        self._size += len(piece)

    def stored(self, file: str) -> Stored:
        """Return what is known of the file that all pieces are in."""
        return Stored(file=file, size=self._size, crc32c=_text(self._crc32c.digest()), md5=_text(self._md5.digest()))


class Content:
    """A folder of such files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def store(self, pieces: Iterable[bytes]) -> Stored:
        """Write bytes as they come."""
        name, sums = self.new(), Sums()
        try:
            with self.path(name).open("xb") as file:
                for piece in pieces:
                    file.write(piece)
                    sums.update(piece)
        except BaseException:
            self.drop([name])
            raise
        return sums.stored(name)

    def append(self, name: str, at: int, pieces: Iterable[bytes]) -> int:
        """Write from byte `at` of a file, forgetting what lay behind it; return the file's new size."""
        with self.path(name).open("r+b" if self.path(name).exists() else "xb") as file:
            file.truncate(at)
            file.seek(at)
            for piece in pieces:
                file.write(piece)
            return file.tell()

    def settled(self, name: str, size: int) -> Stored:
        """Read the sums of a file that was appended to, and hold to its first `size` bytes."""
        self.append(name, size, ())
        sums = Sums()
        for piece in self.pieces(name):
            sums.update(piece)
        return sums.stored(name)

    def again(self, name: str) -> str:
        """Give a file a second name, so that each object drops its own."""
        other = self.new()
        self.path(other).hardlink_to(self.path(name))
        return other

    def new(self) -> str:
        """Return a name that no file has."""
        return secrets.token_hex(16)

    def path(self, name: str) -> Path:
        """Where a file lies; nobody may write to it."""
        return self._folder / name

    def open(self, name: str) -> IO[bytes]:
        """Open a file for reading; it stays readable when the object goes."""
        return self.path(name).open("rb")

    def pieces(self, name: str) -> Iterator[bytes]:
        """Read a file in pieces."""
        with self.open(name) as file:
            yield from pieces_of(file)

    def drop(self, names: Iterable[str]) -> None:
        """Remove files; absent is no error."""
        for name in names:
            with suppress(FileNotFoundError):
                os.unlink(self.path(name))  # noqa: PTH108 a hot path

    def sweep(self, known: Collection[str]) -> None:
        """Remove what a killed process wrote and never came to refer to."""
        self.drop(item.name for item in os.scandir(self._folder) if item.name not in known)


def pieces_of(file: IO[bytes], count: int | None = None) -> Iterator[bytes]:
    """Read `count` bytes, or all that there are, in pieces."""
    left = count
    while left is None or left > 0:
        piece = file.read(PIECE if left is None else min(PIECE, left))
        if not piece:
            return
        if left is not None:
            left -= len(piece)
        yield piece


def _text(digest: bytes) -> str:
    return base64.b64encode(digest).decode()
