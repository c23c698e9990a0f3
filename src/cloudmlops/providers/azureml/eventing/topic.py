"""The way out: a topic of an Event Grid namespace."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from azure.core.messaging import CloudEvent
from azure.core.pipeline.transport import RequestsTransport
from azure.eventgrid import EventGridConsumerClient, EventGridPublisherClient

from cloudmlops.errors import NotFoundError, PermissionDeniedError
from cloudmlops.providers.azureml.errors import PROVIDER
from cloudmlops.providers.azureml.mapping import events as mapping
from cloudmlops.providers.azureml.mapping.roles import EVENT_RECEIVER, EVENT_SENDER

if TYPE_CHECKING:
    from collections.abc import Callable

    from cloudmlops.domain.events import Envelope
    from cloudmlops.providers.azureml.settings import AzureMLSettings
    from cloudmlops.providers.azureml.wire import Wire

AGAIN: Final = frozenset({"POST"})
"""What is published twice has one meaning, and what is received in vain comes again."""
LEAST_WAIT_SECONDS: Final = 10
"""Event Grid takes no shorter time to wait for the first event of a queue."""
_SCOPE: Final = "https://eventgrid.azure.net/.default"
"""What azure-eventgrid asks a token for."""


class Topic:
    """One topic, and the clients of Azure's SDK that know it."""

    def __init__(self, settings: AzureMLSettings, wire: Wire) -> None:
        self._wire = wire
        self._address = settings.topic
        self._subscription = settings.event_subscription
        parts = urlsplit(settings.topic)
        self._endpoint = f"{parts.scheme}://{parts.netloc}"
        self._name = parts.path.rpartition("/")[2]

    def publish(self, event: Envelope) -> None:
        """Send an event; sent twice it has one meaning.

        Raises:
            InvalidRequestError: It cannot be a CloudEvent.
            ServiceError: Event Grid's answer, as ours.
        """
        sent = CloudEvent(**mapping.cloud_event(event))
        self.ask(lambda: self._publisher.send(sent, retry_on_methods=AGAIN), operation="events.publish")

    def consumer(self) -> EventGridConsumerClient:
        """Return a new client of the subscription, whose connection is its own: it may wait when all else is closed."""
        options = self._wire.options
        patient = RequestsTransport(
            connection_timeout=self._wire.timeout, read_timeout=LEAST_WAIT_SECONDS + self._wire.timeout
        )
        return EventGridConsumerClient(
            self._endpoint,
            self._wire.credential,
            namespace_topic=self._name,
            subscription=self._subscription,
            **{**options, "transport": patient},
        )

    def log_in(self, *, operation: str) -> None:
        """See that there is a token for Event Grid.

        Raises:
            ServiceError: There is none to be had.
        """
        self._wire.ask(lambda: self._wire.credential.get_token(_SCOPE), operation=operation, resource=self._address)

    def ask(self, call: Callable[[], Any], *, operation: str) -> Any:
        """Do a call of Azure's SDK; what is not there is told with how to make it.

        Raises:
            ServiceError: Event Grid's answer, as ours.
        """
        try:
            return self._wire.ask(call, operation=operation, resource=self._address)
        except NotFoundError as error:
            what = f"the topic {self._address}"
            if operation != "events.publish":
                what = f"the event subscription {self._subscription!r} of {what}"
            raise NotFoundError(
                f"{what} is not there",
                hint="Make it (docs/azureml.md, Events), or leave out the settings topic and event_subscription.",
                provider=PROVIDER,
                operation=operation,
                resource=self._address,
            ) from error
        except PermissionDeniedError as error:
            role = EVENT_SENDER if operation == "events.publish" else EVENT_RECEIVER
            raise PermissionDeniedError(
                error.message,
                hint=f"Granted on the topic by: {role.name}. platform.check_access(['{operation}']) lists all that is "
                "missing.",
                provider=PROVIDER,
                operation=operation,
                resource=self._address,
                request_id=error.request_id,
            ) from error

    @cached_property
    def _publisher(self) -> EventGridPublisherClient:
        return EventGridPublisherClient(
            self._endpoint, self._wire.credential, namespace_topic=self._name, **self._wire.options
        )
