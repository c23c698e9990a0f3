"""Events of this library, which are in the platform's own inbox."""

from __future__ import annotations

from collections.abc import Sequence

from cloudmlops.domain.events import Envelope
from cloudmlops.ports.events import EventsPort, Pulled, PushReply, PushRequest


class AzureMLEvents(EventsPort):
    """No bus between: workers look into the inbox."""

    @property
    def reported(self) -> frozenset[str]:
        return frozenset()

    def send(self, event: Envelope) -> bool:  # noqa: ARG002 there is no bus to hand it to
        return False

    def receive(self, request: PushRequest) -> PushReply | None:  # noqa: ARG002 pushes are read as CloudEvents
        return None

    def normalise(self, event: Envelope) -> Envelope:
        return event

    def pull(self, limit: int) -> Sequence[Pulled]:  # noqa: ARG002 there is no queue
        return ()

    def acknowledge(self, receipts: Sequence[str]) -> None:
        pass

    def ring(self) -> None:
        pass

    def rings(self) -> int:
        return 0
