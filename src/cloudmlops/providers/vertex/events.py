"""Events on Google Cloud: Eventarc and Pub/Sub bring them in, Pub/Sub takes ours out."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from cloudmlops.domain.events import Envelope
from cloudmlops.ports.events import EventsPort, Pulled, PushReply, PushRequest
from cloudmlops.providers.vertex.mapping import events as mapping

if TYPE_CHECKING:
    from cloudmlops.providers.vertex.backends import VertexBackends
    from cloudmlops.providers.vertex.rest import Rest


class VertexEvents(EventsPort):
    """The bus of one project."""

    def __init__(self, backends: VertexBackends) -> None:
        self._settings = backends.settings
        self._backends = backends

    @property
    def reported(self) -> frozenset[str]:
        return frozenset()

    def send(self, event: Envelope) -> bool:
        """Publish to the topic, when there is one; the inbox takes the event at once, and knows it when it returns."""
        if self._settings.topic:
            topic = mapping.full_name(self._settings.project, "topics", self._settings.topic)
            self._rest.ask(
                "POST",
                "pubsub.googleapis.com",
                f"/v1/{topic}:publish",
                body={"messages": [mapping.message(event)]},
                operation="events.publish",
                resource=topic,
                again=True,
            )
        return False

    def receive(self, request: PushRequest) -> PushReply | None:  # noqa: ARG002
        return None

    def normalise(self, event: Envelope) -> Envelope:
        return event

    def pull(self, limit: int) -> Sequence[Pulled]:  # noqa: ARG002
        return ()

    def acknowledge(self, receipts: Sequence[str]) -> None:
        pass

    def ring(self) -> None:
        """Do nothing: workers on other machines look into the inbox at each poll."""

    def rings(self) -> int:
        return 0

    def close(self) -> None:
        """Close connections."""
        if "_rest" in self.__dict__:
            self._rest.close()

    @cached_property
    def _rest(self) -> Rest:
        from cloudmlops.providers.vertex.rest import Rest

        return Rest(self._backends.wire)
