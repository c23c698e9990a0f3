"""Events as Pub/Sub and Eventarc carry them, and what Google's audit log says about models and deployments.

Vertex AI has no events of its own: what others do is read from its audit log. A long-running call has two entries, of
which the last one, or the one whose response names what was made, counts.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from cloudmlops.domain.events import Envelope, ModelDeployed, ModelRegistered
from cloudmlops.errors import InvalidRequestError
from cloudmlops.providers.payloads import extensions_of, loaded, moment, part_of, text_of, value_of

AUDITED: Final = "google.cloud.audit.log.v1.written"
PUBLISHED: Final = "google.cloud.pubsub.topic.v1.messagePublished"
REPORTED: Final = frozenset({ModelRegistered.kind, ModelDeployed.kind})
"""Kinds that the audit log tells, whoever caused them."""
_SERVICE: Final = "aiplatform.googleapis.com"
_METHOD: Final = re.compile(r"google\.cloud\.aiplatform\.(?:\w+\.)+(\w+Service\.\w+)")
"""`v1`, `v1beta1` or, for the console, `ui` is in the middle."""
_MODEL: Final = re.compile(r"projects/([^/]+)/locations/([^/]+)/models/([^/@]+)(?:@([^/]+))?")
_ENDPOINT: Final = re.compile(r"projects/([^/]+)/locations/([^/]+)/endpoints/([^/]+)")
_LOG: Final = re.compile(r"projects/([^/]+)/logs/cloudaudit\.googleapis\.com(?:%2F|/)(\w+)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where something happened."""

    projects: frozenset[str]
    """What the project is called in the entry: its id, its number, or both."""
    location: str

    def is_in(self, project: str, location: str) -> bool:
        """Say whether it happened in a project and location."""
        return project in self.projects and location == self.location


@dataclass(frozen=True, kw_only=True, slots=True)
class Uploaded:
    """A model version was made."""

    place: Place
    model: str
    number: str
    """Vertex AI's own number of the version."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """As they were asked for; empty when the entry does not tell."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Deployed:
    """A model version answers at an endpoint."""

    place: Place
    endpoint: str
    deployed_model: str
    """Its id on the endpoint."""
    name: str
    """Its display name, or its id."""
    model: str
    number: str


def full_name(project: str, kind: str, name: str) -> str:
    """Return the full name of a topic or subscription; one that is full already stays."""
    return name if "/" in name else f"projects/{project}/{kind}/{name}"


def message(event: Envelope) -> dict[str, Any]:
    """Return the Pub/Sub message of an event: a CloudEvent in structured mode.

    An attribute holds at most 1024 bytes, so the event is in the data; its type is also an attribute, for filters.
    """
    written = {
        **event.extensions,
        "specversion": "1.0",
        "id": event.id,
        "source": event.source,
        "type": event.type,
        "time": event.time.astimezone(UTC).isoformat(),
        "datacontenttype": "application/json",
        "data": dict(event.data),
        **({"subject": event.subject} if event.subject else {}),
    }
    return {
        "data": base64.b64encode(json.dumps(written).encode()).decode(),
        "attributes": {"content-type": "application/cloudevents+json; charset=utf-8", "type": event.type},
    }


def pushed(body: bytes) -> Envelope | None:
    """Read the body of a Pub/Sub push, wrapped or not; None when it holds no message, log entry or event of ours.

    Raises:
        InvalidRequestError: It is a push, and its message is malformed.
    """
    content = loaded(body)
    if not isinstance(content, Mapping):
        return None
    if isinstance(content.get("message"), Mapping) and isinstance(content.get("subscription"), str):
        return delivered(content["message"], content["subscription"])
    return _entry(content) or _unwrapped(content)


def delivered(sent: Mapping[str, Any], subscription: str) -> Envelope:
    """Read a Pub/Sub message: a CloudEvent in either mode, a log entry, or anything else, which is kept as it came.

    Args:
        sent: As Pub/Sub's REST interface has it, its data in base64.
        subscription: Full name of the subscription.

    Raises:
        InvalidRequestError: It is no message.
    """
    attributes = part_of(sent, "attributes")
    try:
        identity = str(sent.get("messageId") or sent["message_id"])
        at = moment(sent.get("publishTime") or sent["publish_time"])
        data = base64.b64decode(sent.get("data") or "", validate=True)
    except (KeyError, TypeError, ValueError, binascii.Error) as error:
        raise InvalidRequestError(
            f"the message of {subscription} is malformed: {type(error).__name__}: {error}",
            hint="Pub/Sub sends messageId, publishTime, and data in base64.",
        ) from error
    content = loaded(data)
    media = str(attributes.get("content-type", ""))
    return (
        (_structured(content, at) if media.startswith("application/cloudevents") else None)
        or _binary(attributes, content, at)
        or (_entry(content) if isinstance(content, Mapping) else None)
        or Envelope(
            id=identity,
            source=f"//pubsub.googleapis.com/{subscription}",
            type=PUBLISHED,
            time=at,
            data={"message": dict(sent), "subscription": subscription},
        )
    )


