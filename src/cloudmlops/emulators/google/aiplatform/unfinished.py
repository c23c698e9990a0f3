"""Operations that are under way, as a kept state has them: an emulator that is started again goes on with them.

An operation is gone on with by asking its method again, as it was asked. An effect that is plain state is had at most
once: if the emulator was killed while it was carried out, nobody knows whether it was. Work apart, such as a
deployment, is begun again, for it makes its effect known at its end only.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime

from cloudmlops.emulators.core.state import State
from cloudmlops.emulators.google.aiplatform.names import Ids, ids_from


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A call that may begin an operation."""

    path: str
    """Of the method as it was called."""
    request: bytes
    """In the type that its handler speaks."""
    principal: str
    host: str
    goes_on: str = ""
    """Name of the operation that this call goes on with; empty for a new one."""
    ids: Ids = field(default_factory=Ids)
    """What was and is made for it."""


@dataclass(frozen=True, kw_only=True)
class Left:
    """An operation that has begun, and how to go on with it."""

    path: str
    request: str
    principal: str
    host: str
    ids: tuple[str, ...]
    begun: str
    due: str
    """When it ends by the emulator's clock; both times are written alike, so that their order is that of the texts."""
    working: bool = False
    """Whether its effect was being carried out, which is to happen once."""

    def asked(self, name: str) -> Asked:
        """Return the call to be made again."""
        return Asked(
            path=self.path,
            request=base64.b64decode(self.request),
            principal=self.principal,
            host=self.host,
            goes_on=name,
            ids=Ids(self.ids),
        )

    @property
    def end(self) -> datetime:
        """The moment at which it is due."""
        return datetime.fromisoformat(self.due)


_asked: ContextVar[Asked | None] = ContextVar("asked", default=None)


def asked() -> Asked | None:
    """Return the call that is being answered, if it is one to be kept."""
    return _asked.get()


@contextmanager
def answering(call: Asked) -> Iterator[None]:
    """Let what is begun be known as begun by a call."""
    mark = _asked.set(call)
    try:
        with ids_from(call.ids):
            yield
    finally:
        _asked.reset(mark)


class Unfinished:
    """The operations that are under way, by name."""

    def __init__(self, state: State) -> None:
        self._table = state.table("aiplatform_unfinished")
        self._durable = state.durable

    def note(self, name: str, *, begun: datetime, due: datetime) -> None:
        """Keep what the call that is being answered has begun, in a state that is kept."""
        call = _asked.get()
        if call is None or not self._durable:
            return
        self._put(
            name,
            Left(
                path=call.path,
                request=base64.b64encode(call.request).decode(),
                principal=call.principal,
                host=call.host,
                ids=tuple(call.ids.made),
                begun=_written(begun),
                due=_written(due),
            ),
        )

    def find(self, name: str) -> Left | None:
        """Return how to go on with an operation; None if that is not known."""
        data = self._table.get(name) if self._durable else None
        return Left(**{**(content := json.loads(data)), "ids": tuple(content["ids"])}) if data is not None else None

    def working(self, name: str) -> None:
        """Note that the effect is carried out now."""
        if (left := self.find(name)) is not None:
            self._put(name, replace(left, working=True))

    def forget(self, name: str) -> None:
        """It has ended."""
        if self._durable:
            self._table.delete(name)

    def _put(self, name: str, left: Left) -> None:
        self._table.put(name, json.dumps(asdict(left)).encode())


def _written(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds")
