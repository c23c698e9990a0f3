"""Topics and subscriptions, and what becomes of a published message."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.core.service import Surroundings
from cloudmlops.emulators.google.logs import timestamp
from cloudmlops.emulators.google.pubsub.messages import RETENTION_SECONDS, Backlog
from cloudmlops.emulators.google.pubsub.names import changed, not_found, seconds
from cloudmlops.emulators.google.pushing import Push, Pusher, check_target

DELETED_TOPIC: Final = "_deleted-topic_"
_TOPIC_FIELDS: Final = frozenset({"name", "labels", "messageStoragePolicy", "kmsKeyName", "messageRetentionDuration"})
_SUBSCRIPTION_FIELDS: Final = frozenset(
    {
        "name",
        "topic",
        "pushConfig",
        "ackDeadlineSeconds",
        "retainAckedMessages",
        "messageRetentionDuration",
        "labels",
        "expirationPolicy",
        "retryPolicy",
    }
)
_MOST_MESSAGES: Final = 1000
_MOST_BYTES: Final = 10_000_000
_LEAST_DEADLINE, _MOST_DEADLINE = 10, 600


class Topics:
    """All topics and subscriptions."""

    def __init__(self, surroundings: Surroundings, pusher: Pusher) -> None:
        self._clock = surroundings.clock
        self._state = surroundings.state
        self._topics = surroundings.state.table("pubsub_topics")
        self._subscriptions = surroundings.state.table("pubsub_subscriptions")
        self._pusher = pusher
        self.backlog = Backlog(surroundings.state, surroundings.clock)

    def create_topic(self, name: str, sent: Mapping[str, Any]) -> dict[str, Any]:
        """Make a topic.

        Raises:
            Refused: There is one, or a field is not emulated.
        """
        _check_fields("topic", sent, _TOPIC_FIELDS)
        topic = {**sent, "name": name}
        if not self._topics.create(name, json.dumps(topic).encode()):
            raise Refused(
                "ALREADY_EXISTS", f"Resource already exists in the project (resource={name.rpartition('/')[2]})."
            )
        return topic

    def topic(self, name: str) -> dict[str, Any]:
        """Return a topic.

        Raises:
            Refused: There is none.
        """
        return _of(self._topics.get(name), name)

    def topics(self, project: str) -> list[dict[str, Any]]:
        """Return a project's topics, by name."""
        return [json.loads(data) for _, data in self._topics.items(f"projects/{project}/topics/")]

    def update_topic(self, name: str, sent: dict[str, Any], mask: str) -> dict[str, Any]:
        """Change a topic."""
        with self._state.transaction():
            topic = changed(self.topic(name), sent, mask, may_change=_TOPIC_FIELDS - {"name", "kmsKeyName"})
            self._topics.put(name, json.dumps(topic).encode())
        return topic

    def delete_topic(self, name: str) -> None:
        """Remove a topic; its subscriptions stay, and get no more messages."""
        with self._state.transaction():
            self.topic(name)
            self._topics.delete(name)
            for subscription in self.subscriptions_of(name):
                self._keep({**subscription, "topic": DELETED_TOPIC})

    def subscriptions_of(self, topic: str) -> list[dict[str, Any]]:
        """Return the subscriptions to a topic, by name."""
        found = (json.loads(data) for _, data in self._subscriptions.items())
        return [subscription for subscription in found if subscription["topic"] == topic]

    def create_subscription(self, name: str, sent: Mapping[str, Any]) -> dict[str, Any]:
        """Make a subscription to a topic that exists.

        Raises:
            Refused: There is one, there is no topic, or a field is not emulated or not valid.
        """
        _check_fields("subscription", sent, _SUBSCRIPTION_FIELDS)
        made = {
            "ackDeadlineSeconds": _LEAST_DEADLINE,
            "messageRetentionDuration": f"{RETENTION_SECONDS:g}s",
            "expirationPolicy": {"ttl": "2678400s"},
            "pushConfig": {},
            **sent,
            "name": name,
            "state": "ACTIVE",
        }
        made["ackDeadlineSeconds"] = made["ackDeadlineSeconds"] or _LEAST_DEADLINE
        _check_settings(made)
        with self._state.transaction():
            self.topic(str(made.get("topic", "")))
            if not self._subscriptions.create(name, json.dumps(made).encode()):
                raise Refused(
                    "ALREADY_EXISTS", f"Resource already exists in the project (resource={name.rpartition('/')[2]})."
                )
        return made

    def subscription(self, name: str) -> dict[str, Any]:
        """Return a subscription.

        Raises:
            Refused: There is none.
        """
        return _of(self._subscriptions.get(name), name)

    def subscriptions(self, project: str) -> list[dict[str, Any]]:
        """Return a project's subscriptions, by name."""
        return [json.loads(data) for _, data in self._subscriptions.items(f"projects/{project}/subscriptions/")]

    def update_subscription(self, name: str, sent: dict[str, Any], mask: str) -> dict[str, Any]:
        """Change a subscription; what waits goes the new way."""
        with self._state.transaction():
            known = self.subscription(name)
            made = changed(known, sent, mask, may_change=_SUBSCRIPTION_FIELDS - {"name", "topic"})
            made = {"pushConfig": {}, "ackDeadlineSeconds": _LEAST_DEADLINE, **made}
            _check_settings(made)
            self._keep(made)
            waiting = [
                *self.backlog.take_all(name),
                *(json.loads(push.content) for push in self._pusher.take_back(name)),
            ]
            for message in waiting:
                self._deliver(made, message)
        return made

    def delete_subscription(self, name: str) -> None:
        """Remove a subscription with what waits in it."""
        with self._state.transaction():
            self.subscription(name)
            self._subscriptions.delete(name)
            self.backlog.take_all(name)
            self._pusher.take_back(name)

    def publish(self, topic: str, messages: Sequence[Mapping[str, Any]]) -> list[str]:
        """Hand messages to all subscriptions of a topic; returns their ids.

        Raises:
            Refused: There is no such topic, or a message is not valid.
        """
        _check_messages(messages)
        with self._state.transaction():
            self.topic(topic)
            subscriptions = self.subscriptions_of(topic)
            published = []
            for message in messages:
                stamped = {
                    **message,
                    "messageId": self.backlog.next_id(),
                    "publishTime": timestamp(self._clock.now()),
                }
                for subscription in subscriptions:
                    self._deliver(subscription, stamped)
                published.append(str(stamped["messageId"]))
        return published

    def _deliver(self, subscription: Mapping[str, Any], message: Mapping[str, Any]) -> None:
        config = subscription["pushConfig"]
        if not config.get("pushEndpoint"):
            self.backlog.add(subscription["name"], message)
            return
        token = config.get("oidcToken") or {}
        policy = subscription.get("retryPolicy") or {}
        # Both spellings are in what Pub/Sub sends.
        both = {**message, "message_id": message["messageId"], "publish_time": message["publishTime"]}
        wrapped = json.dumps({"message": both, "subscription": subscription["name"]})
        self._pusher.send(
            Push(
                tag=subscription["name"],
                url=config["pushEndpoint"],
                headers={"content-type": "application/json"},
                body=wrapped,
                since=self._clock.now().isoformat(),
                account=token.get("serviceAccountEmail", ""),
                audience=token.get("audience", ""),
                content=json.dumps(message),
                # Without a policy Pub/Sub sends again at once, slowing down to a minute.
                least_wait_seconds=_policy_seconds(policy, "minimumBackoff", 10.0 if policy else 0.1),
                most_wait_seconds=_policy_seconds(policy, "maximumBackoff", 600.0 if policy else 60.0),
                kept_seconds=seconds(subscription["messageRetentionDuration"], fault="messageRetentionDuration"),
            )
        )

    def _keep(self, subscription: Mapping[str, Any]) -> None:
        self._subscriptions.put(subscription["name"], json.dumps(subscription).encode())


