"""The object store: the least that the ledger, the inbox and artifacts need of S3, Blob, Cloud Storage or a folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol


class ObjectStore(Protocol):
    """Bytes under keys such as `ledger/models/churn/000000000042.json`.

    A key is `/`-separated, relative, without empty, `.` or `..` parts; any other is an `InvalidRequestError`.
    What a method has returned from survives a crash of process and machine, unless the store was opened for tests.
    """

    @property
    def uri(self) -> str:
        """The address of the root, such as `s3://bucket/prefix` or `file:///folder`, without credentials."""
        ...

    def get(self, key: str) -> bytes:
        """Read an object; `NotFoundError` when there is none."""
        ...

    def put(self, key: str, data: bytes) -> None:
        """Write an object whole, replacing what was there; a reader sees the old or the new one, never a part."""
        ...

    def hint(self, key: str, data: bytes) -> None:
        """Write like `put`, but do not wait until it is durable: for what only speeds up reading."""
        ...

    def create(self, key: str, data: bytes) -> bool:
        """Write an object only if there is none; True when this call made it, False when it was there before.

        After a lost response the answer may be False though this call made it: who must know puts a random id into the
        object and reads it back.
        """
        ...

    def delete(self, key: str) -> None:
        """Remove an object; absent is no error."""
        ...

    def exists(self, key: str) -> bool:
        """Say whether there is an object under `key`."""
        ...

    def list(self, prefix: str = "", *, after: str | None = None) -> Iterator[str]:
        """Yield keys that start with `prefix`, sorted, those after `after` only."""
        ...

    def upload(self, key: str, source: Path) -> None:
        """Write a local file as an object, streaming."""
        ...

    def download(self, key: str, target: Path) -> None:
        """Write an object to a local file, streaming; `NotFoundError` when there is none."""
        ...
