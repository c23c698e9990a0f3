"""The objects of a platform: nothing is written before it is known where they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from cloudmlops.ports.objects import ObjectStore

_WRITE: Final = "connect"
"""What the bucket is looked at for when an object is written: of no verb in particular."""


class CheckedObjects(ObjectStore):
    """The objects in a bucket that is looked at before the first of them is written."""

    def __init__(self, objects: ObjectStore, check: Callable[[str], None]) -> None:
        self._objects = objects
        self._check = check

    @property
    def uri(self) -> str:
        return self._objects.uri

    def get(self, key: str) -> bytes:
        return self._objects.get(key)

    def put(self, key: str, data: bytes) -> None:
        self._check(_WRITE)
        self._objects.put(key, data)

    def hint(self, key: str, data: bytes) -> None:
        self._check(_WRITE)
        self._objects.hint(key, data)

    def create(self, key: str, data: bytes) -> bool:
        self._check(_WRITE)
        return self._objects.create(key, data)

    def delete(self, key: str) -> None:
        self._objects.delete(key)

    def exists(self, key: str) -> bool:
        return self._objects.exists(key)

    def list(self, prefix: str = "", *, after: str | None = None) -> Iterator[str]:
        return self._objects.list(prefix, after=after)

    def upload(self, key: str, source: Path) -> None:
        self._check(_WRITE)
        self._objects.upload(key, source)

    def download(self, key: str, target: Path) -> None:
        self._objects.download(key, target)