def _of(data: bytes | None, name: str) -> dict[str, Any]:
    if data is None:
        raise not_found(name)
    found: dict[str, Any] = json.loads(data)
    return found


def _check_fields(kind: str, sent: Mapping[str, Any], emulated: frozenset[str]) -> None:
    wanted = {name for name, value in sent.items() if value not in (None, False, "", {}, [])}
    if unknown := sorted(wanted - emulated):
        raise Refused("UNIMPLEMENTED", f"{', '.join(unknown)} of a {kind} is not emulated.")


def _check_settings(subscription: Mapping[str, Any]) -> None:
    if not _LEAST_DEADLINE <= int(subscription["ackDeadlineSeconds"]) <= _MOST_DEADLINE:
        raise Refused(
            "INVALID_ARGUMENT", f"Invalid ack deadline given (deadline={subscription['ackDeadlineSeconds']})."
        )
    if endpoint := subscription["pushConfig"].get("pushEndpoint"):
        check_target(endpoint)
    kept = seconds(subscription["messageRetentionDuration"], fault="messageRetentionDuration")
    if not 600 <= kept <= 2_678_400:
        raise Refused("INVALID_ARGUMENT", f"Invalid messageRetentionDuration given: {kept:g}s.")


def _policy_seconds(policy: Mapping[str, Any], name: str, otherwise: float) -> float:
    return seconds(policy[name], fault=name) if name in policy else otherwise


def _check_messages(messages: Sequence[Mapping[str, Any]]) -> None:
    if not messages:
        raise Refused(
            "INVALID_ARGUMENT",
            "The value for message_count is too small. You passed 0 in the request, but the minimum value is 1.",
        )
    if len(messages) > _MOST_MESSAGES:
        raise Refused(
            "INVALID_ARGUMENT",
            f"The value for message_count is too large. "
            f"You passed {len(messages)} in the request, but the maximum value is {_MOST_MESSAGES}.",
        )
    for message in messages:
        try:
            size = len(base64.b64decode(message.get("data", ""), validate=True))
        except ValueError as error:
            raise Refused("INVALID_ARGUMENT", f"Invalid value at 'messages.data' (TYPE_BYTES): {error}") from error
        if not size and not message.get("attributes"):
            raise Refused(
                "INVALID_ARGUMENT",
                "One or more messages in the publish request is empty. "
                "Each message must contain either non-empty data, or at least one attribute.",
            )
        if size > _MOST_BYTES:
            raise Refused("INVALID_ARGUMENT", f"Request payload size exceeds the limit: {_MOST_BYTES} bytes.")
