"""Pub/Sub v1 over REST."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from cloudmlops.emulators.core.answering import Answer, Asked, answer_json, app
from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.core.service import Service, Surroundings
from cloudmlops.emulators.google.access import Access
from cloudmlops.emulators.google.aiplatform.names import Projects
from cloudmlops.emulators.google.audit import Audit
from cloudmlops.emulators.google.payloads import Many, Named, Type, typed, whole
from cloudmlops.emulators.google.pubsub.names import checked_name
from cloudmlops.emulators.google.pubsub.topics import Topics
from cloudmlops.emulators.google.pushing import Pusher
from cloudmlops.emulators.google.tokens import Tokens
from cloudmlops.emulators.google.wire import Route, finder, json_object, recorded_json, refusal

_DOMAIN: Final = "pubsub.googleapis.com"
_TOPIC: Final = "/v1/projects/{project}/topics/{topic}"
_SUBSCRIPTION: Final = "/v1/projects/{project}/subscriptions/{subscription}"
_MOST_LISTED: Final = 1000
_TOPIC_TYPES: Final[Mapping[str, Type]] = {
    "kmsKeyName": "text",
    "labels": Named("text"),
    "messageRetentionDuration": "text",
    "messageStoragePolicy": {"allowedPersistenceRegions": Many("text")},
    "name": "text",
}
_SUBSCRIPTION_TYPES: Final[Mapping[str, Type]] = {
    "ackDeadlineSeconds": "whole",
    "expirationPolicy": {"ttl": "text"},
    "labels": Named("text"),
    "messageRetentionDuration": "text",
    "name": "text",
    "pushConfig": {
        "attributes": Named("text"),
        "oidcToken": {"audience": "text", "serviceAccountEmail": "text"},
        "pushEndpoint": "text",
    },
    "retainAckedMessages": "flag",
    "retryPolicy": {"maximumBackoff": "text", "minimumBackoff": "text"},
    "topic": "text",
}
_ASKED_TYPES: Final[Mapping[str, Type]] = {
    "ackDeadlineSeconds": "whole",
    "ackIds": Many("text"),
    "maxMessages": "whole",
    "messages": Many({"attributes": Named("text"), "data": "bytes", "orderingKey": "text"}),
    "permissions": Many("text"),
}


def pubsub_service(
    surroundings: Surroundings, *, tokens: Tokens, access: Access, audit: Audit, pusher: Pusher
) -> Service:
    """Serve topics and subscriptions."""
    projects = Projects(surroundings.state)
    wire = _Wire(Topics(surroundings, pusher), tokens, access, audit, projects)
    routes = (
        Route("PUT", _TOPIC, "topics.create", wire.create_topic),
        Route("GET", _TOPIC, "topics.get", wire.get_topic),
        Route("PATCH", _TOPIC, "topics.patch", wire.update_topic),
        Route("DELETE", _TOPIC, "topics.delete", wire.delete_topic),
        Route("POST", f"{_TOPIC}:publish", "topics.publish", wire.publish),
        Route("POST", f"{_TOPIC}:testIamPermissions", "topics.testIamPermissions", wire.test_permissions),
        Route("GET", f"{_TOPIC}/subscriptions", "topics.subscriptions.list", wire.list_subscriptions_of),
        Route("GET", "/v1/projects/{project}/topics", "topics.list", wire.list_topics),
        Route("PUT", _SUBSCRIPTION, "subscriptions.create", wire.create_subscription),
        Route("GET", _SUBSCRIPTION, "subscriptions.get", wire.get_subscription),
        Route("PATCH", _SUBSCRIPTION, "subscriptions.patch", wire.update_subscription),
        Route("DELETE", _SUBSCRIPTION, "subscriptions.delete", wire.delete_subscription),
        Route("GET", "/v1/projects/{project}/subscriptions", "subscriptions.list", wire.list_subscriptions),
        Route("POST", f"{_SUBSCRIPTION}:pull", "subscriptions.pull", wire.pull),
        Route("POST", f"{_SUBSCRIPTION}:acknowledge", "subscriptions.acknowledge", wire.acknowledge),
        Route("POST", f"{_SUBSCRIPTION}:modifyAckDeadline", "subscriptions.modifyAckDeadline", wire.extend),
        Route("POST", f"{_SUBSCRIPTION}:modifyPushConfig", "subscriptions.modifyPushConfig", wire.modify_push),
        Route(
            "POST",
            f"{_SUBSCRIPTION}:testIamPermissions",
            "subscriptions.testIamPermissions",
            wire.test_subscription_permissions,
        ),
    )
    by_id = tuple(replace(route, act=_with_id(route.act, projects)) for route in routes)
    return Service(
        name="pubsub",
        hosts=(_DOMAIN, "*-pubsub.googleapis.com"),
        paths=("/v1/projects/*/topics", "/v1/projects/*/subscriptions"),
        http=app(surroundings, "pubsub", find=finder(by_id), refusal=refusal(_DOMAIN), recorded=recorded_json),
    )


class _Wire:
    def __init__(self, topics: Topics, tokens: Tokens, access: Access, audit: Audit, projects: Projects) -> None:
        self._projects = projects
        self._topics = topics
        self._tokens = tokens
        self._access = access
        self._audit = audit

    def create_topic(self, asked: Asked, *, project: str, topic: str) -> Answer:
        name = checked_name("topics", project, topic)
        sent = typed(json_object(asked), _TOPIC_TYPES)
        return self._audited(
            asked,
            "pubsub.topics.create",
            "google.pubsub.v1.Publisher.CreateTopic",
            name,
            sent,
            lambda: self._topics.create_topic(name, sent),
        )

    def get_topic(self, asked: Asked, *, project: str, topic: str) -> Answer:
        name = f"projects/{project}/topics/{topic}"
        self._allow(asked, "pubsub.topics.get", name)
        return answer_json(self._topics.topic(name))

    def update_topic(self, asked: Asked, *, project: str, topic: str) -> Answer:
        name = f"projects/{project}/topics/{topic}"
        sent, mask = _update(asked, "topic", _TOPIC_TYPES)
        return self._audited(
            asked,
            "pubsub.topics.update",
            "google.pubsub.v1.Publisher.UpdateTopic",
            name,
            sent,
            lambda: self._topics.update_topic(name, sent, mask),
        )

    def delete_topic(self, asked: Asked, *, project: str, topic: str) -> Answer:
        name = f"projects/{project}/topics/{topic}"
        return self._audited(
            asked,
            "pubsub.topics.delete",
            "google.pubsub.v1.Publisher.DeleteTopic",
            name,
            {"topic": name},
            lambda: self._topics.delete_topic(name),
        )

    def list_topics(self, asked: Asked, *, project: str) -> Answer:
        self._allow(asked, "pubsub.topics.list", f"projects/{project}")
        return _page(asked, "topics", self._topics.topics(project), lambda topic: str(topic["name"]))

    def list_subscriptions_of(self, asked: Asked, *, project: str, topic: str) -> Answer:
        name = f"projects/{project}/topics/{topic}"
        self._allow(asked, "pubsub.topics.get", name)
        self._topics.topic(name)
        names = [found["name"] for found in self._topics.subscriptions_of(name)]
        return _page(asked, "subscriptions", names, str)

    def test_permissions(self, asked: Asked, *, project: str, topic: str) -> Answer:
        return self._tested(asked, f"projects/{project}/topics/{topic}")

    def test_subscription_permissions(self, asked: Asked, *, project: str, subscription: str) -> Answer:
        return self._tested(asked, f"projects/{project}/subscriptions/{subscription}")

    def publish(self, asked: Asked, *, project: str, topic: str) -> Answer:
        name = f"projects/{project}/topics/{topic}"
        self._allow(asked, "pubsub.topics.publish", name)
        content = typed(json_object(asked), _ASKED_TYPES)
        return answer_json({"messageIds": self._topics.publish(name, content.get("messages", []))})

    def create_subscription(self, asked: Asked, *, project: str, subscription: str) -> Answer:
        name = checked_name("subscriptions", project, subscription)
        sent = typed(json_object(asked), _SUBSCRIPTION_TYPES)
        sent["topic"] = self._projects.by_id(sent.get("topic", ""))
        self._allow(asked, "pubsub.topics.attachSubscription", sent["topic"])
        return self._audited(
            asked,
            "pubsub.subscriptions.create",
            "google.pubsub.v1.Subscriber.CreateSubscription",
            name,
            sent,
            lambda: self._topics.create_subscription(name, sent),
        )

    def get_subscription(self, asked: Asked, *, project: str, subscription: str) -> Answer:
        name = f"projects/{project}/subscriptions/{subscription}"
        self._allow(asked, "pubsub.subscriptions.get", name)
        return answer_json(self._topics.subscription(name))

    def update_subscription(self, asked: Asked, *, project: str, subscription: str) -> Answer:
        name = f"projects/{project}/subscriptions/{subscription}"
        sent, mask = _update(asked, "subscription", _SUBSCRIPTION_TYPES)
        return self._audited(
            asked,
            "pubsub.subscriptions.update",
            "google.pubsub.v1.Subscriber.UpdateSubscription",
            name,
            sent,
            lambda: self._topics.update_subscription(name, sent, mask),
        )

    def modify_push(self, asked: Asked, *, project: str, subscription: str) -> Answer:
        name = f"projects/{project}/subscriptions/{subscription}"
        sent = {"pushConfig": typed(json_object(asked), _SUBSCRIPTION_TYPES).get("pushConfig", {})}

        def modify() -> None:
            self._topics.update_subscription(name, sent, "pushConfig")

        return self._audited(
            asked,
            "pubsub.subscriptions.update",
            "google.pubsub.v1.Subscriber.ModifyPushConfig",
            name,
            sent,
            modify,
        )

    def delete_subscription(self, asked: Asked, *, project: str, subscription: str) -> Answer:
        name = f"projects/{project}/subscriptions/{subscription}"
        return self._audited(
            asked,
            "pubsub.subscriptions.delete",
            "google.pubsub.v1.Subscriber.DeleteSubscription",
            name,
            {"subscription": name},
            lambda: self._topics.delete_subscription(name),
        )

    def list_subscriptions(self, asked: Asked, *, project: str) -> Answer:
        self._allow(asked, "pubsub.subscriptions.list", f"projects/{project}")
        return _page(asked, "subscriptions", self._topics.subscriptions(project), lambda found: str(found["name"]))

    def pull(self, asked: Asked, *, project: str, subscription: str) -> Answer:
        known = self._consumed(asked, project, subscription)
        most = typed(json_object(asked), _ASKED_TYPES).get("maxMessages", 0)
        if most <= 0:
            raise Refused("INVALID_ARGUMENT", "maxMessages must be greater than 0.")
        taken = self._topics.backlog.take(known, min(most, _MOST_LISTED))
        return answer_json({"receivedMessages": taken} if taken else {})

    def acknowledge(self, asked: Asked, *, project: str, subscription: str) -> Answer:
        known = self._consumed(asked, project, subscription)
        content = typed(json_object(asked), _ASKED_TYPES)
        self._topics.backlog.acknowledge(known["name"], content.get("ackIds", []))
        return answer_json({})

    def extend(self, asked: Asked, *, project: str, subscription: str) -> Answer:
        known = self._consumed(asked, project, subscription)
        content = typed(json_object(asked), _ASKED_TYPES)
        seconds = content.get("ackDeadlineSeconds", 0)
        if not 0 <= seconds <= 600:
            raise Refused("INVALID_ARGUMENT", f"Invalid ack deadline given (deadline={seconds}).")
        self._topics.backlog.extend(known["name"], content.get("ackIds", []), seconds)
        return answer_json({})

    def _consumed(self, asked: Asked, project: str, subscription: str) -> dict[str, Any]:
        name = f"projects/{project}/subscriptions/{subscription}"
        self._allow(asked, "pubsub.subscriptions.consume", name)
        known = self._topics.subscription(name)
        if known["pushConfig"].get("pushEndpoint"):
            raise Refused("FAILED_PRECONDITION", "This method is not supported for this subscription type.")
        return known

    def _tested(self, asked: Asked, resource: str) -> Answer:
        principal = self._tokens.principal(asked.headers.get("authorization"))
        wanted = typed(json_object(asked), _ASKED_TYPES).get("permissions", [])
        return answer_json({"permissions": self._access.tested(principal, wanted, resource)})

    def _allow(self, asked: Asked, permission: str, resource: str) -> str:
        principal = self._tokens.principal(asked.headers.get("authorization"))
        self._access.check(
            principal, permission, resource, message=f"User not authorized to perform this action: {permission}"
        )
        return principal

    def _audited(
        self,
        asked: Asked,
        permission: str,
        method: str,
        name: str,
        sent: Mapping[str, Any],
        act: Callable[[], Mapping[str, Any] | None],
    ) -> Answer:
        told: dict[str, Any] = {
            "service_name": _DOMAIN,
            "method_name": method,
            "resource_name": name,
            "request": sent,
            "principal": self._tokens.principal(asked.headers.get("authorization")),
            "permission": permission,
            "resource_type": "pubsub_topic" if "/topics/" in name else "pubsub_subscription",
        }
        with self._audit.trying(**told):
            self._allow(asked, permission, name)
            response = act() or {}
        self._audit.mutated(response=response, **told)
        return answer_json(response)


def _with_id(act: Callable[..., Answer], projects: Projects) -> Callable[..., Answer]:
    """Let a method be asked for by the project's number too: what is kept is named by its id."""

    def by_id(asked: Asked, *, project: str, **parts: str) -> Answer:
        return act(asked, project=projects.id(project), **parts)

    return by_id


def _update(asked: Asked, kind: str, fields: Mapping[str, Type]) -> tuple[dict[str, Any], str]:
    content = typed(json_object(asked), {kind: fields, "updateMask": "text"})
    return dict(content.get(kind, {})), content.get("updateMask", "")


def _page(asked: Asked, field: str, found: list[Any], name: Callable[[Any], str]) -> Answer:
    size = whole(asked.query.get("pageSize"), "page_size", default=100, most=_MOST_LISTED)
    rest = [item for item in found if name(item) > asked.query.get("pageToken", "")]
    page: dict[str, Any] = {field: rest[:size]} if rest else {}
    if len(rest) > size:
        page["nextPageToken"] = name(rest[size - 1])
    return answer_json(page)
