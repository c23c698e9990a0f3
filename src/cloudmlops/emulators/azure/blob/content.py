"""The bytes of blobs and blocks: files named by chance, written before anything refers to them.

Only an append blob's file grows; whoever reads it holds to the size that its record says.
"""

from __future__ import annotations

import base64
import hashlib
import os
import secrets
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from cloudmlops.emulators.core.streaming import pieces_of


@dataclass(frozen=True, kw_only=True, slots=True)
class Stored:
    """Bytes on disk that no blob has yet."""

    file: str
    size: int
    md5: str
    """Base64."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """Some bytes of a file."""

    file: str
    offset: int
    size: int


class Content:
    """A folder of such files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def store(self, pieces: Iterable[bytes]) -> Stored:
        """Write bytes as they come."""
        name, size, digest = secrets.token_hex(16), 0, hashlib.md5(usedforsecurity=False)
        try:
            with self.path(name).open("xb") as file:
                for piece in pieces:
                    file.write(piece)
                    digest.update(piece)
                    size += len(piece)
        except BaseException:
            self.drop([name])
            raise
        return Stored(file=name, size=size, md5=base64.b64encode(digest.digest()).decode())

    def joined(self, parts: Sequence[Part]) -> str:
        """Write parts of files one after the other into a new one; return its name."""
        name = secrets.token_hex(16)
        try:
            with self.path(name).open("xb") as file:
                for part in parts:
                    file.writelines(self.pieces(part))
        except BaseException:
            self.drop([name])
            raise
        return name

    def append(self, name: str, at: int, pieces: Iterable[bytes]) -> int:
        """Write from byte `at` of a file, forgetting what an interrupted append left there; return the new size."""
        with self.path(name).open("r+b") as file:
            file.truncate(at)
            file.seek(at)
            for piece in pieces:
                file.write(piece)
            return file.tell()

    def path(self, name: str) -> Path:
        """Where a file lies; nobody else may write to it."""
        return self._folder / name

    def open(self, name: str) -> IO[bytes]:
        """Open a file for reading; it stays readable when the blob goes."""
        return self.path(name).open("rb")

    def pieces(self, part: Part) -> Iterator[bytes]:
        """Read some bytes in pieces."""
        with self.open(part.file) as file:
            file.seek(part.offset)
            yield from pieces_of(file, part.size)

    def drop(self, names: Iterable[str]) -> None:
        """Remove files; absent is no error."""
        for name in names:
            with suppress(FileNotFoundError):
                os.unlink(self.path(name))  # noqa: PTH108 a hot path

    def sweep(self, known: Collection[str]) -> None:
        """Remove what a killed process wrote and never came to refer to."""
        self.drop(item.name for item in os.scandir(self._folder) if item.name not in known)
