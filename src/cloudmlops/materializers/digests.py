"""What files hold, as one number."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
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


def files_stamp(path: Path) -> str:
    """Return what tells a file, or a folder's files, that nobody has written to since; empty when there is nothing."""
    if path.is_file():
        return stamp([("", path)])
    return stamp(sorted((file.relative_to(path).as_posix(), file) for file in _files(path))) if path.is_dir() else ""


def stamp(files: Iterable[tuple[str, Path]]) -> str:
    """Return what the file system says of named files: other content in the same place has another stamp.

    The time of change counts beside the time of the last write, which a program can set as it likes.
    """
    whole = hashlib.sha256()
    for name, file in files:
        known = file.stat()
        told = (name, known.st_ino, known.st_size, known.st_mtime_ns, known.st_ctime_ns)
        whole.update(repr(told).encode())
    return whole.hexdigest()


def protect(path: Path) -> None:
    """Take the permission to write from a file, or from a folder's files; the folders themselves can be removed."""
    for file in [path] if path.is_file() else _files(path):
        if not file.is_symlink():
            file.chmod(stat.S_IMODE(file.stat().st_mode) & ~0o222)


def _files(folder: Path) -> Iterator[Path]:
    for parent, _, names in os.walk(folder):
        yield from (Path(parent, name) for name in names)
