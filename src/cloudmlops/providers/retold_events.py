"""Events of ours in place of those that a cloud tells: the same id, time and subject, with what is known here."""

from __future__ import annotations

from collections.abc import Mapping

from cloudmlops.domain.events import Envelope, ModelDeployed, ModelRegistered


def registered(event: Envelope, *, platform: str, model: str, version: str, run: str | None) -> Envelope:
    """Return `ModelRegistered` in place of the cloud's event."""
    return in_place_of(event, ModelRegistered.kind, platform, {"model": model, "version": version, "run": run})


def deployed(
    event: Envelope, *, platform: str, model: str, version: str, endpoint: str, deployment: str, deployed_as: str
) -> Envelope:
    """Return `ModelDeployed` in place of the cloud's event."""
    data = {
        "model": model,
        "version": version,
        "endpoint": endpoint,
        "deployment": deployment,
        "deployed_as": deployed_as,
    }
    return in_place_of(event, ModelDeployed.kind, platform, data)


def in_place_of(event: Envelope, kind: str, platform: str, data: Mapping[str, object]) -> Envelope:
    """Return an event of ours.

    Args:
        event: The cloud's.
        kind: Of ours.
        platform: Address of the platform that it happened on.
        data: Of ours.
    """
    return Envelope(id=event.id, source=platform, type=kind, time=event.time, subject=event.subject, data=data)
