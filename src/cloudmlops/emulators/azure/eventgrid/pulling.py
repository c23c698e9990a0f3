"""The data plane of namespaces, api-version 2024-06-01: publish, receive, acknowledge, release, reject, renewLock.

Statuses, error codes and their words are those of recorded traffic (azure-sdk-assets, `azure-eventgrid`; the tests of
azure-sdk-for-go, which hold a lost token to `TokenLost`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final
from uuid import uuid4

from cloudmlops.emulators.azure.arm.world import World
from cloudmlops.emulators.azure.eventgrid.admission import RECEIVE, SEND, Admission
from cloudmlops.emulators.azure.eventgrid.events import LARGEST_EVENT, TooLarge, check_sizes, cloud_events
from cloudmlops.emulators.azure.eventgrid.queues import Queues
from cloudmlops.emulators.core.answering import Answer, Asked, Operation, answer_json
from cloudmlops.emulators.core.faults import HTTP_STATUS, Refused

_PUBLISH: Final = re.compile(r"/topics/([^/:]+):publish")
_SETTLE: Final = re.compile(r"/topics/([^/:]+)/eventsubscriptions/([^/:]+):(\w+)", re.IGNORECASE)
_REQUIRED: Final = ("id", "source", "specversion", "type")
_DELAYS: Final = ("0", "10", "60", "600", "3600")
_CODES: Final = {
    "INVALID_ARGUMENT": "BadRequest",
    "FAILED_PRECONDITION": "BadRequest",
    "NOT_FOUND": "NotFound",
    "UNAUTHENTICATED": "Unauthorized",
    "PERMISSION_DENIED": "Forbidden",
    "RESOURCE_EXHAUSTED": "TooManyRequests",
    "UNAVAILABLE": "ServiceUnavailable",
    "UNIMPLEMENTED": "NotImplemented",
}


class Pulling:
    """Answers publishers and consumers of namespaces."""

    def __init__(self, world: World, admission: Admission, queues: Queues) -> None:
        self._world = world
        self._admission = admission
        self._queues = queues
        self._settling: Final = {
            "receive": self._receive,
            "acknowledge": self._acknowledge,
            "release": self._release,
            "reject": self._reject,
            "renewlock": self._renew,
        }

    def find(self, method: str, path: str, namespace: str) -> tuple[str, Operation]:
        """Return name and function of an operation.

        Raises:
            Refused: There is no such operation.
        """
        if method == "POST" and (found := _PUBLISH.fullmatch(path)):
            topic = f"{namespace}/topics/{found.group(1)}"
            return "namespaces.publish", lambda asked: self._publish(asked, namespace, topic)
        if method == "POST" and (found := _SETTLE.fullmatch(path)) and found.group(3).lower() in self._settling:
            topic, name, verb = found.groups()
            act = self._settling[verb.lower()]
            subscription = f"{namespace}/topics/{topic}/eventSubscriptions/{name}"
            return f"namespaces.{verb}", lambda asked: act(asked, self._admitted(asked, namespace, subscription))
        raise Refused("UNIMPLEMENTED", f"{method} {path} is not emulated")

    def refusal(self, refused: Refused) -> Answer:
        """Return an error as namespaces write it."""
        status = 413 if isinstance(refused, TooLarge) else HTTP_STATUS.get(refused.code, 500)
        code = refused.reason or _CODES.get(refused.code, "InternalServerError")
        error = {
            "code": code,
            "message": refused.message,
            "timestamp_utc": self._world.surroundings.clock.now().isoformat(),
            "tracking_id": str(uuid4()).upper(),
        }
        headers = {"broker-errorcode": code}
        if refused.retry_after_seconds is not None:
            headers["retry-after"] = str(max(1, round(refused.retry_after_seconds)))
        return answer_json({"error": error}, status=status, headers=headers)

    def _publish(self, asked: Asked, namespace: str, topic: str) -> Answer:
        self._admission.to_namespace(asked, namespace, topic, SEND)
        self._topic(topic)
        check_sizes(asked.body)
        events = cloud_events(asked, name="CloudEventV10")
        for event in events:
            _check(event)
        for event in events:
            self._queues.publish(topic, event)
        return answer_json({})

    def _receive(self, asked: Asked, subscription: Mapping[str, Any]) -> Answer:
        most = _number(asked, "maxEvents", default=1, least=1, most=100)
        patience = _number(asked, "maxWaitTime", default=60, least=10, most=120)
        found = self._queues.receive(subscription, most=most, patience=timedelta(seconds=patience))
        return answer_json({"value": found})

    def _acknowledge(self, asked: Asked, subscription: Mapping[str, Any]) -> Answer:
        return answer_json(self._queues.acknowledge(subscription, _tokens(asked)))

    def _release(self, asked: Asked, subscription: Mapping[str, Any]) -> Answer:
        delay = asked.query.get("releaseDelayInSeconds", "0")
        if delay not in _DELAYS:
            raise _invalid_argument("releaseDelayInSeconds")
        return answer_json(self._queues.release(subscription, _tokens(asked), timedelta(seconds=int(delay))))

    def _reject(self, asked: Asked, subscription: Mapping[str, Any]) -> Answer:
        return answer_json(self._queues.reject(subscription, _tokens(asked)))

    def _renew(self, asked: Asked, subscription: Mapping[str, Any]) -> Answer:
        return answer_json(self._queues.renew(subscription, _tokens(asked)))

    def _admitted(self, asked: Asked, namespace: str, subscription: str) -> dict[str, Any]:
        self._admission.to_namespace(asked, namespace, subscription, RECEIVE)
        self._topic(subscription.partition("/eventSubscriptions/")[0])
        found = self._world.resources.get(subscription)
        if found is None:
            name = subscription.rpartition("/")[2]
            raise Refused("NOT_FOUND", f"Event subscription '{name}' is not found", reason="NotFound")
        return found

    def _topic(self, topic: str) -> None:
        if self._world.resources.get(topic) is None:
            raise Refused("NOT_FOUND", f"Topic '{topic.rpartition('/')[2]}' is not found", reason="NotFound")


def _check(event: Mapping[str, Any]) -> None:
    for attribute in _REQUIRED:
        if not event.get(attribute):
            raise Refused("INVALID_ARGUMENT", f"`{attribute}` attribute is required", reason="BadRequest")
    if event["specversion"] != "1.0":
        raise Refused("INVALID_ARGUMENT", "`specversion` attribute must be 1.0", reason="BadRequest")
    if len(json.dumps(event).encode()) > LARGEST_EVENT:
        raise TooLarge(LARGEST_EVENT)


def _number(asked: Asked, name: str, *, default: int, least: int, most: int) -> int:
    given = asked.query.get(name)
    if given is None:
        return default
    if not given.isdigit():
        raise Refused(
            "INVALID_ARGUMENT", "Error parsing query parameters: invalid digit found in string", reason="BadRequest"
        )
    if not least <= int(given) <= most:
        raise _invalid_argument(name)
    return int(given)


def _invalid_argument(name: str) -> Refused:
    return Refused("INVALID_ARGUMENT", f"Invalid {name} parameter", reason="ArgumentInvalid")


def _tokens(asked: Asked) -> list[str]:
    try:
        content = json.loads(asked.body or b"{}")
    except ValueError as error:
        message = f"Error parsing the request body: {error}"
        raise Refused("INVALID_ARGUMENT", message, reason="BadRequest") from error
    tokens = content.get("lockTokens") if isinstance(content, dict) else None
    if not isinstance(tokens, list) or not tokens or not all(isinstance(one, str) for one in tokens):
        raise Refused("INVALID_ARGUMENT", "`lockTokens` is required", reason="BadRequest")
    return tokens