def audited(entry: Mapping[str, object]) -> Uploaded | Deployed | None:
    """Read an entry of the audit log; None when it tells of nothing that has ended well, or that has no kind of ours.

    Letter case and underscores in names do not matter, and versions may be numbers.
    """
    payload = part_of(entry, "protoPayload")
    found = _METHOD.fullmatch(text_of(payload, "methodName"))
    if found is None or text_of(payload, "serviceName") != _SERVICE or value_of(part_of(payload, "status"), "code"):
        return None
    response = part_of(payload, "response")
    if value_of(response, "done") is True:  # the operation itself, with its result
        response = part_of(response, "response")
    request = part_of(payload, "request")
    if found[1] in ("ModelService.UploadModel", "ModelService.CopyModel"):
        return _uploaded(entry, request, response)
    if found[1] == "EndpointService.DeployModel":
        return _deployed(entry, payload, request, part_of(response, "deployedModel"))
    return None


def _uploaded(
    entry: Mapping[str, object], request: Mapping[str, object], response: Mapping[str, object]
) -> Uploaded | None:
    name = _MODEL.fullmatch(text_of(response, "model"))
    if name is None or not (number := text_of(response, "modelVersionId") or name[4] or ""):
        return None
    labels = part_of(part_of(request, "model"), "labels")
    return Uploaded(
        place=_place(entry, name[1], name[2]),
        model=name[3],
        number=number,
        labels={key: str(value) for key, value in labels.items()},
    )


def _deployed(
    entry: Mapping[str, object],
    payload: Mapping[str, object],
    request: Mapping[str, object],
    made: Mapping[str, object],
) -> Deployed | None:
    endpoint = _ENDPOINT.fullmatch(text_of(request, "endpoint") or text_of(payload, "resourceName"))
    model = _MODEL.fullmatch(text_of(made, "model"))
    identity = text_of(made, "id")
    if endpoint is None or model is None or not identity:
        return None
    return Deployed(
        place=_place(entry, endpoint[1], endpoint[2]),
        endpoint=endpoint[3],
        deployed_model=identity,
        name=text_of(made, "displayName") or identity,
        model=model[3],
        number=text_of(made, "modelVersionId") or model[4] or "",
    )


def _place(entry: Mapping[str, object], project: str, location: str) -> Place:
    log = _LOG.fullmatch(text_of(entry, "logName"))
    told = (project, log[1] if log else "", text_of(part_of(part_of(entry, "resource"), "labels"), "project_id"))
    return Place(projects=frozenset(name for name in told if name), location=location)


def _entry(content: Mapping[str, Any]) -> Envelope | None:
    """Return a log entry as the CloudEvent that Eventarc makes of it."""
    log = _LOG.fullmatch(text_of(content, "logName"))
    payload = part_of(content, "protoPayload")
    if log is None or not payload or not (inserted := text_of(content, "insertId")):
        return None
    try:
        at = moment(text_of(content, "timestamp"))
    except ValueError:
        return None
    service, resource = text_of(payload, "serviceName"), text_of(payload, "resourceName")
    return Envelope(
        id=f"{text_of(content, 'logName')}{inserted}{int(at.timestamp() * 1_000_000)}",
        source=f"//cloudaudit.googleapis.com/projects/{log[1]}/logs/{log[2]}",
        type=AUDITED,
        time=at,
        subject=f"{service}/{resource}",
        data=content,
        extensions={
            "servicename": service,
            "methodname": text_of(payload, "methodName"),
            "resourcename": resource,
        },
    )


def _unwrapped(content: Mapping[str, Any]) -> Envelope | None:
    """Read a CloudEvent whose content type is lost, as in a push without a wrapper."""
    try:
        return _structured(content, moment(content["time"])) if content.get("specversion") == "1.0" else None
    except (KeyError, TypeError, ValueError):
        return None


def _structured(content: object, at: datetime) -> Envelope | None:
    if not isinstance(content, Mapping) or not all(
        isinstance(content.get(name), str) and content[name] for name in ("id", "source", "type")
    ):
        return None
    return _event(content, content.get("data"), at)


def _binary(attributes: Mapping[str, object], content: object, at: datetime) -> Envelope | None:
    given = {
        name.lower().removeprefix("ce-"): value
        for name, value in attributes.items()
        if name.lower().startswith("ce-") and isinstance(value, str)
    }
    if not all(given.get(name) for name in ("id", "source", "type")):
        return None
    return _event(given, content, at)


def _event(given: Mapping[str, Any], data: object, at: datetime) -> Envelope:
    try:
        time = moment(given["time"])
    except (KeyError, TypeError, ValueError):
        time = at
    return Envelope(
        id=given["id"],
        source=given["source"],
        type=given["type"],
        time=time,
        subject=str(given.get("subject") or ""),
        data=data if isinstance(data, Mapping) else {} if data is None else {"value": data},
        extensions=extensions_of(given),
    )
