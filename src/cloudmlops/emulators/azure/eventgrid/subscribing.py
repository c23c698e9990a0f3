"""Event subscriptions of what Event Grid pushes: of workspaces, topics and system topics.

They are made as extensions of their source (`{source}/providers/Microsoft.EventGrid/eventSubscriptions/{name}`) or
inside a topic or system topic; those who list the ones do not see the others.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from cloudmlops.emulators.azure.arm.paging import paged
from cloudmlops.emulators.azure.arm.routes import ArmRequest
from cloudmlops.emulators.azure.arm.world import World
from cloudmlops.emulators.azure.eventgrid import CLOUD_EVENT_SCHEMA, EVENT_GRID_SCHEMA, PROVIDER, SYSTEM_TOPIC, TOPIC
from cloudmlops.emulators.azure.eventgrid.dead_letters import check_destination
from cloudmlops.emulators.azure.eventgrid.deliveries import Deliveries
from cloudmlops.emulators.azure.eventgrid.filters import check_filter, invalid, wanted
from cloudmlops.emulators.azure.eventgrid.handshakes import Handshakes
from cloudmlops.emulators.azure.eventgrid.provisioning import Provisioning, check_known, found, properties_of
from cloudmlops.emulators.azure.eventgrid.retrying import policy_of
from cloudmlops.emulators.azure.eventgrid.subscriptions import dead_letter_of, destination_of, has_retired, is_active
from cloudmlops.emulators.azure.eventgrid.webhooks import check_webhook
from cloudmlops.emulators.azure.ml import PROVIDER as ML
from cloudmlops.emulators.azure.ml import WORKSPACE
from cloudmlops.emulators.core.answering import Answer, answer_json
from cloudmlops.emulators.core.faults import Refused

ML_EVENTS: Final = tuple(
    f"{ML}.{kind}"
    for kind in ("ModelRegistered", "ModelDeployed", "RunCompleted", "DatasetDriftDetected", "RunStatusChanged")
)
"""What a workspace tells of, and a subscription gets that does not choose."""
_NAME: Final = re.compile(r"[A-Za-z0-9-]{3,64}")
_EXTENSION: Final = f"/providers/{PROVIDER}/eventSubscriptions"
_INNER: Final = "/eventSubscriptions"
_FIELDS: Final = (
    "destination",
    "deliveryWithResourceIdentity",
    "filter",
    "labels",
    "expirationTimeUtc",
    "eventDeliverySchema",
    "retryPolicy",
    "deadLetterDestination",
    "deadLetterWithResourceIdentity",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Kind:
    """One place where subscriptions are."""

    source: str
    """The path of what is subscribed to, with `{name}`s."""
    collection: str
    """What follows it."""
    type: str


_KINDS: Final = (
    _Kind(source=WORKSPACE, collection=_EXTENSION, type=f"{PROVIDER}/eventSubscriptions"),
    _Kind(source=TOPIC, collection=_EXTENSION, type=f"{PROVIDER}/eventSubscriptions"),
    _Kind(source=TOPIC, collection=_INNER, type=f"{PROVIDER}/topics/eventSubscriptions"),
    _Kind(source=SYSTEM_TOPIC, collection=_INNER, type=f"{PROVIDER}/systemTopics/eventSubscriptions"),
)


class EventSubscriptions:
    """The handlers, and who gets an event."""

    def __init__(
        self, world: World, provisioning: Provisioning, handshakes: Handshakes, deliveries: Deliveries
    ) -> None:
        self._world = world
        self._provisioning = provisioning
        self._handshakes = handshakes
        self._deliveries = deliveries
        self._sources = world.surroundings.state.table("eventgrid_sources")
        for kind in _KINDS:
            self._add(kind)

    def publish(self, source: str, event: Mapping[str, Any]) -> None:
        """Let all who subscribed to a source and want an event get it.

        Args:
            source: The id of a topic, or of what a system topic is of.
            event: Of either schema.
        """
        now = self._world.surroundings.clock.now()
        for resource in self.of(source):
            if is_active(resource, now) and wanted(resource["properties"]["filter"], event):
                self._deliveries.send(resource, event)

    def of(self, source: str) -> list[dict[str, Any]]:
        """Return all subscriptions to a source, wherever they are."""
        below = self._world.resources.directly_below
        found = [*below(f"{source}{_EXTENSION}"), *below(f"{source}{_INNER}")]
        for _, topic in self._sources.items(f"{source.lower()}|"):
            found += below(f"{topic.decode()}{_INNER}")
        return found

    def follow(self, source: str, system_topic: str) -> None:
        """Let a system topic's subscribers get what its source tells of."""
        self._sources.put(f"{source.lower()}|{system_topic.lower()}", system_topic.encode())

    def forget(self, source: str) -> None:
        """Remove what is under way to subscribers of a topic or system topic that is removed."""
        for resource in self.of(source):
            self._deliveries.forget(resource["id"])
            self._handshakes.part(resource)
        for key, topic in self._sources.items():
            if topic.decode().lower() == source.lower():
                self._sources.delete(key)

    def _add(self, kind: _Kind) -> None:
        add, collection = self._world.routes.add, f"{kind.source}{kind.collection}"
        one = f"{collection}/{{name}}"
        add("GET", collection, self._list)
        add("GET", one, lambda request: answer_json(shown(self._found(request))))
        add("PUT", one, lambda request: self._put(request, kind))
        add("PATCH", one, lambda request: self._patch(request, kind))
        add("DELETE", one, self._delete)
        add("POST", f"{one}/getFullUrl", self._full_url)
        add("POST", f"{one}/getDeliveryAttributes", self._attributes)

    def _list(self, request: ArmRequest) -> Answer:
        found = self._world.resources.directly_below(request.path)
        return paged(request, [shown(one) for one in found if not self._retired(one)])

    def _put(self, request: ArmRequest, kind: _Kind) -> Answer:
        name = request.names["name"]
        if not _NAME.fullmatch(name):
            raise invalid("Event subscription name must be between 3 and 64 characters in length.")
        return self._make(request, kind, properties_of(request))

    def _patch(self, request: ArmRequest, kind: _Kind) -> Answer:
        known = self._found(request)["properties"]
        check_known(request.body, _FIELDS, "event subscriptions")
        given = {name: value for name, value in request.body.items() if name in _FIELDS and value is not None}
        kept = {name: known[name] for name in _FIELDS if known.get(name) is not None}
        return self._make(request, kind, kept | given)

    def _make(self, request: ArmRequest, kind: _Kind, given: Mapping[str, Any]) -> Answer:
        check_known(given, _FIELDS, "event subscriptions")
        source = self._source(request, kind)
        known = self._world.resources.get(request.path)
        kept = self._checked(given, source)
        kept |= {"topic": _topic_name(source), "provisioningState": "Updating" if known else "Creating"}
        made, _ = self._world.resources.put(request.path, kind.type, kept, request.caller)
        return self._provisioning.made(request, made, shown, work=lambda operation: self._begin(made, operation))

    def _begin(self, resource: Mapping[str, Any], operation: str) -> None:
        if destination_of(resource["properties"])["endpointType"] == "WebHook":
            self._handshakes.begin(str(resource["id"]), operation)
        else:
            self._provisioning.succeeded(str(resource["id"]), operation)

    def _checked(self, given: Mapping[str, Any], source: Mapping[str, Any]) -> dict[str, Any]:
        kept = {name: given.get(name) for name in _FIELDS}
        cloud_only = source["properties"].get("inputSchema") == CLOUD_EVENT_SCHEMA
        schema = kept["eventDeliverySchema"] or (CLOUD_EVENT_SCHEMA if cloud_only else EVENT_GRID_SCHEMA)
        if schema not in (CLOUD_EVENT_SCHEMA, EVENT_GRID_SCHEMA):
            raise Refused("UNIMPLEMENTED", f"the event delivery schema {schema} is not emulated")
        if cloud_only and schema != CLOUD_EVENT_SCHEMA:
            raise invalid(
                f"Event delivery schema {schema} is not supported for topics with input schema {CLOUD_EVENT_SCHEMA}."
            )
        self._check_destination(kept, schema)
        check_destination(dead_letter_of(kept))
        filter_ = {name: value for name, value in (kept["filter"] or {}).items() if value not in (None, False)}
        check_filter(filter_)
        if _tells_of_models(source):
            filter_.setdefault("includedEventTypes", list(ML_EVENTS))
        kept |= {
            "filter": {"subjectBeginsWith": "", "subjectEndsWith": "", **filter_},
            "eventDeliverySchema": schema,
            "retryPolicy": policy_of(kept["retryPolicy"]),
        }
        self._check_expiration(kept["expirationTimeUtc"])
        return {name: value for name, value in kept.items() if value is not None} | {"labels": kept["labels"]}

    def _check_destination(self, kept: Mapping[str, Any], schema: str) -> None:
        destination = destination_of(kept)
        kind, properties = destination.get("endpointType"), destination.get("properties") or {}
        if kind == "WebHook":
            check_webhook(str(properties.get("endpointUrl") or ""))
            if (properties.get("maxEventsPerBatch") or 1) > 1:
                raise Refused("UNIMPLEMENTED", "output batching (maxEventsPerBatch above 1) is not emulated")
        elif kind == "NamespaceTopic":
            if schema != CLOUD_EVENT_SCHEMA:
                raise invalid(
                    f"A destination of type NamespaceTopic requires the event delivery schema {CLOUD_EVENT_SCHEMA}."
                )
            if self._world.resources.get(str(properties.get("resourceId") or "")) is None:
                raise invalid(f"The namespace topic '{properties.get('resourceId')}' was not found.")
        elif kind is None:
            raise invalid("The destination of the event subscription must be given.")
        else:
            raise Refused(
                "UNIMPLEMENTED",
                f"event subscriptions to destinations of type {kind} are not emulated: deliver to a WebHook, or to a "
                "NamespaceTopic and pull from a subscription of that topic, which waits as a queue does",
            )

    def _check_expiration(self, until: str | None) -> None:
        if until is None:
            return
        try:
            future = datetime.fromisoformat(until) > self._world.surroundings.clock.now()
        except (TypeError, ValueError):
            future = False
        if not future:
            raise invalid("Invalid expiration time.")

    def _delete(self, request: ArmRequest) -> Answer:
        known = self._world.resources.get(request.path)
        if known is None:
            return Answer(status=204)

        def remove() -> None:
            self._world.resources.delete(request.path)
            self._deliveries.forget(request.path)
            self._handshakes.part(known)

        return self._provisioning.removed(request, remove)

    def _full_url(self, request: ArmRequest) -> Answer:
        properties = self._found(request)["properties"]
        return answer_json({"endpointUrl": (destination_of(properties).get("properties") or {}).get("endpointUrl")})

    def _attributes(self, request: ArmRequest) -> Answer:
        properties = destination_of(self._found(request)["properties"]).get("properties") or {}
        return answer_json({"value": properties.get("deliveryAttributeMappings") or []})

    def _found(self, request: ArmRequest) -> dict[str, Any]:
        path = re.sub(r"/get(FullUrl|DeliveryAttributes)$", "", request.path, flags=re.IGNORECASE)
        resource = found(self._world, request, f"{PROVIDER}/eventSubscriptions", path)
        if self._retired(resource):
            self._world.resources.delete(path)
            return found(self._world, request, f"{PROVIDER}/eventSubscriptions", path)
        return resource

    def _retired(self, resource: Mapping[str, Any]) -> bool:
        return has_retired(resource, self._world.surroundings.clock.now())

    def _source(self, request: ArmRequest, kind: _Kind) -> dict[str, Any]:
        path = request.path[: -len(f"{kind.collection}/{request.names['name']}")]
        names = [part for part in kind.source.split("/") if not part.startswith("{")]
        return found(self._world, request, "/".join(names[-2:]), path)


