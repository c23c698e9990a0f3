"""Event Grid as a whole: what it is made of, and its front door.

`*.eventgrid.azure.net` is answered behind the redirect. At the plain address, which SDKs with a key take as an
endpoint, the same is below `/eventgrid/HOST`, such as
`http://127.0.0.1:41233/eventgrid/orders.westeurope-1.eventgrid.azure.net`.
"""

from __future__ import annotations

import re
from typing import Any, Final

from cloudmlops.emulators.azure.arm.world import World
from cloudmlops.emulators.azure.eventgrid import DOMAIN
from cloudmlops.emulators.azure.eventgrid.admission import Admission
from cloudmlops.emulators.azure.eventgrid.dead_letters import DeadLetters, Write
from cloudmlops.emulators.azure.eventgrid.deliveries import SERVICE, Deliveries
from cloudmlops.emulators.azure.eventgrid.handshakes import Handshakes
from cloudmlops.emulators.azure.eventgrid.hosts import Hosts
from cloudmlops.emulators.azure.eventgrid.identity import Identities
from cloudmlops.emulators.azure.eventgrid.keys import Keys
from cloudmlops.emulators.azure.eventgrid.namespaces import TYPE as NAMESPACE_TYPE
from cloudmlops.emulators.azure.eventgrid.namespaces import Namespaces
from cloudmlops.emulators.azure.eventgrid.provisioning import Provisioning
from cloudmlops.emulators.azure.eventgrid.publishing import Publishing
from cloudmlops.emulators.azure.eventgrid.pulling import Pulling
from cloudmlops.emulators.azure.eventgrid.queues import Queues
from cloudmlops.emulators.azure.eventgrid.subscribing import EventSubscriptions
from cloudmlops.emulators.azure.eventgrid.system_events import SystemEvents
from cloudmlops.emulators.azure.eventgrid.topics import SystemTopics, Topics
from cloudmlops.emulators.azure.eventgrid.webhooks import Webhooks
from cloudmlops.emulators.core.answering import Answer, Asked, Operation, app
from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.core.routing import LOOPBACK_NAMES
from cloudmlops.emulators.core.service import Service

PLAIN: Final = "/eventgrid"
_PLAIN: Final = re.compile(rf"{PLAIN}/([^/]+)(/.*)")
_VALIDATE: Final = re.compile(r"/eventsubscriptions/[^/]+/validate")


class EventGrid:
    """One emulated Event Grid."""

    def __init__(self, world: World, *, write: Write) -> None:
        """Build it.

        Args:
            world: Of the emulated Azure.
            write: Puts blobs: dead letters.
        """
        self._world = world
        surroundings, resources = world.surroundings, world.resources
        self._letters = DeadLetters(surroundings, write)
        self.webhooks = Webhooks()
        """The way out; `webhooks.timeout` is how long it waits for answers."""
        self.queues = Queues(surroundings, resources, self._letters)
        """What waits to be pulled."""
        identities = Identities(world.tokens)
        self.deliveries = Deliveries(
            surroundings,
            resources,
            webhooks=self.webhooks,
            queues=self.queues,
            letters=self._letters,
            identities=identities,
        )
        """What is pushed; `deliveries.settle` waits until nothing happens unless time goes on."""
        provisioning = Provisioning(world)
        self._handshakes = Handshakes(world, provisioning, self.deliveries, self.webhooks, identities)
        self._hosts = Hosts(surroundings.state)
        keys = Keys(surroundings.state)
        subscriptions = EventSubscriptions(world, provisioning, self._handshakes, self.deliveries)
        Topics(world, provisioning, subscriptions, keys, self._hosts)
        SystemTopics(world, provisioning, subscriptions)
        Namespaces(world, provisioning, self.queues, keys, self._hosts)
        admission = Admission(world, keys)
        self._publishing = Publishing(world, admission, subscriptions)
        self._pulling = Pulling(world, admission, self.queues)
        self.events = SystemEvents(subscriptions, surroundings.clock)
        """Tells of what happens in workspaces."""

    def service(self) -> Service:
        """Build the service. Calls are named `eventgrid/events.publish`, `eventgrid/namespaces.receive` and so on."""
        surroundings = self._world.surroundings
        topics = app(surroundings, SERVICE, find=self._find, refusal=self._publishing.refusal)
        namespaces = app(surroundings, SERVICE, find=self._find, refusal=self._pulling.refusal)

        async def serve(scope: Any, receive: Any, send: Any) -> None:
            # The two write errors each in a form of their own.
            await (namespaces if "/topics/" in scope["path"] else topics)(scope, receive, send)

        return Service(
            name=SERVICE,
            hosts=(f"*.{DOMAIN}",),
            paths=(PLAIN,),
            http=serve,
            resume=self._resume,
            close=self._close,
        )

    def plain(self, host: str) -> str:
        """Return where a host's data plane answers at the plain address."""
        return f"http://{self._world.surroundings.address()}{PLAIN}/{host}"

    def reset(self) -> None:
        """Undo what a test may have set."""
        self.webhooks.reset()
        self.deliveries.reset()

    def _find(self, asked: Asked) -> tuple[str, Operation]:
        name, operation = self._found(asked)
        if version := asked.query.get("api-version"):
            self._world.versions[f"{SERVICE} {name}"].add(version)
        return name, operation

    def _found(self, asked: Asked) -> tuple[str, Operation]:
        host, path = asked.host.partition(":")[0].lower(), asked.path
        if host in LOOPBACK_NAMES and (plain := _PLAIN.fullmatch(path)) is not None:
            host, path = plain.group(1).lower(), plain.group(2)
        if host.startswith("rp-") and asked.method == "GET" and _VALIDATE.fullmatch(path):
            return "validate.visit", self._visit
        resource = self._hosts.resource(host)
        kept = self._world.resources.get(resource) if resource is not None else None
        if kept is None:
            raise Refused("NOT_FOUND", f"There is no topic or namespace at {host}.", reason="NotFound")
        if kept["type"] == NAMESPACE_TYPE:
            return self._pulling.find(asked.method, path, kept["id"])
        if asked.method == "POST" and path.rstrip("/") == "/api/events":
            return "events.publish", lambda again: self._publishing.publish(again, kept["id"], host)
        raise Refused("UNIMPLEMENTED", f"{asked.method} {path} is not emulated")

    def _visit(self, asked: Asked) -> Answer:
        if not self._handshakes.validate(asked.query.get("id", "")):
            raise Refused("INVALID_ARGUMENT", "The validation code is invalid or has expired.", reason="BadRequest")
        body = b'"Webhook successfully validated as a subscription endpoint."'
        return Answer(status=200, body=body, headers={"content-type": "application/json; charset=utf-8"})

    def _resume(self) -> None:
        self._handshakes.resume()
        self.deliveries.resume()
        self.queues.resume()
        self._letters.resume()

    def _close(self) -> None:
        self.queues.close()
        self.webhooks.close()
        self.deliveries.close()
