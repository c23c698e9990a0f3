"""Namespaces, their topics and their event subscriptions, as Azure Resource Manager makes and shows them.

Subscriptions of `deliveryMode` `Queue` are emulated, `Push` is not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from typing import Any, Final

from cloudmlops.emulators.azure.arm.paging import paged
from cloudmlops.emulators.azure.arm.routes import ArmRequest
from cloudmlops.emulators.azure.arm.world import World
from cloudmlops.emulators.azure.eventgrid import CLOUD_EVENT_SCHEMA, DOMAIN, NAMESPACE, NAMESPACES, PROVIDER
from cloudmlops.emulators.azure.eventgrid.dead_letters import check_destination
from cloudmlops.emulators.azure.eventgrid.durations import duration_of
from cloudmlops.emulators.azure.eventgrid.filters import check_filter, invalid
from cloudmlops.emulators.azure.eventgrid.hosts import Hosts
from cloudmlops.emulators.azure.eventgrid.keys import Keys, key_list
from cloudmlops.emulators.azure.eventgrid.provisioning import (
    Provisioning,
    check_known,
    found,
    location_of,
    properties_of,
)
from cloudmlops.emulators.azure.eventgrid.queues import Queues
from cloudmlops.emulators.azure.eventgrid.topics import check_name, identity_of, key_name
from cloudmlops.emulators.core.answering import Answer, answer_json
from cloudmlops.emulators.core.faults import Refused

TYPE: Final = f"{PROVIDER}/namespaces"
TOPIC_TYPE: Final = f"{TYPE}/topics"
SUBSCRIPTION_TYPE: Final = f"{TOPIC_TYPE}/eventSubscriptions"
_TOPICS: Final = f"{NAMESPACE}/topics"
_TOPIC: Final = f"{_TOPICS}/{{topic}}"
_SUBSCRIPTIONS: Final = f"{_TOPIC}/eventSubscriptions"
_SUBSCRIPTION: Final = f"{_SUBSCRIPTIONS}/{{name}}"
_KNOWN: Final = (
    "isZoneRedundant",
    "publicNetworkAccess",
    "minimumTlsVersionAllowed",
    "topicSpacesConfiguration",
)
_SUBSCRIBED: Final = ("deliveryConfiguration", "eventDeliverySchema", "filtersConfiguration", "expirationTimeUtc")
_LOCK_SECONDS: Final = (60, 60, 300)
_DELIVERIES: Final = (10, 1, 10)
_DAYS: Final = (7, 1, 7)
"""Each: what it is when nobody says, at least, at most."""


class Namespaces:
    """The handlers."""

    def __init__(self, world: World, provisioning: Provisioning, queues: Queues, keys: Keys, hosts: Hosts) -> None:
        self._world = world
        self._provisioning = provisioning
        self._queues = queues
        self._keys = keys
        self._hosts = hosts
        add = world.routes.add
        for collection, one, kind, put, patch in (
            (NAMESPACES, NAMESPACE, TYPE, self.put, self.patch),
            (_TOPICS, _TOPIC, TOPIC_TYPE, self.put_topic, self.patch_topic),
            (_SUBSCRIPTIONS, _SUBSCRIPTION, SUBSCRIPTION_TYPE, self.put_subscription, self.patch_subscription),
        ):
            add("GET", collection, self._list)
            add("GET", one, partial(self.get, kind=kind))
            add("PUT", one, put)
            add("PATCH", one, patch)
            add("DELETE", one, self.delete)
        for one, kind in ((NAMESPACE, TYPE), (_TOPIC, TOPIC_TYPE)):
            add("POST", f"{one}/listKeys", partial(self.list_keys, kind=kind))
            add("POST", f"{one}/regenerateKey", partial(self.regenerate_key, kind=kind))

    def get(self, request: ArmRequest, *, kind: str) -> Answer:
        return answer_json(found(self._world, request, kind))

    def put(self, request: ArmRequest) -> Answer:
        name, given = request.names["namespace"], properties_of(request)
        check_name(name, "Namespace")
        check_known(given, _KNOWN, "namespaces")
        if (given.get("topicSpacesConfiguration") or {}).get("state") == "Enabled":
            raise Refused("UNIMPLEMENTED", "topic spaces (MQTT) of a namespace are not emulated")
        location = location_of(request, self._world.location)
        known = self._world.resources.get(request.path)
        host = f"{name}.{location}-1.{DOMAIN}".lower()
        identity = identity_of(request, self._world.tokens.directory.tenant)
        self._hosts.take(host, request.path)
        kept = {
            "provisioningState": "Updating" if known else "Creating",
            "topicsConfiguration": {"hostname": host},
            "isZoneRedundant": bool(given.get("isZoneRedundant", True)),
            "publicNetworkAccess": "Enabled",
            "inboundIpRules": None,
            "minimumTlsVersionAllowed": given.get("minimumTlsVersionAllowed") or "1.2",
        }
        made, _ = self._world.resources.put(
            request.path,
            TYPE,
            kept,
            request.caller,
            location=location,
            tags=request.body.get("tags"),
            sku=request.body.get("sku") or {"name": "Standard", "capacity": 1},
            identity=identity,
        )
        return self._provisioning.made(request, made, _being_made)

    def patch(self, request: ArmRequest) -> Answer:
        namespace = found(self._world, request, TYPE)
        if given := properties_of(request):
            raise Refused("UNIMPLEMENTED", f"changing {', '.join(sorted(given))} of a namespace is not emulated")
        for name in ("tags", "sku"):
            if request.body.get(name) is not None:
                namespace[name] = request.body[name]
        return self._changed(request, namespace)

    def put_topic(self, request: ArmRequest) -> Answer:
        found(self._world, request, TYPE, request.path.rpartition("/topics/")[0])
        check_name(request.names["topic"], "Topic")
        return self._make_topic(request, properties_of(request))

    def patch_topic(self, request: ArmRequest) -> Answer:
        known = found(self._world, request, TOPIC_TYPE)["properties"]
        return self._make_topic(request, {**known, **_given(request)}, status=202)

    def put_subscription(self, request: ArmRequest) -> Answer:
        check_name(request.names["name"], "Event subscription")
        return self._make_subscription(request, properties_of(request))

    def patch_subscription(self, request: ArmRequest) -> Answer:
        known = found(self._world, request, SUBSCRIPTION_TYPE)["properties"]
        return self._make_subscription(request, {**known, **_given(request)}, status=202)

    def delete(self, request: ArmRequest) -> Answer:
        if self._world.resources.get(request.path) is None:
            return Answer(status=204)

        def remove() -> None:
            self._world.resources.delete(request.path)
            self._queues.forget(request.path)
            self._keys.forget(request.path)
            self._hosts.leave(request.path)

        return self._provisioning.removed(request, remove)

    def list_keys(self, request: ArmRequest, *, kind: str) -> Answer:
        return answer_json(key_list(self._keys.of(self._owner(request, kind))))

    def regenerate_key(self, request: ArmRequest, *, kind: str) -> Answer:
        return answer_json(key_list(self._keys.renew(self._owner(request, kind), key_name(request))))

    def _list(self, request: ArmRequest) -> Answer:
        return paged(request, self._world.resources.directly_below(request.path))

    def _make_topic(self, request: ArmRequest, given: Mapping[str, Any], *, status: int = 201) -> Answer:
        check_known(given, ("publisherType", "inputSchema", "eventRetentionInDays"), "topics of namespaces")
        if (schema := given.get("inputSchema") or CLOUD_EVENT_SCHEMA) != CLOUD_EVENT_SCHEMA:
            raise invalid(f"The input schema {schema} is not supported for namespace topics.")
        known = self._world.resources.get(request.path)
        kept = {
            "provisioningState": "Updating" if known else "Creating",
            "publisherType": "Custom",
            "inputSchema": CLOUD_EVENT_SCHEMA,
            "eventRetentionInDays": _number(given, "eventRetentionInDays", _DAYS),
        }
        made, _ = self._world.resources.put(request.path, TOPIC_TYPE, kept, request.caller)
        return self._provisioning.made(request, made, dict, status=status)

    def _make_subscription(self, request: ArmRequest, given: Mapping[str, Any], *, status: int = 201) -> Answer:
        path = request.path[: -len(f"/eventSubscriptions/{request.names['name']}")]
        topic = found(self._world, request, TOPIC_TYPE, path)
        check_known(given, _SUBSCRIBED, "event subscriptions of namespaces")
        delivery = given.get("deliveryConfiguration") or {}
        if (mode := delivery.get("deliveryMode") or "Queue") != "Queue":
            raise Refused("UNIMPLEMENTED", f"namespace event subscriptions of deliveryMode {mode} are not emulated")
        filters = given.get("filtersConfiguration")
        check_filter(filters or {})
        known = self._world.resources.get(request.path)
        kept: dict[str, Any] = {
            "provisioningState": "Updating" if known else "Creating",
            "deliveryConfiguration": {"deliveryMode": "Queue", "queue": _queue(delivery.get("queue") or {}, topic)},
            "eventDeliverySchema": CLOUD_EVENT_SCHEMA,
        }
        if filters is not None:
            kept["filtersConfiguration"] = filters
        if given.get("expirationTimeUtc") is not None:
            kept["expirationTimeUtc"] = given["expirationTimeUtc"]
        made, _ = self._world.resources.put(request.path, SUBSCRIPTION_TYPE, kept, request.caller)
        return self._provisioning.made(request, made, dict, status=status)

    def _changed(self, request: ArmRequest, resource: dict[str, Any]) -> Answer:
        resource["properties"]["provisioningState"] = "Updating"
        self._world.resources.update(resource)
        return self._provisioning.made(request, resource, dict, status=202)

    def _owner(self, request: ArmRequest, kind: str) -> str:
        path = re.sub(r"/(listKeys|regenerateKey)$", "", request.path, flags=re.IGNORECASE)
        return str(found(self._world, request, kind, path)["id"])


def _queue(given: Mapping[str, Any], topic: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a queue, with the defaults."""
    days = topic["properties"]["eventRetentionInDays"]
    kept_for = given.get("eventTimeToLive") or f"P{days}D"
    if not timedelta(minutes=1) <= duration_of(kept_for) <= timedelta(days=days):
        raise invalid(f"The event time to live must be between PT1M and P{days}D.")
    queue = {
        "receiveLockDurationInSeconds": _number(given, "receiveLockDurationInSeconds", _LOCK_SECONDS),
        "maxDeliveryCount": _number(given, "maxDeliveryCount", _DELIVERIES),
        "eventTimeToLive": kept_for,
    }
    letters = given.get("deadLetterDestinationWithResourceIdentity")
    if letters is not None:
        check_destination(letters.get("deadLetterDestination"))
        queue["deadLetterDestinationWithResourceIdentity"] = letters
    return queue


def _number(given: Mapping[str, Any], name: str, limits: tuple[int, int, int]) -> int:
    default, least, most = limits
    value = default if given.get(name) is None else given[name]
    if not isinstance(value, int) or not least <= value <= most:
        raise invalid(f"The value of {name} must be between {least} and {most}.")
    return value


def _given(request: ArmRequest) -> dict[str, Any]:
    return {name: value for name, value in properties_of(request).items() if value is not None}


def _being_made(namespace: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is shown of a namespace that is being made: its host is not known yet."""
    properties = dict(namespace["properties"])
    if properties["provisioningState"] == "Creating":
        del properties["topicsConfiguration"]
    return {**namespace, "properties": properties}