def shown(resource: Mapping[str, Any]) -> dict[str, Any]:
    """Return what Azure Resource Manager shows of a subscription: no secrets of a webhook's address or headers."""
    properties = dict(resource["properties"])
    if "destination" in properties:
        properties["destination"] = _without_secrets(properties["destination"])
    if with_identity := properties.get("deliveryWithResourceIdentity"):
        inner = _without_secrets(with_identity["destination"])
        properties["deliveryWithResourceIdentity"] = {**with_identity, "destination": inner}
    return {**resource, "properties": properties}


def _without_secrets(destination: Mapping[str, Any]) -> dict[str, Any]:
    if destination.get("endpointType") != "WebHook":
        return dict(destination)
    properties = dict(destination["properties"])
    base = str(properties["endpointUrl"]).partition("?")[0]
    properties |= {"endpointUrl": None, "endpointBaseUrl": base}
    properties["maxEventsPerBatch"] = properties.get("maxEventsPerBatch") or 1
    properties["preferredBatchSizeInKilobytes"] = properties.get("preferredBatchSizeInKilobytes") or 64
    if mappings := properties.get("deliveryAttributeMappings"):
        properties["deliveryAttributeMappings"] = [_hidden(one) for one in mappings]
    return {**destination, "properties": properties}


def _hidden(mapping: Mapping[str, Any]) -> dict[str, Any]:
    content = mapping.get("properties") or {}
    return {**mapping, "properties": {**content, "value": None}} if content.get("isSecret") else dict(mapping)


def _topic_name(source: Mapping[str, Any]) -> str:
    """Return the id of what tells of events, as subscriptions name it: provider, type and name in lower case."""
    of = str(source["properties"].get("source") or source["id"])
    group, provider, rest = of.partition("/providers/")
    return f"{group}{provider}{rest.lower()}"


def _tells_of_models(source: Mapping[str, Any]) -> bool:
    return f"/providers/{ML.lower()}/" in str(source["properties"].get("source") or source["id"]).lower()
