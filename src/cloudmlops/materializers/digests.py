"""What files hold, as one number."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path


def digest(path: Path) -> tuple[str, int]:
    """Return the SHA-256 of a file or folder and its size in bytes; names within a folder count, times do not."""
    if path.is_file():
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest(), path.stat().st_size
    whole, size = hashlib.sha256(b"folder\0"), 0
    for file in sorted(_files(path)):
        one, part = digest(file)
        whole.update(f"{file.relative_to(path).as_posix()}\0{one}\0".encode())
        size += part
    return whole.hexdigest(), size


def size(path: Path) -> int:
    """Return the bytes that a file or a folder's files hold; -1 when there is nothing."""
    if path.is_file():
        return path.stat().st_size
    return sum(file.stat().st_size for file in _files(path)) if path.is_dir() else -1


def _files(folder: Path) -> Iterator[Path]:
    for parent, _, names in os.walk(folder):
        yield from (Path(parent, name) for name in names)
