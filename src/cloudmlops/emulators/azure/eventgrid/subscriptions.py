"""What an event subscription says: read from the resource that is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from cloudmlops.emulators.azure.eventgrid import CLOUD_EVENT_SCHEMA, EVENT_GRID_SCHEMA
from cloudmlops.emulators.azure.eventgrid.filters import lookup

ACTIVE = frozenset({"Succeeded", "Updating"})
"""States in which events are delivered."""


def destination_of(properties: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return where events go, with whichever identity."""
    with_identity = properties.get("deliveryWithResourceIdentity") or {}
    found: Mapping[str, Any] = properties.get("destination") or with_identity.get("destination") or {}
    return found


def dead_letter_of(properties: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return where events go that cannot be delivered; None drops them."""
    with_identity = properties.get("deadLetterWithResourceIdentity") or {}
    found: Mapping[str, Any] | None = properties.get("deadLetterDestination") or with_identity.get(
        "deadLetterDestination"
    )
    return found


def schema_of(properties: Mapping[str, Any]) -> str:
    """Return the schema of what is delivered."""
    return str(properties.get("eventDeliverySchema") or EVENT_GRID_SCHEMA)


def is_active(resource: Mapping[str, Any], now: datetime) -> bool:
    """Say whether events are delivered: it is validated and has not retired."""
    return resource["properties"]["provisioningState"] in ACTIVE and not has_retired(resource, now)


def has_retired(resource: Mapping[str, Any], now: datetime) -> bool:
    """Say whether a subscription's time is over: it is no more."""
    until = resource["properties"].get("expirationTimeUtc")
    return until is not None and datetime.fromisoformat(until) <= now


def delivery_headers(
    resource: Mapping[str, Any], event: Mapping[str, Any], *, attempts: int, kind: str = "Notification"
) -> dict[str, str]:
    """Return the headers of a request to a webhook.

    Args:
        resource: The subscription.
        event: What is delivered, in the schema in which it is.
        attempts: How many there were before.
        kind: `Notification` or `SubscriptionValidation`.
    """
    cloud = "specversion" in event
    headers = {
        "content-type": "application/cloudevents+json; charset=utf-8" if cloud else "application/json; charset=utf-8",
        "aeg-event-type": kind,
        "aeg-subscription-name": str(resource["name"]).upper(),
        "aeg-delivery-count": str(attempts),
        "aeg-metadata-version": str(event["specversion"] if cloud else event["metadataVersion"]),
    }
    if not cloud:
        headers["aeg-data-version"] = str(event.get("dataVersion") or "")
    mappings: Sequence[Mapping[str, Any]] = (destination_of(resource["properties"]).get("properties") or {}).get(
        "deliveryAttributeMappings"
    ) or ()
    return headers | _mapped(mappings, event)


def is_cloud(properties: Mapping[str, Any]) -> bool:
    """Say whether a subscription is delivered CloudEvents."""
    return schema_of(properties) == CLOUD_EVENT_SCHEMA


def _mapped(mappings: Sequence[Mapping[str, Any]], event: Mapping[str, Any]) -> dict[str, str]:
    headers = {}
    for one in mappings:
        content = one.get("properties") or {}
        if one.get("type") == "Static":
            headers[str(one["name"])] = str(content.get("value") or "")
        elif (found := lookup(event, str(content.get("sourceField") or ""))) is not None:
            headers[str(one["name"])] = str(found)
    return headers
