"""What an owner of Azure's resources makes for events, with Azure's own SDKs, and a webhook on loopback."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import uvicorn
from azure.identity import DefaultAzureCredential
from azure.mgmt.eventgrid import EventGridManagementClient
from azure.mgmt.eventgrid.models import (
    DeliveryConfiguration,
    EventSubscription,
    NamespaceTopic,
    QueueInfo,
    Subscription,
    WebHookEventSubscriptionDestination,
)
from azure.mgmt.eventgrid.models import (
    Namespace as NamespaceInfo,
)

from cloudmlops import Platform
from cloudmlops.domain.events import DriftDetected
from cloudmlops.emulators.azure.cloud import SUBSCRIPTION, AzureCloud

PATIENCE = timedelta(seconds=30)
_numbers = itertools.count(1)


@dataclass(frozen=True, kw_only=True)
class Namespace:
    """A namespace with the topic `mlops` and its queue `worker`."""

    cloud: AzureCloud
    group: str
    name: str

    @property
    def id(self) -> str:
        return (
            f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{self.group}/providers/Microsoft.EventGrid/namespaces/"
            f"{self.name}"
        )

    @property
    def host(self) -> str:
        return f"{self.name}.westeurope-1.eventgrid.azure.net"

    @property
    def settings(self) -> dict[str, str]:
        """Of a platform that publishes there and pulls from there."""
        return {"topic": f"https://{self.host}/topics/mlops", "event_subscription": "worker"}

    @property
    def queue(self) -> str:
        return f"{self.id}/topics/mlops/eventSubscriptions/worker"

    def waiting(self) -> list[dict[str, Any]]:
        """Return what is in the queue, locked or not."""
        return [dict(one.event) for one in self.cloud.event_grid.queues.waiting(self.queue)]

    def put_queue(self, **queue: Any) -> None:
        """Make the queue, with settings such as `max_delivery_count=2`."""
        delivery = DeliveryConfiguration(delivery_mode="Queue", queue=QueueInfo(**queue))
        info = Subscription(delivery_configuration=delivery, event_delivery_schema="CloudEventSchemaV1_0")
        with managing() as manage:
            manage.namespace_topic_event_subscriptions.begin_create_or_update(
                self.group, self.name, "mlops", "worker", info
            ).result()

    def publish_raw(self, *events: dict[str, Any]) -> None:
        """Publish as a program does that has no SDK."""
        with managing() as manage:
            key = manage.namespaces.list_shared_access_keys(self.group, self.name).key1
        httpx.post(
            f"{self.cloud.event_grid.plain(self.host)}/topics/mlops:publish?api-version=2024-06-01",
            json=list(events),
            headers={"authorization": f"SharedAccessKey {key}", "content-type": "application/cloudevents-batch+json"},
            trust_env=False,
            verify=False,
        ).raise_for_status()


def made_namespace(cloud: AzureCloud, group: str, *users: str) -> Namespace:
    """Make a namespace, and let some send and receive."""
    found = Namespace(cloud=cloud, group=group, name=f"bus-{next(_numbers)}")
    with managing() as manage:
        info = NamespaceInfo(location="westeurope")
        manage.namespaces.begin_create_or_update(group, found.name, info).result()
        manage.namespace_topics.begin_create_or_update(group, found.name, "mlops", NamespaceTopic()).result()
    found.put_queue()
    for name in users:
        for role in ("EventGrid Data Sender", "EventGrid Data Receiver"):
            definition = cloud.access.role(role)
            assert definition is not None
            cloud.access.assign(found.id, cloud.tokens.directory.by_name(name).object_id, definition)
    return found


@contextmanager
def managing() -> Iterator[EventGridManagementClient]:
    """Give Azure's own client of Event Grid's resources."""
    with DefaultAzureCredential() as credential, EventGridManagementClient(credential, SUBSCRIPTION) as client:
        yield client


@contextmanager
def served(platform: Platform, *, port: int = 0) -> Iterator[str]:
    """Answer pushes on loopback."""
    config = uvicorn.Config(platform.events.asgi(), port=port, log_level="critical", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            thread.join(0.01)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/events"
    finally:
        server.should_exit = True
        thread.join()


def subscribe(
    platform: Platform, url: str = "", *, name: str = "learning", source: str = "", **more: Any
) -> EventSubscription:
    """Let the workspace's events, or another source's, be pushed to an address, or to another destination."""
    webhook = more.pop("webhook", {})
    destination = more.pop("destination", None) or WebHookEventSubscriptionDestination(endpoint_url=url, **webhook)
    info = EventSubscription(destination=destination, **more)
    with managing() as manage:
        made: EventSubscription = manage.event_subscriptions.begin_create_or_update(
            source or workspace_id(platform), name, info
        ).result()
    return made


def workspace_id(platform: Platform) -> str:
    subscription, group, workspace = platform.address.removeprefix("azureml://").split("/")
    return (
        f"/subscriptions/{subscription}/resourceGroups/{group}"
        f"/providers/Microsoft.MachineLearningServices/workspaces/{workspace}"
    )


def drained(platform: Platform, namespace: Namespace) -> int:
    """Handle events until the queue is empty; return how many were handled."""
    handled = platform.events.process()
    while namespace.waiting():
        handled += platform.events.process()
    return handled


def drift(platform: Platform, metric: str = "psi") -> DriftDetected:
    time = datetime(2026, 1, 31, 12, tzinfo=UTC)
    return DriftDetected(platform=platform.address, time=time, subject="s", metric=metric, value=0.3, threshold=0.2)
