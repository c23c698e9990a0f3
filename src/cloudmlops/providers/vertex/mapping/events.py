"""Events as Pub/Sub and Eventarc carry them, and what Google's audit log says about models and deployments."""

from __future__ import annotations

import base64
import json
from datetime import UTC
from typing import Any

from cloudmlops.domain.events import Envelope


def full_name(project: str, kind: str, name: str) -> str:
    """Return the full name of a topic or subscription; one that is full already stays."""
    return name if "/" in name else f"projects/{project}/{kind}/{name}"


def message(event: Envelope) -> dict[str, Any]:
    """Return the Pub/Sub message of an event: a CloudEvent in structured mode.

    Attributes hold at most 1024 bytes each, so the event is in the data; its kind is an attribute for filters.
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
        "attributes": {"content-type": "application/cloudevents+json; charset=utf-8", "kind": event.type},
    }
