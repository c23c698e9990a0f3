"""Events on Google Cloud: Eventarc and Pub/Sub bring them in, Pub/Sub takes ours out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from google.api_core.exceptions import BadRequest

from cloudmlops.domain.events import Envelope
from cloudmlops.errors import NotFoundError, ServiceError
from cloudmlops.ports.events import EventsPort, Pulled, PushReply, PushRequest
from cloudmlops.providers import retold_events
from cloudmlops.providers.vertex.errors import PROVIDER
from cloudmlops.providers.vertex.mapping import events as mapping
from cloudmlops.providers.vertex.push_identity import PushIdentity
from cloudmlops.providers.vertex.rest import PUBSUB, Rest

if TYPE_CHECKING:
    from cloudmlops.providers.vertex.backends import VertexBackends


class VertexEvents(EventsPort):
    """The bus of one project."""

    def __init__(self, backends: VertexBackends) -> None:
        self._backends = backends
        self._settings = backends.settings

    @property
    def reported(self) -> frozenset[str]:
        return mapping.REPORTED if self._settings.reporter == "audit-log" else frozenset()

    def send(self, event: Envelope) -> bool:
        """Publish to the topic, where there is one, and leave the event to the inbox too.

        So whoever published it finds it at once; what a subscription brings back is known by its meaning.
        """
        if self._settings.topic:
            topic = mapping.full_name(self._settings.project, "topics", self._settings.topic)
            self._ask(topic, "publish", {"messages": [mapping.message(event)]}, operation="events.publish")
        return False

    def receive(self, request: PushRequest) -> PushReply | None:
        """Read a push of Pub/Sub's; Eventarc's are CloudEvents. All must prove who sends them, where that is set."""
        if self._settings.push_audience:
            self._identity.check(request)
        media = request.headers.get("content-type", "")
        if request.method != "POST" or "ce-type" in request.headers or media.startswith("application/cloudevents"):
            return None
        event = mapping.pushed(request.body)
        return PushReply(events=[event]) if event is not None else None

    def normalise(self, event: Envelope) -> Envelope:
        """Turn entries of the audit log into `ModelRegistered` and `ModelDeployed`, when they are of this platform."""
        if event.type == mapping.PUBLISHED:
            inner = _inner(event)
            return self.normalise(inner) if inner is not None else event
        if event.type != mapping.AUDITED:
            return event
        found = mapping.audited(event.data)
        if found is None or not found.place.is_in(self._settings.project, self._settings.location):
            return event
        return self._deployed(event, found) if isinstance(found, mapping.Deployed) else self._uploaded(event, found)

    def pull(self, limit: int) -> Sequence[Pulled]:
        if not self._settings.subscription:
            return ()
        # Deprecated, but without it an empty subscription keeps the caller for minutes, who has other work.
        wanted = {"maxMessages": limit, "returnImmediately": True}
        answered = self._ask(self._subscription, "pull", wanted, operation="events.process")
        return [
            Pulled(
                event=mapping.delivered(received["message"], self._subscription),
                receipt=received["ackId"],
            )
            for received in answered.get("receivedMessages", ())
        ]

    def acknowledge(self, receipts: Sequence[str]) -> None:
        if not receipts:
            return
        try:
            self._ask(self._subscription, "acknowledge", {"ackIds": list(receipts)}, operation="events.process")
        except ServiceError as error:
            if not isinstance(error.__cause__, BadRequest):
                raise

    def close(self) -> None:
        """Close connections."""
        for part in ("_rest", "_identity"):
            if part in self.__dict__:
                self.__dict__[part].close()

    @property
    def _subscription(self) -> str:
        return mapping.full_name(self._settings.project, "subscriptions", self._settings.subscription)

    @cached_property
    def _rest(self) -> Rest:
        return Rest(self._backends.wire)

    @cached_property
    def _identity(self) -> PushIdentity:
        return PushIdentity(self._settings)

    def _uploaded(self, event: Envelope, found: mapping.Uploaded) -> Envelope:
        from cloudmlops.providers.vertex.mapping.models import RUN, VERSION  # here, because it takes a second

        labels = found.labels
        if VERSION not in labels:
            labels = self._labels(found.model, found.number)
        version = labels.get(VERSION)
        return retold_events.registered(
            event,
            # A version that no ledger knows may have the number that the ledger gives to another one.
            platform=self._settings.address if version else f"//aiplatform.googleapis.com/{self._settings.parent}",
            model=found.model,
            version=version or found.number,
            run=labels.get(RUN),
        )

    def _deployed(self, event: Envelope, found: mapping.Deployed) -> Envelope:
        """Tell of a deployment as the library itself tells of it, when it is one of its own."""
        from cloudmlops.providers.vertex.mapping.endpoints import deployed_id  # here, because it takes a second
        from cloudmlops.providers.vertex.mapping.models import VERSION

        try:
            endpoint = self._endpoint(found.endpoint)
            status = next(
                known
                for known in self._backends.endpoints.get(endpoint).deployments
                if found.deployed_model in (known.deployed_as, deployed_id(known.deployed_as))
            )
        except (NotFoundError, StopIteration):  # it is gone, or other tools made the endpoint
            version = self._labels(found.model, found.number).get(VERSION, found.number)
            return retold_events.deployed(
                event,
                platform=self._settings.address,
                model=found.model,
                version=version,
                endpoint=found.endpoint,
                deployment=found.name,
                deployed_as=found.deployed_model,
            )
        return retold_events.deployed(
            event,
            platform=self._settings.address,
            model=status.model,
            version=status.version,
            endpoint=endpoint,
            deployment=status.name,
            deployed_as=status.deployed_as,
        )

    def _endpoint(self, identity: str) -> str:
        """Return the name of an endpoint: its id may be a form of it."""
        from google.cloud.aiplatform_v1 import EndpointServiceClient  # here, because it takes a second
        from google.cloud.aiplatform_v1.types import GetEndpointRequest

        from cloudmlops.providers.vertex.mapping.endpoints import OURS

        wire = self._backends.wire
        shown = wire.ask(
            wire.client(EndpointServiceClient).get_endpoint,
            GetEndpointRequest(name=f"{self._settings.parent}/endpoints/{identity}"),
            operation="events.receive",
            resource=identity,
            again=True,
        )
        return shown.display_name if OURS in shown.labels else identity

    def _labels(self, model: str, number: str) -> Mapping[str, str]:
        """Return the labels of a version; none when it is gone."""
        from google.cloud.aiplatform_v1 import ModelServiceClient  # here, because it takes a second
        from google.cloud.aiplatform_v1.types import GetModelRequest

        wire = self._backends.wire
        version = f"{model}@{number}"
        request = GetModelRequest(name=f"{self._settings.parent}/models/{version}")
        try:
            shown = wire.ask(
                wire.client(ModelServiceClient).get_model,
                request,
                operation="events.receive",
                resource=version,
                again=True,
            )
        except NotFoundError:
            return {}
        return dict(shown.labels)

    def _ask(self, name: str, verb: str, body: Mapping[str, Any], *, operation: str) -> Mapping[str, Any]:
        # Twice is as once: an event published twice has one meaning, and what was pulled in vain comes again.
        try:
            return self._rest.ask(
                "POST", PUBSUB, f"/v1/{name}:{verb}", body=body, operation=operation, resource=name, again=True
            )
        except NotFoundError as error:
            kind = name.split("/")[-2].removesuffix("s")
            raise NotFoundError(
                f"there is no {kind} {name}",
                hint=f"Make it (docs/events.md), or leave out the setting `{kind}`.",
                provider=PROVIDER,
                operation=operation,
                resource=name,
            ) from error


def _inner(event: Envelope) -> Envelope | None:
    """Return what is in the message of Eventarc's event about a topic; None when it is nothing that we know."""
    sent, subscription = event.data.get("message"), event.data.get("subscription")
    if not isinstance(sent, Mapping):
        return None
    found = mapping.delivered(sent, str(subscription or event.source))
    return found if found.type != mapping.PUBLISHED else None
