"""The local bus: the inbox itself, and a file whose change wakes the workers of other processes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cloudmlops.domain.events import Envelope
from cloudmlops.ports.events import EventsPort, Pulled, PushReply, PushRequest

if TYPE_CHECKING:
    from cloudmlops.providers.local.backends import LocalBackends


class LocalEvents(EventsPort):
    """Events that never leave the folder."""

    def __init__(self, backends: LocalBackends) -> None:
        self._bell = backends.folder / "events.bell"

    @property
    def reported(self) -> frozenset[str]:
        return frozenset()

    def send(self, event: Envelope) -> bool:  # noqa: ARG002 there is no bus to hand it to
        return False

    def receive(self, request: PushRequest) -> PushReply | None:  # noqa: ARG002 there is no dialect of our own
        return None

    def normalise(self, event: Envelope) -> Envelope:
        return event

    def pull(self, limit: int) -> Sequence[Pulled]:  # noqa: ARG002 there is no queue
        return ()

    def acknowledge(self, receipts: Sequence[str]) -> None:
        pass

    def ring(self) -> None:
        with self._bell.open("ab", buffering=0) as bell:
            bell.write(b".")

    def rings(self) -> int:
        try:
            return self._bell.stat().st_size
        except FileNotFoundError:
            return 0
