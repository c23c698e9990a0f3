"""Artifacts of steps, brought to where this process can read them."""

from __future__ import annotations

import shutil
import threading
from dataclasses import replace
from pathlib import Path
from tempfile import mkdtemp

from cloudmlops.domain.runs import OutputRecord
from cloudmlops.domain.value_types import Kind
from cloudmlops.errors import NotFoundError
from cloudmlops.materializers.artifacts import locate, mark
from cloudmlops.materializers.digests import protect
from cloudmlops.ports.objects import ObjectStore


class Artifacts:
    """Downloaded once for each content; the files are there until `close`."""

    def __init__(self, objects: ObjectStore, provider: str) -> None:
        self._objects = objects
        self._provider = provider
        self._folder: Path | None = None
        self._files: set[str] = set()
        """Addresses of single files, which have a folder here but none there."""
        self._lock = threading.Lock()

    def readable(self, output: OutputRecord) -> OutputRecord:
        """Return a record with a path of this machine.

        Raises:
            NotFoundError: The artifact is gone, or lies in another store.
        """
        with self._lock:
            if self._folder is None:
                self._folder = Path(mkdtemp(prefix=f"cloudmlops-{self._provider}-"))
            folder = self._folder / output.digest
            if not folder.is_dir():
                self._fetch(output.uri, folder)
            uri = output.uri.rpartition("/")[0] if output.uri in self._files else output.uri
        return replace(output, path=str(folder), uri=uri)

    def key(self, uri: str) -> str:
        """Return the key of an address in the platform's store.

        Raises:
            NotFoundError: It lies elsewhere.
        """
        root = f"{self._objects.uri}/"
        if not uri.startswith(root):
            raise NotFoundError(
                f"{uri} does not lie in the platform's object store {self._objects.uri}",
                provider=self._provider,
                resource=uri,
            )
        return uri.removeprefix(root)

    def close(self) -> None:
        """Remove what was downloaded."""
        with self._lock:
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)
                self._folder = None

    def _fetch_file(self, uri: str, folder: Path) -> None:
        name = uri.rpartition("/")[2]
        try:
            self._objects.download(self.key(uri), folder / name)
        except NotFoundError as error:
            raise NotFoundError(f"the artifact {uri} is gone", provider=self._provider, resource=uri) from error
        mark(folder, Kind.PATH, name)
        self._files.add(uri)

    def _fetch(self, uri: str, folder: Path) -> None:
        prefix = f"{self.key(uri)}/"
        keys = list(self._objects.list(prefix))
        fetched = Path(mkdtemp(dir=folder.parent))
        if not keys:  # a single file then, which none of our own steps leaves
            self._fetch_file(uri, fetched)
        for key in keys:
            target = fetched / key.removeprefix(prefix)
            target.parent.mkdir(parents=True, exist_ok=True)
            self._objects.download(key, target)
        protect(locate(fetched))
        fetched.rename(folder)
