from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn
from azure.core.credentials import AzureKeyCredential
from azure.eventgrid import EventGridConsumerClient, EventGridPublisherClient
from azure.mgmt.eventgrid import EventGridManagementClient
from azure.mgmt.eventgrid.models import (
    DeliveryConfiguration,
    EventSubscription,
    FiltersConfiguration,
    Namespace,
    NamespaceTopic,
    QueueInfo,
    Subscription,
    Topic,
    WebHookEventSubscriptionDestination,
)
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from cloudmlops.emulators.azure.eventgrid.grid import EventGrid

if TYPE_CHECKING:
    from tests.emulators.azure.conftest import Azure

PATIENCE = timedelta(seconds=30)
_numbers = itertools.count(1)


@dataclass
class Received:
    """One request that a webhook got."""

    method: str
    headers: dict[str, str]
    content: Any
    at: datetime


@dataclass
class Webhook:
    """A receiver on loopback: it takes part in both handshakes, and answers what a test wants."""

    now: Callable[[], datetime]
    url: str = ""
    answers: Callable[[Received], Response | None] = lambda _: None
    """What is answered instead of 200; None is 200, and a handshake that is agreed to."""
    got: list[Received] = field(default_factory=list)
    stop: Callable[[], None] = lambda: None
    """Lets nobody be there any more."""

    @property
    def events(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for one in self.notifications:
            found += one.content if isinstance(one.content, list) else [one.content]
        return found

    @property
    def notifications(self) -> list[Received]:
        return [one for one in self.got if one.headers.get("aeg-event-type") == "Notification"]

    async def serve(self, request: Request) -> Response:
        body = await request.body()
        received = Received(request.method, dict(request.headers), json.loads(body) if body else None, self.now())
        self.got.append(received)
        answer = self.answers(received)
        if answer is not None:
            return answer
        if request.method == "OPTIONS":
            return Response(headers={"WebHook-Allowed-Origin": request.headers["webhook-request-origin"]})
        if received.headers.get("aeg-event-type") == "SubscriptionValidation":
            return JSONResponse({"validationResponse": received.content[0]["data"]["validationCode"]})
        return Response()


class _Server(uvicorn.Server):
    """Tells when it answers."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        self.ready.set()


@pytest.fixture
def grid(azure: Azure) -> EventGrid:
    return azure.cloud.event_grid


@pytest.fixture
def webhook(azure: Azure) -> Iterator[Webhook]:
    hook = Webhook(azure.emulator.clock.now)
    app = Starlette(routes=[Route("/hook", hook.serve, methods=["POST", "OPTIONS"])])
    server = _Server(uvicorn.Config(app, port=0, log_config=None, lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    assert server.ready.wait(PATIENCE.total_seconds())
    hook.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/hook?code=secret"

    def stop() -> None:
        server.should_exit = True
        thread.join()

    hook.stop = stop
    yield hook
    stop()


@pytest.fixture
def manage(azure: Azure) -> EventGridManagementClient:
    return EventGridManagementClient(azure.credential(), azure.subscription)


@pytest.fixture
def frozen(azure: Azure) -> Callable[[timedelta], None]:
    """The clock stands still; the function that it gives moves it."""
    azure.emulator.clock.freeze()
    return azure.emulator.clock.advance


@dataclass
class PublishedTo:
    """A topic of one's own, with one subscription to a webhook."""

    azure: Azure
    manage: EventGridManagementClient
    name: str
    schema: str

    @property
    def id(self) -> str:
        group = f"/subscriptions/{self.azure.subscription}/resourceGroups/{self.azure.group}"
        return f"{group}/providers/Microsoft.EventGrid/topics/{self.name}"

    def subscribe(self, url: str, name: str = "hooked", **more: Any) -> EventSubscription:
        destination = more.pop("destination", None) or WebHookEventSubscriptionDestination(endpoint_url=url)
        info = EventSubscription(destination=destination, **more)
        found: EventSubscription = self.manage.event_subscriptions.begin_create_or_update(self.id, name, info).result()
        return found

    def publisher(self) -> EventGridPublisherClient:
        endpoint = self.manage.topics.get(self.azure.group, self.name).endpoint
        key = self.manage.topics.list_shared_access_keys(self.azure.group, self.name).key1
        assert endpoint is not None
        assert key is not None
        return EventGridPublisherClient(endpoint, AzureKeyCredential(key))


@pytest.fixture
def make_topic(azure: Azure, manage: EventGridManagementClient) -> Callable[..., PublishedTo]:
    def make(schema: str = "EventGridSchema") -> PublishedTo:
        name = f"topic-{next(_numbers)}"
        info = Topic(location="westeurope", input_schema=schema)
        manage.topics.begin_create_or_update(azure.group, name, info).result()
        return PublishedTo(azure, manage, name, schema)

    return make


@pytest.fixture
def topic(make_topic: Callable[..., PublishedTo]) -> PublishedTo:
    return make_topic()


@dataclass
class Pulled:
    """A namespace with one topic and one queue."""

    azure: Azure
    manage: EventGridManagementClient
    name: str

    @property
    def endpoint(self) -> str:
        return f"https://{self.name}.westeurope-1.eventgrid.azure.net"

    @property
    def key(self) -> AzureKeyCredential:
        key = self.manage.namespaces.list_shared_access_keys(self.azure.group, self.name).key1
        assert key is not None
        return AzureKeyCredential(key)

    @property
    def topic_id(self) -> str:
        group = f"/subscriptions/{self.azure.subscription}/resourceGroups/{self.azure.group}"
        return f"{group}/providers/Microsoft.EventGrid/namespaces/{self.name}/topics/news"

    def subscribe(
        self, name: str = "readers", filters: FiltersConfiguration | None = None, **queue: Any
    ) -> Subscription:
        info = Subscription(
            delivery_configuration=DeliveryConfiguration(delivery_mode="Queue", queue=QueueInfo(**queue)),
            event_delivery_schema="CloudEventSchemaV1_0",
            filters_configuration=filters,
        )
        found: Subscription = self.manage.namespace_topic_event_subscriptions.begin_create_or_update(
            self.azure.group, self.name, "news", name, info
        ).result()
        return found

    def publisher(self) -> EventGridPublisherClient:
        return EventGridPublisherClient(self.endpoint, self.key, namespace_topic="news")

    def consumer(self, name: str = "readers", endpoint: str = "") -> EventGridConsumerClient:
        return EventGridConsumerClient(endpoint or self.endpoint, self.key, namespace_topic="news", subscription=name)


@pytest.fixture
def pulled(azure: Azure, manage: EventGridManagementClient) -> Pulled:
    name = f"namespace-{next(_numbers)}"
    manage.namespaces.begin_create_or_update(azure.group, name, Namespace(location="westeurope")).result()
    manage.namespace_topics.begin_create_or_update(azure.group, name, "news", NamespaceTopic()).result()
    return Pulled(azure, manage, name)
