"""What exists: messages under their resource names, as wire bytes, so that all versions of the interface share them."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from google.protobuf.message import Message

from cloudmlops.emulators.core.clock import Clock
from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.core.state import State

_MESSAGE = TypeVar("_MESSAGE", bound=Message)


class Resources:
    """Named messages. What changes together changes in one `transaction`."""

    def __init__(self, state: State, clock: Clock) -> None:
        self._state = state
        self._clock = clock
        self._table = state.table("aiplatform_resources")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Let nobody else read or write meanwhile; an exception undoes all."""
        with self._state.transaction():
            yield

    def find(self, name: str, kind: type[_MESSAGE]) -> _MESSAGE | None:
        """Return a resource; None when there is none."""
        data = self._table.get(name)
        return kind.FromString(data) if data is not None else None

    def get(self, name: str, kind: type[_MESSAGE]) -> _MESSAGE:
        """Return a resource.

        Raises:
            Refused: There is none.
        """
        found = self.find(name, kind)
        if found is None:
            raise Refused("NOT_FOUND", f"The {kind.DESCRIPTOR.name} {name} does not exist.")
        return found

    def create(self, name: str, message: _MESSAGE) -> _MESSAGE:
        """Keep a new resource, with its name, times and etag.

        Raises:
            Refused: There is one of that name.
        """
        self._mark(name, message, created=True)
        if not self._table.create(name, message.SerializeToString()):
            raise Refused("ALREADY_EXISTS", f"{message.DESCRIPTOR.name} {name} already exists.")
        return message

    def put(self, name: str, message: _MESSAGE) -> _MESSAGE:
        """Keep a resource anew, with its time of update and another etag."""
        self._mark(name, message, created=False)
        self._table.put(name, message.SerializeToString())
        return message

    def keep(self, name: str, message: _MESSAGE) -> _MESSAGE:
        """Keep a resource just as it is: progress that the service itself makes."""
        self._table.put(name, message.SerializeToString())
        return message

    def delete(self, name: str, *, within: bool = False) -> bool:
        """Remove a resource, and all that lies `within` it; False when there was none."""
        with self._state.transaction():
            if within:
                for inner, _ in self._table.items(f"{name}/"):
                    self._table.delete(inner)
            return self._table.delete(name)

    def remove(self, name: str, kind: type[Message]) -> None:
        """Remove a resource.

        Raises:
            Refused: There is none: somebody else was first.
        """
        with self._state.transaction():
            self.get(name, kind)
            self._table.delete(name)

    def exists(self, name: str) -> bool:
        """Say whether there is a resource of that name."""
        return self._table.get(name) is not None

    def within(self, name: str) -> list[str]:
        """Return the names of all that lies within a resource."""
        return [inner for inner, _ in self._table.items(f"{name}/")]

    def list(self, parent: str, collection: str, kind: type[_MESSAGE]) -> list[_MESSAGE]:
        """Return the resources of a collection, by name; `-` in the parent stands for any."""
        if "/-" not in parent:
            beginning = f"{parent}/{collection}/"
            found = self._table.items(beginning)
            return [kind.FromString(data) for name, data in found if "/" not in name[len(beginning) :]]
        pattern = re.compile(re.escape(parent).replace(r"/\-", "/[^/]+") + f"/{collection}/[^/]+")
        return [kind.FromString(data) for name, data in self._table.items("projects/") if pattern.fullmatch(name)]

    def check_etag(self, kept: Any, given: str) -> None:
        """Refuse a change that was made to an older state."""
        if given and given != kept.etag:
            raise Refused("ABORTED", f"The etag {given} does not match the resource's current etag {kept.etag}.")

    def _mark(self, name: str, message: Any, *, created: bool) -> None:
        fields = message.DESCRIPTOR.fields_by_name
        now = self._clock.now()
        if "name" in fields:
            message.name = name
        if "create_time" in fields and created:
            message.create_time.FromDatetime(now.replace(tzinfo=None))
        if "update_time" in fields:
            message.update_time.FromDatetime(now.replace(tzinfo=None))
        if "etag" in fields:
            message.etag = secrets.token_urlsafe(12)
