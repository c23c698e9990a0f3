"""Events of both schemas: how they are read from a request, checked, and made into one another.

What is required, and the words of the refusals, follow the real service (recorded traffic of azure-sdk-assets,
`azure-eventgrid`; messages that users report). Sizes: a request of 1 536 000 bytes, an event of 1 MiB.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import unquote

from cloudmlops.emulators.azure.eventgrid import CLOUD_EVENT_SCHEMA
from cloudmlops.emulators.core.answering import Asked
from cloudmlops.emulators.core.faults import Refused

LARGEST_REQUEST: Final = 1_536_000
LARGEST_EVENT: Final = 1_048_576
BATCH: Final = "application/cloudevents-batch+json"
_REQUIRED: Final = {
    "EventGridEvent": ("subject", "id", "eventType", "eventTime"),
    "CloudEventV10": ("specversion", "type", "source", "id"),
}
"""By the schema's name in messages; in the order in which they are checked."""
_CLOUD_NAMES: Final = {"type": "eventType"}
"""What messages call the attributes of CloudEvents."""


class TooLarge(Refused):
    """More was sent than the service takes."""

    def __init__(self, most: int) -> None:
        super().__init__(
            "INVALID_ARGUMENT", f"The maximum size ({most}) has been exceeded.", reason="RequestEntityTooLarge"
        )


def written(moment: datetime) -> str:
    """Return a time as Event Grid writes it, with seven digits of a second and `Z`."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}0Z"


def published_to_topic(asked: Asked, *, schema: str, topic: str) -> list[dict[str, Any]]:
    """Return the events that were posted to a basic topic, complete.

    Args:
        asked: The request.
        schema: The topic's input schema.
        topic: The topic's id, which an event of Event Grid's schema gets.

    Raises:
        Refused: They are too large, or not as the schema says.
    """
    check_sizes(asked.body)
    if schema == CLOUD_EVENT_SCHEMA:
        events = cloud_events(asked, name="CloudEventV10")
    else:
        content = _content(asked.body)
        events = _objects(content if isinstance(content, list) else [content], "EventGridEvent")
    name = "CloudEventV10" if schema == CLOUD_EVENT_SCHEMA else "EventGridEvent"
    for event in events:
        if len(json.dumps(event).encode()) > LARGEST_EVENT:
            raise TooLarge(LARGEST_EVENT)
        _check(event, name)
    if schema == CLOUD_EVENT_SCHEMA:
        return events
    return [_stamped(event, topic) for event in events]


def check_sizes(body: bytes) -> None:
    """Let through what is not too large.

    Raises:
        Refused: It is.
    """
    if len(body) > LARGEST_REQUEST:
        raise TooLarge(LARGEST_REQUEST)


def cloud_events(asked: Asked, *, name: str) -> list[dict[str, Any]]:
    """Return the CloudEvents of a request in batched, structured or binary mode; their attributes are not checked.

    Args:
        asked: The request.
        name: What messages call the schema.

    Raises:
        Refused: It is none of these.
    """
    kind = asked.headers.get("content-type", "").partition(";")[0].strip().lower()
    if "ce-specversion" in asked.headers:
        return [_binary(asked, kind)]
    content = _content(asked.body)
    if kind == BATCH:
        return _objects(content, name)
    if isinstance(content, list):
        raise _malformed(name, "Token Expected: StartObject, Actual Token Received: StartArray.")
    return _objects([content], name)


def as_cloud_event(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return an event in the CloudEvents schema, whichever it has.

    What had Event Grid's schema keeps no `dataVersion`.
    """
    if "specversion" in event:
        return dict(event)
    return {
        "source": event["topic"],
        "subject": event["subject"],
        "type": event["eventType"],
        "time": event["eventTime"],
        "id": event["id"],
        "data": event.get("data"),
        "specversion": "1.0",
    }


def _stamped(event: Mapping[str, Any], topic: str) -> dict[str, Any]:
    if str(event.get("topic") or topic).lower() != topic.lower():
        raise _not_set("EventGridEvent", "topic", f"The 'topic' of an event must be empty or '{topic}'.")
    return {
        "id": event["id"],
        "topic": topic,
        **{key: value for key, value in event.items() if key not in ("id", "topic", "metadataVersion")},
        "dataVersion": str(event.get("dataVersion") or ""),
        "metadataVersion": "1",
    }


def _binary(asked: Asked, kind: str) -> dict[str, Any]:
    event: dict[str, Any] = {
        name.removeprefix("ce-"): unquote(value) for name, value in asked.headers.items() if name.startswith("ce-")
    }
    if kind:
        event["datacontenttype"] = kind
    if kind.endswith(("/json", "+json")):
        return {**event, "data": _content(asked.body)}
    return {**event, "data_base64": base64.b64encode(asked.body).decode()}


def _content(body: bytes) -> Any:
    if not body:
        raise Refused("INVALID_ARGUMENT", "Unexpected end when reading JSON.", reason="BadRequest")
    try:
        return json.loads(body)
    except ValueError as error:
        raise Refused("INVALID_ARGUMENT", f"The JSON received is malformed: {error}.", reason="BadRequest") from error


def _objects(content: Any, name: str) -> list[dict[str, Any]]:
    if not isinstance(content, list) or not content or not all(isinstance(one, dict) for one in content):
        raise _malformed(name)
    return content


def _check(event: Mapping[str, Any], name: str) -> None:
    known: Sequence[str] = _REQUIRED[name]
    for attribute in known:
        if not event.get(attribute):
            raise _not_set(name, _CLOUD_NAMES.get(attribute, attribute))
    if name == "CloudEventV10" and event["specversion"] != "1.0":
        raise _malformed(name, f"The specversion {event['specversion']} is not supported.")
    if name == "EventGridEvent":
        try:
            datetime.fromisoformat(str(event["eventTime"]))
        except ValueError as error:
            raise _malformed(name, f"The eventTime '{event['eventTime']}' is not a time.") from error


def _malformed(name: str, more: str = "") -> Refused:
    message = (
        f"This resource is configured to receive event in '{name}' schema. The JSON received does not conform to the "
        "expected schema."
    )
    return Refused("INVALID_ARGUMENT", f"{message} {more}".strip(), reason="BadRequest")


def _not_set(name: str, attribute: str, message: str = "") -> Refused:
    said = f"This resource is configured for '{name}' schema and requires '{attribute}' property to be set."
    return Refused("INVALID_ARGUMENT", message or said, reason="BadRequest")
