"""What holds for endpoints of every cloud: how an act of deploying is told, and what is refused of it."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from cloudmlops.domain.endpoints import (
    DeploymentSpec,
    DeploymentState,
    DeploymentStatus,
    TrafficChange,
    TrafficReason,
)
from cloudmlops.errors import ConflictError, NotFoundError
from cloudmlops.providers.deployment_journal import Act, ActState, Record
from cloudmlops.providers.prices import monthly, said

_log: Final = logging.getLogger("cloudmlops.endpoints")
_STATES: Final[Mapping[ActState, DeploymentState]] = {
    ActState.BEGUN: DeploymentState.STARTING,
    ActState.DEPLOYED: DeploymentState.GONE,  # removed since the journal was read
    ActState.FAILED: DeploymentState.FAILED,
    ActState.UNDEPLOYED: DeploymentState.GONE,
}


def act_of(
    spec: DeploymentSpec, *, actor: str, native_model: str, deployed_id: str, machine: str, **more: object
) -> dict[str, object]:
    """Return what the journal keeps of an act that is about to begin; `more` are fields of `Act` that a cloud needs."""
    return {
        "deployed_as": spec.deployed_as,
        "name": spec.name,
        "model": spec.model,
        "version": spec.version,
        "native_model": native_model,
        "deployed_id": deployed_id,
        "replicas": list(spec.replicas),
        "machine": spec.machine or machine,
        "machine_asked": spec.machine,
        "actor": actor,
        **more,
    }


def tell_cost(endpoint: str, act: Act, hourly_usd: float | None = None) -> None:
    """Warn of what a deployment costs that is about to begin, though nobody asks it.

    Args:
        endpoint: Where it is deployed.
        act: The act of deploying it.
        hourly_usd: Of one of its machines; None where this library knows no price.
    """
    _log.warning(
        "deployment %r at endpoint %r keeps %d %s at least though nobody asks it: %s",
        act.name,
        endpoint,
        act.replicas[0],
        act.machine,
        said(monthly(hourly_usd, act.replicas[0])),
    )


def act_status(endpoint: str, act: Act) -> DeploymentStatus:
    """Return how an act of deploying is that is not, or no longer, deployed."""
    return DeploymentStatus(
        endpoint=endpoint,
        name=act.name,
        model=act.model,
        version=act.version,
        deployed_as=act.deployed_as,
        state=_STATES[act.state],
        traffic_percent=0,
        replicas=act.replicas[0],
        healthy_replicas=0,
        restarts=0,
        created_at=datetime.fromisoformat(act.created_at),
        machine=act.machine_asked,
        announced=act.announced,
        failure=act.failure,
    )


def traffic_changes(history: Iterable[Mapping[str, Any]]) -> list[TrafficChange]:
    """Return the splits that were written down, oldest first."""
    return [
        TrafficChange(
            traffic=change["traffic"],
            at=datetime.fromisoformat(change["at"]),
            actor=change["actor"],
            reason=TrafficReason(change["reason"]),
        )
        for change in history
    ]


def traffic_history(record: Record, present: Mapping[str, int], at: datetime) -> list[TrafficChange]:
    """Return the splits that an endpoint had; the present one, if other tools have made it, since `at`."""
    changes = traffic_changes(record.history)
    if present != (dict(changes[-1].traffic) if changes else {}):
        changes.append(TrafficChange(traffic=present, at=at, actor="", reason=TrafficReason.SHIFTED))
    return changes


def check_name(spec: DeploymentSpec, record: Record, present: Collection[str], *, provider: str) -> None:
    """Raise `ConflictError` when a deployment has the name that is asked for.

    Args:
        spec: What is asked for.
        record: The endpoint's.
        present: The names of what is deployed there, whoever did that.
        provider: Whose error it is.
    """
    if spec.name in present or spec.name in {act.name for act in record.live()}:
        raise ConflictError(
            f"a deployment {spec.name!r} exists at endpoint {spec.endpoint!r}",
            hint="Give another name=, or undeploy it first.",
            provider=provider,
            operation="endpoints.deploy",
            resource=spec.endpoint,
        )


def check_begun(endpoint: str, deployment: str, record: Record, *, provider: str) -> None:
    """Raise `ConflictError` when a deployment cannot be taken away, for it is still on its way."""
    if any(act.name == deployment for act in record.begun()):
        raise ConflictError(
            f"deployment {deployment!r} at endpoint {endpoint!r} is still being deployed",
            hint="Wait until it is healthy or has failed: it cannot be taken back before.",
            provider=provider,
            operation="endpoints.undeploy",
            resource=endpoint,
        )


def not_ours(endpoint: str, *, known_by: str, mark: str, operation: str, provider: str) -> ConflictError:
    """Return the error for an endpoint that this library did not make: it is read, and never changed.

    Args:
        endpoint: Its name.
        known_by: What tells whose it is, such as `its tags are team=payments`.
        mark: What would make it one of this library's, such as `the tag cloudmlops=endpoint`.
        operation: The verb.
        provider: Whose error it is.
    """
    return ConflictError(
        f"endpoint {endpoint!r} was not made by this library: {known_by}",
        hint=f"Choose another name, or change it with what made it. Whoever gives it {mark} lets this library change "
        "and remove it.",
        provider=provider,
        operation=operation,
        resource=endpoint,
    )


def no_endpoint(endpoint: str, known: Sequence[str], *, provider: str) -> NotFoundError:
    """Return the error for an endpoint that is not there."""
    return _no_such(f"endpoint {endpoint!r}", known, provider)


def no_deployment(endpoint: str, deployment: str, known: Sequence[str], *, provider: str) -> NotFoundError:
    """Return the error for a deployment that is not there."""
    return _no_such(f"deployment {deployment!r} at endpoint {endpoint!r}", known, provider)


def no_traffic(endpoint: str, *, provider: str) -> NotFoundError:
    """Return the error for an endpoint that nobody can ask."""
    return NotFoundError(
        f"endpoint {endpoint!r} has no deployment with traffic",
        hint="Deploy a version to it first.",
        provider=provider,
        operation="endpoints.predict",
        resource=endpoint,
    )


def listed(marks: Mapping[str, str]) -> str:
    """Return tags or labels in words."""
    return ", ".join(f"{name}={value}" for name, value in sorted(marks.items())) or "none"


def _no_such(what: str, known: Sequence[str], provider: str) -> NotFoundError:
    return NotFoundError(
        f"there is no {what}",
        hint=f"Known: {', '.join(known) or 'none'}.",
        provider=provider,
        operation="endpoints.get",
        resource=what,
    )
