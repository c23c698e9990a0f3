"""Copies of artifacts in the platform's object store, when that is not the platform's own folder.

They lie under `artifacts/DIGEST/`, so equal content is stored once. A step's process leaves them there before the step
has succeeded; whoever misses the files on this machine's disk brings them back.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from cloudmlops.domain.runs import OutputRecord
from cloudmlops.materializers.artifacts import locate, mark
from cloudmlops.materializers.digests import protect
from cloudmlops.ports.objects import ObjectStore


class KeptArtifacts:
    """The object store's part of artifacts."""

    def __init__(self, address: str) -> None:
        self._address = address

    @cached_property
    def _store(self) -> ObjectStore:
        from cloudmlops.storage.opening import open_store  # here, because it loads obstore

        return open_store(self._address)

    def keep(self, output: OutputRecord) -> OutputRecord:
        """Store an artifact's files; return its record with the address."""
        entry = locate(Path(output.path))
        key = f"artifacts/{output.digest}/{entry.name}"
        for file in [entry] if entry.is_file() else _files(entry):
            name = key if file == entry else f"{key}/{file.relative_to(entry).as_posix()}"
            if not self._store.exists(name):
                self._store.upload(name, file)
        return replace(output, uri=f"{self._store.uri}/{key}")

    def restore(self, output: OutputRecord) -> bool:
        """Bring an artifact's files back, in place of what is there; False when the store does not have them."""
        prefix = f"artifacts/{output.digest}/"
        folder = Path(output.path)
        names = [key.removeprefix(prefix) for key in self._store.list(prefix)]
        if names:
            shutil.rmtree(folder, ignore_errors=True)
        for name in names:
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            self._store.download(prefix + name, target)
        if names:
            entry = output.uri.rpartition("/")[2]
            mark(folder, output.kind, entry)
            protect(folder / entry)
        return bool(names)


def _files(folder: Path) -> Iterator[Path]:
    return (file for file in folder.rglob("*") if file.is_file())
