"""Files that pass through the platform's store and are read once: removed, with what killed processes left."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Final
from uuid import uuid4

from cloudmlops.errors import CloudMLOpsError
from cloudmlops.ports.objects import ObjectStore

_STAMP: Final = "%Y%m%dt%H%M%Sz"
_log: Final = logging.getLogger("cloudmlops.objects")


class PassingFiles:
    """Folders of the platform's objects whose names begin with when they were made."""

    def __init__(
        self, objects: ObjectStore, root: str, *, now: Callable[[], datetime], left_after: timedelta = timedelta(days=1)
    ) -> None:
        """Take where the folders are.

        Args:
            objects: The platform's.
            root: The folder that they are in, such as `passing`.
            now: Returns the time, in UTC.
            left_after: Folders that are older were left by a process that was killed; longer than any is used.
        """
        self._objects = objects
        self._root = root
        self._now = now
        self._left_after = left_after

    @contextmanager
    def folder(self) -> Iterator[str]:
        """Give a name for a folder below the root, whose files are removed afterwards, as are those of old folders.

        What cannot be removed takes nothing from what was done: a later call removes it.
        """
        name = f"{self._now():{_STAMP}}-{uuid4().hex}"
        try:
            yield name
        finally:
            try:
                self._remove(name)
            except CloudMLOpsError as error:
                _log.warning(
                    "files below %s/%s/%s that are not needed may be left: %s",
                    self._objects.uri,
                    self._root,
                    name,
                    error,
                )

    def is_left(self, name: str) -> bool:
        """Say whether a folder, or what is named after one, was left by a process that was killed."""
        return name < f"{self._now() - self._left_after:{_STAMP}}"

    def _remove(self, name: str) -> None:
        for key in list(self._objects.list(f"{self._root}/")):
            folder = key.removeprefix(f"{self._root}/").partition("/")[0]
            if folder == name or self.is_left(folder):
                self._objects.delete(key)
