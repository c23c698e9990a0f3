"""Basic topics and system topics, as Azure Resource Manager makes and shows them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from cloudmlops.emulators.azure.arm.errors import resource_not_found
from cloudmlops.emulators.azure.arm.paging import paged
from cloudmlops.emulators.azure.arm.routes import ArmRequest
from cloudmlops.emulators.azure.arm.world import World
from cloudmlops.emulators.azure.entra.principals import derived_id
from cloudmlops.emulators.azure.eventgrid import (
    CLOUD_EVENT_SCHEMA,
    DOMAIN,
    EVENT_GRID_SCHEMA,
    PROVIDER,
    SYSTEM_TOPIC,
    SYSTEM_TOPICS,
    TOPIC,
    TOPICS,
)
from cloudmlops.emulators.azure.eventgrid.filters import invalid
from cloudmlops.emulators.azure.eventgrid.hosts import Hosts
from cloudmlops.emulators.azure.eventgrid.keys import NAMES, Keys, key_list
from cloudmlops.emulators.azure.eventgrid.provisioning import (
    Provisioning,
    check_known,
    found,
    location_of,
    properties_of,
)
from cloudmlops.emulators.azure.eventgrid.subscribing import EventSubscriptions
from cloudmlops.emulators.azure.ml import PROVIDER as ML
from cloudmlops.emulators.core.answering import Answer, answer_json
from cloudmlops.emulators.core.faults import Refused

TYPE: Final = f"{PROVIDER}/topics"
SYSTEM_TYPE: Final = f"{PROVIDER}/systemTopics"
ML_TOPIC_TYPE: Final = f"{ML}.Workspaces"
_ECHOED: Final = ("minimumTlsVersionAllowed", "dataResidencyBoundary")
_KNOWN: Final = ("inputSchema", "publicNetworkAccess", "disableLocalAuth", *_ECHOED)
_NAME: Final = re.compile(r"[A-Za-z0-9-]{3,50}")


def check_name(name: str, what: str) -> None:
    """Let names through that Event Grid takes.

    Raises:
        Refused: It is too short or too long, or has other characters.
    """
    if not _NAME.fullmatch(name):
        raise invalid(f"{what} name must be between 3 and 50 characters in length.")


def identity_of(request: ArmRequest, tenant: str) -> dict[str, Any]:
    """Return the identity of a resource that asks for one: its principal follows from its id.

    Raises:
        Refused: It asks for one that somebody else made.
    """
    kind = str((request.body.get("identity") or {}).get("type") or "None")
    if kind not in ("None", "SystemAssigned"):
        raise Refused("UNIMPLEMENTED", f"identities of type {kind} are not emulated for {PROVIDER}")
    known = kind == "SystemAssigned"
    return {
        "type": kind,
        "principalId": derived_id("object", f"{request.path.lower()}/topic") if known else None,
        "tenantId": tenant if known else None,
        "userAssignedIdentities": None,
    }


class Topics:
    """The handlers of basic topics."""

    def __init__(
        self, world: World, provisioning: Provisioning, subscriptions: EventSubscriptions, keys: Keys, hosts: Hosts
    ) -> None:
        self._world = world
        self._provisioning = provisioning
        self._subscriptions = subscriptions
        self._keys = keys
        self._hosts = hosts
        add = world.routes.add
        add("GET", TOPICS, lambda request: paged(request, world.resources.directly_below(request.path)))
        add("GET", TOPIC, lambda request: answer_json(self._found(request)))
        add("PUT", TOPIC, self.put)
        add("PATCH", TOPIC, self.patch)
        add("DELETE", TOPIC, self.delete)
        add("POST", f"{TOPIC}/listKeys", self.list_keys)
        add("POST", f"{TOPIC}/regenerateKey", self.regenerate_key)

    def put(self, request: ArmRequest) -> Answer:
        name = request.names["topic"]
        check_name(name, "Topic")
        given = properties_of(request)
        check_known(given, _KNOWN, "topics")
        schema = given.get("inputSchema") or EVENT_GRID_SCHEMA
        if schema not in (EVENT_GRID_SCHEMA, CLOUD_EVENT_SCHEMA):
            raise Refused("UNIMPLEMENTED", f"topics with the input schema {schema} are not emulated")
        location = location_of(request, self._world.location)
        known = self._world.resources.get(request.path)
        host = f"{name}.{location}-1.{DOMAIN}".lower()
        identity = identity_of(request, self._world.tokens.directory.tenant)
        self._hosts.take(host, request.path)
        kept = {
            "provisioningState": "Updating" if known else "Creating",
            "endpoint": f"https://{host}/api/events",
            "inputSchema": schema,
            "metricResourceId": derived_id("metrics", request.path.lower()),
            "publicNetworkAccess": "Enabled",
            "disableLocalAuth": bool(given.get("disableLocalAuth")),
            **{name: given[name] for name in _ECHOED if given.get(name) is not None},
        }
        made, _ = self._world.resources.put(
            request.path,
            TYPE,
            kept,
            request.caller,
            location=location,
            tags=request.body.get("tags"),
            sku={"name": "Basic"},
            kind="Azure",
            identity=identity,
        )
        return self._provisioning.made(request, made, _being_made)

    def patch(self, request: ArmRequest) -> Answer:
        topic = self._found(request)
        given = properties_of(request)
        check_known(given, _KNOWN, "topics")
        changed = {name: value for name, value in given.items() if value is not None and name in _KNOWN}
        topic["properties"] |= {**changed, "provisioningState": "Updating"}
        if "tags" in request.body:
            topic["tags"] = request.body["tags"]
        self._world.resources.update(topic)
        return self._provisioning.made(request, topic, dict)

    def delete(self, request: ArmRequest) -> Answer:
        if self._world.resources.get(request.path) is None:
            return Answer(status=204)

        def remove() -> None:
            self._subscriptions.forget(request.path)
            self._world.resources.delete(request.path)
            self._keys.forget(request.path)
            self._hosts.leave(request.path)

        return self._provisioning.removed(request, remove)

    def list_keys(self, request: ArmRequest) -> Answer:
        topic = self._found(request)
        return answer_json(key_list(self._keys.of(topic["id"])))

    def regenerate_key(self, request: ArmRequest) -> Answer:
        topic = self._found(request)
        return answer_json(key_list(self._keys.renew(topic["id"], key_name(request))))

    def _found(self, request: ArmRequest) -> dict[str, Any]:
        path = re.sub(r"/(listKeys|regenerateKey)$", "", request.path, flags=re.IGNORECASE)
        return found(self._world, request, TYPE, path)


class SystemTopics:
    """The handlers of system topics: of workspaces."""

    def __init__(self, world: World, provisioning: Provisioning, subscriptions: EventSubscriptions) -> None:
        self._world = world
        self._provisioning = provisioning
        self._subscriptions = subscriptions
        add = world.routes.add
        add("GET", SYSTEM_TOPICS, lambda request: paged(request, world.resources.directly_below(request.path)))
        add("GET", SYSTEM_TOPIC, lambda request: answer_json(found(world, request, SYSTEM_TYPE)))
        add("PUT", SYSTEM_TOPIC, self.put)
        add("DELETE", SYSTEM_TOPIC, self.delete)

    def put(self, request: ArmRequest) -> Answer:
        check_name(request.names["topic"], "System topic")
        given = properties_of(request)
        check_known(given, ("source", "topicType"), "system topics")
        source, kind = str(given.get("source") or ""), str(given.get("topicType") or "")
        if kind.lower() != ML_TOPIC_TYPE.lower():
            raise Refused("UNIMPLEMENTED", f"system topics of type {kind!r} are not emulated: {ML_TOPIC_TYPE} is")
        if self._world.resources.get(source) is None:
            raise resource_not_found(f"{ML}/workspaces/{source.rpartition('/')[2]}", request.names["group"])
        known = self._world.resources.get(request.path)
        if known is not None and known["properties"]["source"].lower() != source.lower():
            raise invalid("The source of a system topic cannot be changed.")
        kept = {
            "provisioningState": "Updating" if known else "Creating",
            "source": source,
            "topicType": kind,
            "metricResourceId": derived_id("metrics", request.path.lower()),
        }
        made, _ = self._world.resources.put(
            request.path,
            SYSTEM_TYPE,
            kept,
            request.caller,
            location=location_of(request, self._world.location),
            tags=request.body.get("tags"),
            identity=identity_of(request, self._world.tokens.directory.tenant),
        )
        self._subscriptions.follow(source, made["id"])
        return self._provisioning.made(request, made, dict)

    def delete(self, request: ArmRequest) -> Answer:
        if self._world.resources.get(request.path) is None:
            return Answer(status=204)

        def remove() -> None:
            self._subscriptions.forget(request.path)
            self._world.resources.delete(request.path)

        return self._provisioning.removed(request, remove)


def key_name(request: ArmRequest) -> str:
    """Return which key a request wants made anew.

    Raises:
        Refused: It names none.
    """
    name = str(request.body.get("keyName") or "").lower()
    if name not in NAMES:
        raise invalid(f"The key name must be one of {', '.join(NAMES)}.")
    return name


def _being_made(topic: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is shown of a topic that is being made: where it answers is not known yet."""
    hidden = {"endpoint": None} if topic["properties"]["provisioningState"] == "Creating" else {}
    return {**topic, "properties": {**topic["properties"], **hidden}}
