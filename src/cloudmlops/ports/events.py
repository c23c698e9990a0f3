"""What a provider supplies for events: the way out to its bus, and the dialects of what comes in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from cloudmlops.domain.events import Envelope


@dataclass(frozen=True, kw_only=True, slots=True)
class PushRequest:
    """One HTTP request to the events address."""

    method: str
    """In capitals."""
    headers: Mapping[str, str]
    """Names in lower case."""
    query: str
    body: bytes
    sender: str = ""
    """Address of the machine that sent it, such as `127.0.0.1`; empty when the server does not tell."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PushReply:
    """What a push holds: events to store before the answer, or the answer itself when it was a handshake."""

    events: Sequence[Envelope] = ()
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pulled:
    """An event taken from the provider's queue, which keeps it until it is acknowledged."""

    event: Envelope
    receipt: str
    """What acknowledges this delivery."""


class EventsPort(Protocol):
    """The provider's part of events."""

    @property
    def reported(self) -> frozenset[str]:
        """Kinds that the platform reports by itself, whoever caused them; the library does not publish these."""
        ...

    def send(self, event: Envelope) -> bool:
        """Hand an event to the provider's bus, which brings it back by push or pull; durable on return.

        False when there is no bus between: then the inbox takes the event directly.
        """
        ...

    def receive(self, request: PushRequest) -> PushReply | None:
        """Read a push in the provider's own dialect, handshakes included.

        None when it is none of these: then it is read as CloudEvents 1.0.

        Raises:
            InvalidRequestError: It is the provider's dialect, and malformed.
            AuthenticationError: The sender did not prove who it is.
        """
        ...

    def normalise(self, event: Envelope) -> Envelope:
        """Turn the provider's own kind of event into ours; any other comes back as it is."""
        ...

    def pull(self, limit: int) -> Sequence[Pulled]:
        """Take up to `limit` events from the provider's queue without waiting; empty where there is none."""
        ...

    def acknowledge(self, receipts: Sequence[str]) -> None:
        """Tell the queue that these are stored; an unknown or expired receipt is no error: the event comes again."""
        ...

    def ring(self) -> None:
        """Tell workers in other processes that an event was stored; a hint that may get lost.

        Nothing is told where they look into the inbox at each poll.
        """
        return

    def rings(self) -> int:
        """Return a number that differs after each `ring` of any process.

        The same always where it would cost a call, for it is asked several times a second.
        """
        return 0
