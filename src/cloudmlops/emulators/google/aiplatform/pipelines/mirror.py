"""Buckets as files for one attempt at a task, as Vertex AI mounts them at /gcs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.core.service import Surroundings
from cloudmlops.emulators.google.storage.catalogue import Catalogue
from cloudmlops.emulators.google.storage.content import pieces_of
from cloudmlops.emulators.google.storage.service import catalogue_of

_SCHEME: Final = "gs://"
_MOUNTED: Final = re.compile(r"(?<![\w./-])/gcs/([a-z0-9][\w.-]+)(/[^\s'\"]*)?")
_CONTENT_TYPE: Final = "application/octet-stream"


class Mirror:
    """A folder in which `BUCKET/NAME` is an object: brought before a process begins, taken back after it has ended."""

    def __init__(self, surroundings: Surroundings, folder: Path) -> None:
        self._catalogue: Catalogue = catalogue_of(surroundings)
        self._folder = folder
        self._brought: dict[Path, tuple[int, int]] = {}

    def local(self, uri: str) -> str:
        """Return where an artifact lies for the process; what is not in a bucket stays as it is."""
        return str(self._folder / uri.removeprefix(_SCHEME)) if uri.startswith(_SCHEME) else uri

    def address(self, path: str) -> str:
        """Return the address of what lies in the folder; what lies elsewhere stays as it is."""
        place = Path(path)
        return f"{_SCHEME}{place.relative_to(self._folder)}" if place.is_relative_to(self._folder) else path

    def rewritten(self, text: str) -> str:
        """Return a text with paths below /gcs as paths in the folder; what lies there is brought."""

        def local(found: re.Match[str]) -> str:
            uri = f"{_SCHEME}{found[1]}{found[2] or ''}"
            (self._folder / found[1]).mkdir(parents=True, exist_ok=True)
            self.bring(uri)
            return self.local(uri)

        return _MOUNTED.sub(local, text)

    def bring(self, uri: str) -> None:
        """Copy an object, or all that lie below it, into the folder."""
        if not uri.startswith(_SCHEME):
            return
        bucket, _, name = uri.removeprefix(_SCHEME).partition("/")
        name = name.rstrip("/")
        for version in self._catalogue.live(bucket, name):
            if version.name not in (name, f"{name}/") and not version.name.startswith(f"{name}/"):
                continue
            target = self._folder / bucket / version.name
            if version.name.endswith("/") or target in self._brought:
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            _, stream = self._catalogue.open(bucket, version.name)
            with stream, target.open("wb") as file:
                for piece in pieces_of(stream):
                    file.write(piece)
            self._brought[target] = _stamp(target)

    def take(self) -> None:
        """Make objects of the files that the process wrote; those that it removed are gone."""
        for file in self._files():
            if self._brought.get(file) != (stamp := _stamp(file)):
                self._take(file)
                self._brought[file] = stamp
        for file in [file for file in self._brought if not file.exists()]:
            del self._brought[file]
            bucket, name = self._place(file)
            if self._catalogue.find(bucket, name) is not None:
                self._catalogue.delete(bucket, name)

    def _take(self, file: Path) -> None:
        bucket, name = self._place(file)
        try:
            self._catalogue.bucket(bucket)
        except Refused as refused:
            raise Refused(refused.code, f"{_SCHEME}{bucket}/{name} cannot be written: {refused.message}") from refused
        with file.open("rb") as stream:
            stored = self._catalogue.content.store(pieces_of(stream))
        self._catalogue.add(bucket, name, stored, settings={"contentType": _CONTENT_TYPE})

    def _place(self, file: Path) -> tuple[str, str]:
        bucket, _, name = file.relative_to(self._folder).as_posix().partition("/")
        return bucket, name

    def _files(self) -> Iterator[Path]:
        return (file for file in sorted(self._folder.rglob("*")) if file.is_file())


def _stamp(file: Path) -> tuple[int, int]:
    known = file.stat()
    return known.st_mtime_ns, known.st_size
