"""An object store in a folder that keeps its promises when the machine loses power.

`create` writes an unnamed file, syncs it, links it to its name and syncs the folder: the link is atomic, so of any
number of processes exactly one wins and no reader ever sees a part. obstore's local store does not sync, hence our own.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Final

from cloudmlops.errors import (
    CloudMLOpsError,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
    QuotaExceededError,
    UnavailableError,
)
from cloudmlops.storage.keys import checked_key

_SCRATCH: Final = ".tmp"
"""Folder of files that have no name yet; swept of what killed processes left there."""
_SCRATCH_KEPT_SECONDS: Final = 3600.0
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_DENIED: Final = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_UNNAMED_UNSUPPORTED: Final = frozenset({errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT})


class LocalStore:
    """Objects as files below `root`."""

    def __init__(self, root: Path, *, durable: bool = True) -> None:
        self._root = os.path.abspath(root)  # noqa: PTH100 strings, for every path here is joined once a call
        self._durable = durable
        self._folders: set[str] = set()
        self._closed = False
        self._unnamed = hasattr(os, "O_TMPFILE")

    @property
    def uri(self) -> str:
        """The folder as a `file://` address."""
        return Path(self._root).as_uri()

    def close(self) -> None:
        """Refuse everything from now on: the folder is about to go, and writing would make it again."""
        self._closed = True

    def get(self, key: str) -> bytes:
        """Read an object; `NotFoundError` when there is none."""
        # Without `translated`: a context manager would be a tenth of what reading a small file costs.
        try:
            fd = os.open(self._path(key), os.O_RDONLY)
            try:
                size = os.fstat(fd).st_size
                data = os.read(fd, size + 1)
                while len(data) < size and (more := os.read(fd, size - len(data))):
                    data += more
                return data
            finally:
                os.close(fd)
        except OSError as error:
            raise _error(error, "read", key) from error

    def put(self, key: str, data: bytes) -> None:
        """Write an object whole, replacing what was there."""
        with translated("write", key):
            self._replace(self._path(key), data, durable=self._durable)

    def hint(self, key: str, data: bytes) -> None:
        """Write like `put`, but do not wait for the disk."""
        with translated("write", key):
            self._replace(self._path(key), data, durable=False)

    def create(self, key: str, data: bytes) -> bool:
        """Write an object only if there is none; True when this call made it."""
        with translated("create", key):
            folder, name = os.path.split(self._path(key))
            self._make(folder)
            if self._unnamed:
                try:
                    return self._create_unnamed(folder, name, data)
                except OSError as error:
                    if error.errno not in _UNNAMED_UNSUPPORTED:
                        raise
                    self._folders.discard(folder)
                    self._make(folder)
                    self._unnamed = error.errno == errno.ENOENT
            return self._create_named(folder, name, data)

    def delete(self, key: str) -> None:
        """Remove an object; absent is no error."""
        with translated("delete", key), suppress(FileNotFoundError):
            path = self._path(key)
            os.unlink(path)  # noqa: PTH108
            self._sync_folder(os.path.dirname(path))  # noqa: PTH120

    def exists(self, key: str) -> bool:
        """Say whether there is an object under `key`."""
        return os.path.isfile(self._path(key))  # noqa: PTH113

    def list(self, prefix: str = "", *, after: str | None = None) -> Iterator[str]:
        """Yield keys that start with `prefix`, in the order of their code points, those after `after` only."""
        self._check_open()
        folder = prefix.rpartition("/")[0]
        if folder:
            checked_key(folder)
        for key in self._walk(folder):
            if key.startswith(prefix) and (after is None or key > after):
                yield key

    def upload(self, key: str, source: Path) -> None:
        """Write a local file as an object, streaming."""
        with translated("upload", key):
            path = self._path(key)
            self._make(os.path.dirname(path))  # noqa: PTH120
            with source.open("rb") as content, self._scratch_file() as (scratch, file):
                shutil.copyfileobj(content, file, 1 << 20)
                self._settle(scratch, file, path)

    def download(self, key: str, target: Path) -> None:
        """Write an object to a local file, streaming; `NotFoundError` when there is none."""
        with translated("download", key):
            shutil.copyfile(self._path(key), target)

    def _path(self, key: str) -> str:
        self._check_open()
        if checked_key(key).startswith(f"{_SCRATCH}/"):
            raise InvalidRequestError(f"{key!r} cannot be the key of an object: {_SCRATCH}/ is the store's own")
        return f"{self._root}/{key}"

    def _check_open(self) -> None:
        if self._closed:
            raise InvalidRequestError(f"the platform of {self.uri} was closed", hint="Connect again.")

    def _make(self, folder: str) -> None:
        """Make a folder and its parents, each durable before what is put into it."""
        if folder in self._folders and os.path.isdir(folder):  # noqa: PTH112
            return
        parent = os.path.dirname(folder)  # noqa: PTH120
        if not os.path.isdir(folder):  # noqa: PTH112
            self._make(parent)
            with suppress(FileExistsError):
                os.mkdir(folder)  # noqa: PTH102
        # Also when it was there: its maker may not have synced it yet.
        if folder.startswith(self._root):
            self._sync_folder(parent)
        self._folders.add(folder)

    def _create_unnamed(self, folder: str, name: str, data: bytes) -> bool:
        directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fd = os.open(folder, os.O_TMPFILE | os.O_WRONLY, 0o644)
            try:
                _write_all(fd, data)
                if self._durable:
                    os.fsync(fd)
                try:
                    os.link(f"/proc/self/fd/{fd}", name, dst_dir_fd=directory)
                except FileExistsError:
                    return False
            finally:
                os.close(fd)
            if self._durable:
                os.fsync(directory)
            return True
        finally:
            os.close(directory)

    def _create_named(self, folder: str, name: str, data: bytes) -> bool:
        with self._scratch_file() as (scratch, file):
            file.write(data)
            file.flush()
            if self._durable:
                os.fsync(file.fileno())
            try:
                os.link(scratch, f"{folder}/{name}")
            except FileExistsError:
                return False
        self._sync_folder(folder)
        return True

    def _replace(self, path: str, data: bytes, *, durable: bool) -> None:
        self._make(os.path.dirname(path))  # noqa: PTH120
        with self._scratch_file() as (scratch, file):
            file.write(data)
            self._settle(scratch, file, path, durable=durable)

    def _settle(self, scratch: str, file: IO[bytes], path: str, *, durable: bool | None = None) -> None:
        file.flush()
        durable = self._durable if durable is None else durable
        if durable:
            os.fsync(file.fileno())
        os.replace(scratch, path)  # noqa: PTH105
        if durable:
            self._sync_folder(os.path.dirname(path))  # noqa: PTH120

    @contextmanager
    def _scratch_file(self) -> Iterator[tuple[str, IO[bytes]]]:
        folder = f"{self._root}/{_SCRATCH}"
        if folder not in self._folders:
            self._make(folder)
            _sweep(folder)
        path = f"{folder}/{secrets.token_hex(8)}"
        try:
            with open(path, "xb") as file:  # noqa: PTH123
                yield path, file
        finally:
            with suppress(FileNotFoundError):
                os.unlink(path)  # noqa: PTH108

    def _sync_folder(self, folder: str) -> None:
        if not self._durable:
            return
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def _walk(self, folder: str) -> Iterator[str]:
        try:
            with os.scandir(f"{self._root}/{folder}") as found:
                # A folder sorts as its name with the slash, so that keys come in the order of their code points.
                names = sorted(f"{item.name}/" if item.is_dir() else item.name for item in found)
        except (FileNotFoundError, NotADirectoryError):
            return
        start = f"{folder}/" if folder else ""
        for name in names:
            if not name.endswith("/"):
                yield start + name
            elif start or name != f"{_SCRATCH}/":
                yield from self._walk(start + name[:-1])


def _write_all(fd: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]


def _sweep(folder: str) -> None:
    oldest = time.time() - _SCRATCH_KEPT_SECONDS
    with os.scandir(folder) as found:
        for item in found:
            with suppress(FileNotFoundError):
                if item.stat().st_mtime < oldest:
                    os.unlink(item.path)  # noqa: PTH108


@contextmanager
def translated(operation: str, key: str) -> Iterator[None]:
    """Turn what the operating system says about a file into an error of ours that names the object."""
    try:
        yield
    except OSError as error:
        if isinstance(error, CloudMLOpsError):
            raise
        raise _error(error, operation, key) from error


def _error(error: OSError, operation: str, key: str) -> CloudMLOpsError:
    details: dict[str, Any] = {"provider": "local", "operation": f"objects.{operation}", "resource": key}
    if isinstance(error, FileNotFoundError | IsADirectoryError | NotADirectoryError) and operation in _READING:
        return NotFoundError(f"there is no object {key!r}", **details)
    if error.errno in _FULL:
        return QuotaExceededError(
            f"cannot {operation} object {key!r}: {error.strerror}",
            hint="Nothing was written. Free space on the disk or raise the quota, then try again.",
            **details,
        )
    if error.errno in _DENIED:
        return PermissionDeniedError(
            f"cannot {operation} object {key!r}: {error.strerror}",
            hint="Ask the folder's owner for the permission.",
            **details,
        )
    return UnavailableError(f"cannot {operation} object {key!r}: {error}", **details)


_READING: Final = frozenset({"read", "download"})
