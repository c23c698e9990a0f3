"""Objects for the emulator's other services, without a wire between."""

from __future__ import annotations

from pathlib import Path

from cloudmlops.emulators.core.service import Surroundings
from cloudmlops.emulators.google.storage.buckets import new_bucket
from cloudmlops.emulators.google.storage.content import pieces_of
from cloudmlops.emulators.google.storage.service import catalogue_of
from cloudmlops.emulators.google.storage.uploads import checked_name


class Objects:
    """What pipelines, predictions and loads read and write; as durable and visible as a client's own.

    Errors are `Refused` as on the wire: NOT_FOUND names the bucket or the object. Do not call it within a transaction
    of your own: the bytes that a write replaces go when it returns, which no later rollback brings back.
    """

    def __init__(self, surroundings: Surroundings) -> None:
        self._catalogue = catalogue_of(surroundings)

    def read(self, bucket: str, name: str) -> bytes:
        """Read an object."""
        _, file = self._catalogue.open(bucket, name)
        with file:
            return file.read()

    def write(
        self, bucket: str, name: str, data: bytes | Path, *, content_type: str = "application/octet-stream"
    ) -> int:
        """Write an object from bytes or from a local file; return its generation."""
        self._catalogue.bucket(bucket)
        if isinstance(data, Path):
            with data.open("rb") as file:
                stored = self._catalogue.content.store(pieces_of(file))
        else:
            stored = self._catalogue.content.store([data])
        settings = {"contentType": content_type}
        return self._catalogue.add(bucket, checked_name(name), stored, settings=settings).generation

    def list(self, bucket: str, prefix: str = "") -> list[str]:
        """Return the names that begin with `prefix`, sorted."""
        self._catalogue.bucket(bucket)
        return [version.name for version in self._catalogue.live(bucket, prefix)]

    def exists(self, bucket: str, name: str) -> bool:
        """Say whether there is an object."""
        return self._catalogue.find(bucket, name) is not None

    def path_of(self, bucket: str, name: str) -> Path:
        """Return a local file with an object's bytes, to read only; it goes when the object does."""
        return self._catalogue.content.path(self._catalogue.get(bucket, name).file)

    def delete(self, bucket: str, name: str) -> None:
        """Remove an object."""
        self._catalogue.delete(bucket, name)

    def make_bucket(self, name: str, *, project: str, location: str = "US") -> None:
        """Make a bucket, unless there is one of that name."""
        if self.location(name) is None:
            new_bucket(self._catalogue, name, project, {"location": location})

    def location(self, bucket: str) -> str | None:
        """Return where a bucket lies, such as `US-CENTRAL1`; None when there is none."""
        return next(
            (str(known.settings["location"]) for known in self._catalogue.buckets() if known.name == bucket), None
        )
