"""The objects of a platform: nothing is written before it is known where they are; refusals name the permission."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from cloudmlops.errors import PermissionDeniedError
from cloudmlops.ports.objects import ObjectStore
from cloudmlops.providers.vertex.mapping.access import role_of

_WRITE: Final = "connect"
"""What the bucket is looked at for when an object is written: of no verb in particular."""
_GET: Final = "storage.objects.get"
_LIST: Final = "storage.objects.list"
_CREATE: Final = "storage.objects.create"
_DELETE: Final = "storage.objects.delete"
"""Which replacing an object needs, too."""


class CheckedObjects(ObjectStore):
    """The objects in a bucket that is looked at before the first of them is written."""

    def __init__(self, objects: ObjectStore, check: Callable[[str], None]) -> None:
        self._objects = objects
        self._check = check

    @property
    def uri(self) -> str:
        return self._objects.uri

    def get(self, key: str) -> bytes:
        with _named(_GET):
            return self._objects.get(key)

    def put(self, key: str, data: bytes) -> None:
        self._check(_WRITE)
        with _named(_CREATE, _DELETE):
            self._objects.put(key, data)

    def hint(self, key: str, data: bytes) -> None:
        self._check(_WRITE)
        with _named(_CREATE, _DELETE):
            self._objects.hint(key, data)

    def create(self, key: str, data: bytes) -> bool:
        self._check(_WRITE)
        with _named(_CREATE):
            return self._objects.create(key, data)

    def delete(self, key: str) -> None:
        with _named(_DELETE):
            self._objects.delete(key)

    def exists(self, key: str) -> bool:
        with _named(_GET):
            return self._objects.exists(key)

    def list(self, prefix: str = "", *, after: str | None = None) -> Iterator[str]:
        with _named(_LIST):
            yield from self._objects.list(prefix, after=after)

    def upload(self, key: str, source: Path) -> None:
        self._check(_WRITE)
        with _named(_CREATE, _DELETE):
            self._objects.upload(key, source)

    def download(self, key: str, target: Path) -> None:
        with _named(_GET):
            self._objects.download(key, target)


@contextmanager
def _named(*permissions: str) -> Iterator[None]:
    """Say in a refusal which permission is missing, and who has it."""
    try:
        yield
    except PermissionDeniedError as error:
        missing = [name for name in permissions if name in error.message] or permissions
        roles = " and ".join(dict.fromkeys(role.value for name in missing if (role := role_of(name)) is not None))
        raise PermissionDeniedError(
            error.message,
            hint=f"The caller lacks {', '.join(missing)}. The role {roles} has it (docs/access.md). "
            "platform.check_access() lists all that is missing.",
            provider=error.provider,
            operation=error.operation,
            resource=error.resource,
        ) from error
