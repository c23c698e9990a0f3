"""What a job prints, appended to a blob while it prints it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from cloudmlops.emulators.azure.blob.sharing import Blobs
from cloudmlops.emulators.azure.ml.data_addresses import Storage

_TOLD: Final = 4096
"""Bytes of the end of a log that an error tells."""


class Log:
    """The log of one run."""

    def __init__(self, blobs: Blobs, artifacts: Storage, file: Path, name: str) -> None:
        self._blobs = blobs
        self._artifacts = artifacts
        self.file = file
        self.name = name
        """Among the artifacts, such as `user_logs/std_log.txt`."""
        self._read = 0

    def begin(self) -> None:
        """Make it, empty."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.file.touch()
        self._append(b"")

    def ship(self) -> None:
        """Append what is new."""
        with self.file.open("rb") as stream:
            stream.seek(self._read)
            fresh = stream.read()
        if fresh:
            self._read += len(fresh)
            self._append(fresh)

    def end(self) -> str:
        """Return the last of what was printed."""
        with self.file.open("rb") as stream:
            stream.seek(max(0, self.file.stat().st_size - _TOLD))
            return stream.read().decode("utf-8", errors="replace").strip()

    def _append(self, data: bytes) -> None:
        place = self._artifacts
        self._blobs.append(place.account, place.container, f"{place.path.rstrip('/')}/{self.name}", data)
