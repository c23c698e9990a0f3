"""Buckets and the generations of their objects: every change is one transaction, and of a race one wins."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import IO, Any, Final

from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.core.service import Surroundings
from cloudmlops.emulators.google.aiplatform.names import Projects
from cloudmlops.emulators.google.storage.content import Content, Stored
from cloudmlops.emulators.google.storage.permissions import Permissions
from cloudmlops.emulators.google.storage.preconditions import NONE, Conditions
from cloudmlops.emulators.google.storage.records import Bucket, Version, held_until, stamp
from cloudmlops.emulators.google.storage.wire import Asked

_NOT_COPIED: Final = frozenset({"eventBasedHold", "temporaryHold"})


class Catalogue:
    """All that the service holds."""

    def __init__(self, surroundings: Surroundings) -> None:
        self.clock = surroundings.clock
        self.state = surroundings.state
        self._depth = 0
        self._leaving: list[str] = []
        self.permissions = Permissions(self.state)
        self.projects = Projects(self.state)
        self.content = Content(self.state.folder / "storage" / "content")
        self.sessions = self.state.table("storage_uploads")
        """Uploads that are under way; see `uploads` and `xml_uploads`."""
        self._buckets = self.state.table("storage_buckets")
        self._live = self.state.table("storage_objects")
        self._past = self.state.table("storage_noncurrent")
        self._counters = self.state.table("storage_counters")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Let nobody else in between; files that nothing refers to any more go once all is written."""
        gone: list[str] = []
        with self.state.transaction():
            mark = len(self._leaving)
            self._depth += 1
            try:
                yield
            except BaseException:
                del self._leaving[mark:]  # what refers to them is there again
                raise
            finally:
                self._depth -= 1
            if not self._depth:
                gone, self._leaving = self._leaving, gone
        self.content.drop(gone)

    def now(self) -> str:
        """The moment, as the API writes it."""
        return stamp(self.clock.now())

    # Buckets

    def bucket(self, name: str) -> Bucket:
        """Find a bucket, or refuse."""
        if (found := self._buckets.get(name)) is None:
            raise Refused("NOT_FOUND", "The specified bucket does not exist.", reason="noSuchBucket")
        return Bucket.from_json(found)

    def buckets(self) -> list[Bucket]:
        """Return all, by name."""
        return [Bucket.from_json(data) for _, data in self._buckets.items()]

    def create_bucket(self, bucket: Bucket) -> None:
        """Add a bucket, or refuse: names are shared by all the world."""
        if not self._buckets.create(bucket.name, bucket.to_json()):
            raise Refused(
                "ALREADY_EXISTS",
                "Your previous request to create the named bucket succeeded and you already own it.",
                reason="conflict",
            )

    def change_bucket(self, name: str, conditions: Conditions, change: Callable[[Bucket], Bucket]) -> Bucket:
        """Put another in a bucket's place."""
        with self.transaction():
            bucket = self.bucket(name)
            conditions.check(bucket)
            changed = replace(change(bucket), metageneration=bucket.metageneration + 1, updated=self.now())
            self._buckets.put(name, changed.to_json())
            return changed

    def delete_bucket(self, name: str, conditions: Conditions) -> None:
        """Remove an empty bucket."""
        with self.transaction():
            conditions.check(self.bucket(name))
            if self._live.items(f"{name}/") or self._past.items(f"{name}/"):
                raise Refused("ALREADY_EXISTS", "The bucket you tried to delete is not empty.", reason="conflict")
            self._buckets.delete(name)

    # Objects

    def find(self, bucket: str, name: str, generation: int | None = None) -> Version | None:
        """Find the live version, or the one of a generation."""
        live = self._live.get(f"{bucket}/{name}")
        if live is not None:
            version = Version.from_json(live)
            if generation in (None, version.generation):
                return version
        if generation is None:
            return None
        past = self._past.get(_past_key(bucket, name, generation))
        return Version.from_json(past) if past is not None else None

    def get(self, bucket: str, name: str, generation: int | None = None) -> Version:
        """Find a version, or refuse."""
        self.bucket(bucket)
        if (version := self.find(bucket, name, generation)) is None:
            raise no_object(bucket, name, generation)
        return version

    def open(self, bucket: str, name: str, generation: int | None = None) -> tuple[Version, IO[bytes]]:
        """Find a version and open its bytes, which stay readable whatever happens to it."""
        with self.transaction():
            version = self.get(bucket, name, generation)
            return version, self.content.open(version.file)

    def add(
        self,
        bucket: str,
        name: str,
        stored: Stored,
        *,
        settings: Mapping[str, Any],
        conditions: Conditions = NONE,
        components: int | None = None,
    ) -> Version:
        """Make `stored` the live version of an object, or refuse and forget the bytes."""
        try:
            with self.transaction():
                return self._added(bucket, name, stored, settings, conditions, components)
        except BaseException:
            self.content.drop([stored.file])
            raise

    def copy(
        self,
        source: Version,
        bucket: str,
        name: str,
        *,
        conditions: Conditions,
        source_conditions: Conditions,
        settings: Mapping[str, Any] | None,
    ) -> Version:
        """Make a version of the bytes of another; `settings` None keeps the source's."""
        with self.transaction():
            source = self.get(source.bucket, source.name, source.generation)
            source_conditions.check(source)
            file = self.content.again(source.file)
            kept = {key: value for key, value in source.settings.items() if key not in _NOT_COPIED}
            stored = Stored(file=file, size=source.size, crc32c=source.crc32c, md5=source.md5 or "")
            return self.add(
                bucket,
                name,
                stored,
                settings=kept if settings is None else settings,
                conditions=conditions,
                components=source.components,
            )

    def change(
        self,
        bucket: str,
        name: str,
        generation: int | None,
        conditions: Conditions,
        change: Callable[[Version], Mapping[str, Any]],
    ) -> Version:
        """Give a version other settings."""
        with self.transaction():
            version = self.get(bucket, name, generation)
            conditions.check(version)
            settings = change(version)
            released = version.hold_released
            if version.settings.get("eventBasedHold") and not settings.get("eventBasedHold"):
                released = self.now()
            changed = replace(
                version,
                settings=settings,
                metageneration=version.metageneration + 1,
                updated=self.now(),
                hold_released=released,
            )
            if changed.deleted is None:
                self._live.put(f"{bucket}/{name}", changed.to_json())
            else:
                self._past.put(_past_key(bucket, name, changed.generation), changed.to_json())
            return changed

    def delete(self, bucket: str, name: str, generation: int | None = None, conditions: Conditions = NONE) -> None:
        """Remove a generation for good, or the live version, which a versioned bucket keeps as a noncurrent one."""
        with self.transaction():
            of = self.bucket(bucket)
            version = self.get(bucket, name, generation)
            conditions.check(version)
            if generation is None and of.versioned:
                self._retire(version)
                return
            self._check_removable(of, version)
            if version.deleted is None:
                self._live.delete(f"{bucket}/{name}")
            else:
                self._past.delete(_past_key(bucket, name, version.generation))
            self._leaving.append(version.file)

    def check(self, asked: Asked, bucket: str, name: str, conditions: Conditions) -> Version | None:
        """Say early whether an object could be written, also by whoever asks: replacing one is deleting it.

        Returns:
            The live version; None when there is none.

        Raises:
            Refused: It could not.
        """
        current = self._checked(bucket, name, conditions)
        if current is not None:
            self.permissions.check(asked, "objects.delete", bucket=bucket, name=name)
        return current

    def _checked(self, bucket: str, name: str, conditions: Conditions) -> Version | None:
        of = self.bucket(bucket)
        current = self.find(bucket, name)
        conditions.check(current)
        if current is not None and not of.versioned:
            self._check_removable(of, current)
        return current

    def live(self, bucket: str, prefix: str, *, after: str = "", first: str = "") -> Iterator[Version]:
        """Read live versions in the order of their names: those after `after`, or from `first` on."""
        for _, data in self._live.items(f"{bucket}/{prefix}", after=f"{bucket}/{after}" if after else ""):
            version = Version.from_json(data)
            if version.name >= first:
                yield version

    def versions(self, bucket: str, prefix: str) -> list[Version]:
        """Return all versions in the order of their names and generations."""
        with self.transaction():
            found = [*self._live.items(f"{bucket}/{prefix}"), *self._past.items(f"{bucket}/{prefix}")]
        read = [Version.from_json(data) for _, data in found]
        return sorted(read, key=lambda version: (version.name, version.generation))

    def files(self) -> set[str]:
        """All files that an object refers to."""
        kept = [*self._live.items(), *self._past.items()]
        return {Version.from_json(data).file for _, data in kept}

    def _added(
        self,
        bucket: str,
        name: str,
        stored: Stored,
        settings: Mapping[str, Any],
        conditions: Conditions,
        components: int | None,
    ) -> Version:
        current = self._checked(bucket, name, conditions)
        of = self.bucket(bucket)
        if current is not None:
            if of.versioned:
                self._retire(current)
            else:
                self._leaving.append(current.file)
        now = self.now()
        held = {"eventBasedHold": True} if of.settings.get("defaultEventBasedHold") else {}
        version = Version(
            bucket=bucket,
            name=name,
            generation=self._next_generation(),
            size=stored.size,
            crc32c=stored.crc32c,
            md5=stored.md5 if components is None else None,
            file=stored.file,
            created=now,
            updated=now,
            components=components,
            settings={"storageClass": of.settings["storageClass"], **held, **settings},
        )
        self._live.put(f"{bucket}/{name}", version.to_json())
        return version

    def _retire(self, version: Version) -> None:
        past = replace(version, deleted=self.now())
        self._past.put(_past_key(past.bucket, past.name, past.generation), past.to_json())
        self._live.delete(f"{past.bucket}/{past.name}")

    def _check_removable(self, bucket: Bucket, version: Version) -> None:
        where = f"Object '{version.bucket}/{version.name}'"
        if version.settings.get("temporaryHold") or version.settings.get("eventBasedHold"):
            raise Refused(
                "PERMISSION_DENIED",
                f"{where} is under active hold and cannot be deleted, overwritten or archived until it is removed.",
                reason="objectUnderActiveHold",
            )
        until = held_until(bucket, version)
        if until is not None and until > self.clock.now():
            raise Refused(
                "PERMISSION_DENIED",
                f"{where} is subject to bucket's retention policy and cannot be deleted or overwritten until "
                f"{until.isoformat()}",
                reason="retentionPolicyNotMet",
            )

    def _next_generation(self) -> int:
        last = int(self._counters.get("generation") or 0)
        now = self.clock.now()
        generation = max(int(now.timestamp()) * 1_000_000 + now.microsecond, last + 1)
        self._counters.put("generation", str(generation).encode())
        return generation


def no_object(bucket: str, name: str, generation: int | None = None) -> Refused:
    """What is answered where there is no such object."""
    which = f"{bucket}/{name}" + (f"#{generation}" if generation is not None else "")
    return Refused("NOT_FOUND", f"No such object: {which}", reason="notFound")


def _past_key(bucket: str, name: str, generation: int) -> str:
    # No object's name holds a line feed, so that no key is the beginning of another's.
    return f"{bucket}/{name}\n{generation:020}"
