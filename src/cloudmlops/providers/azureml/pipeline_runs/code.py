"""The source of a run as a folder, of which Azure's SDK makes a code asset: one for each content."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path
from tempfile import mkdtemp

from cloudmlops.domain.runs import SourceSnapshot
from cloudmlops.materializers.snapshots import snapshot_key, unpack
from cloudmlops.ports.objects import ObjectStore


class Code:
    """Laid out once for each content; the folders are there until `close`."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects
        self._folder: Path | None = None
        self._lock = threading.Lock()

    def folder(self, source: SourceSnapshot) -> str:
        """Return a folder with what the snapshot has; empty when a run imports only what is installed."""
        if not source.roots:
            return ""
        with self._lock:
            if self._folder is None:
                self._folder = Path(mkdtemp(prefix="cloudmlops-code-"))
            folder = self._folder / source.digest
            if not folder.is_dir():
                archive = self._folder / f"{source.digest}.zip"
                self._objects.download(snapshot_key(source.digest), archive)
                unpack(archive, folder)
                archive.unlink()
            return str(folder)

    def close(self) -> None:
        """Remove the folders."""
        with self._lock:
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)
                self._folder = None
