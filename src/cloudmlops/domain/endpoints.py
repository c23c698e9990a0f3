"""Endpoints, what is deployed at them, and how their traffic is split."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from cloudmlops.domain.models import FeatureServiceRef
from cloudmlops.domain.names import name_faults
from cloudmlops.errors import InvalidRequestError, InvalidTrafficError


class DeploymentState(StrEnum):
    """How a deployment is."""

    STARTING = "starting"
    HEALTHY = "healthy"
    DEGRADED = "degraded"
    """It was healthy; some of its replicas do not answer and are being restarted."""
    DRAINING = "draining"
    """It gets no new requests and finishes those that it has."""
    DOWN = "down"
    """What keeps it running ended by a crash or a restart of the machine; the next change or prediction revives it."""
    FAILED = "failed"
    """It never became healthy, or was removed before anybody saw that."""
    GONE = "gone"
    """It was healthy, and was taken away."""


class Shortfall(StrEnum):
    """What undeploying does with the traffic of the deployment that goes."""

    REFUSE = "refuse"
    """A deployment with traffic stays, unless it is the endpoint's only one."""
    REDISTRIBUTE = "redistribute"
    """The others take its share in proportion to theirs; in equal parts where they have none."""


class TrafficReason(StrEnum):
    """Why a split changed."""

    DEPLOYED = "deployed"
    SHIFTED = "shifted"
    ROLLED_BACK = "rolled back"
    UNDEPLOYED = "undeployed"


@dataclass(frozen=True, kw_only=True, slots=True)
class DeploymentSpec:
    """What is asked for: one version at one endpoint."""

    endpoint: str
    name: str
    model: str
    version: str
    artifact_uri: str
    replicas: tuple[int, int] = (1, 1)
    """(fewest, most)."""
    machine: str | None = None
    """The provider's name of a machine type."""
    traffic_percent: int | None = None
    """Its share once it is healthy; None: all of it for an endpoint's first, else nothing."""
    features: FeatureServiceRef | None = None
    port: int | None = None
    """Where a new endpoint listens, on a provider that lets one choose; None: any free port."""
    deployed_as: str
    """Unique for each act of deploying; the same one again is the same deployment."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DeploymentStatus:
    """One deployment as it is now."""

    endpoint: str
    name: str
    model: str
    version: str
    deployed_as: str
    state: DeploymentState
    traffic_percent: int
    replicas: int
    healthy_replicas: int
    restarts: int
    """How often replicas ended by themselves and were started again."""
    created_at: datetime
    """Time-zone aware, UTC."""
    machine: str | None = None
    announced: bool = False
    """Whether `ModelDeployed` was published for it."""
    failure: str = ""
    """Why it failed, and the end of its log."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EndpointStatus:
    """One endpoint as it is now."""

    name: str
    address: str
    """Where it listens, such as `http://127.0.0.1:40123`."""
    traffic: Mapping[str, int]
    """Deployment to percent; sums to 100, or is empty where nothing is deployed."""
    deployments: Sequence[DeploymentStatus]
    mirror: Mapping[str, int] = field(default_factory=dict)
    """Deployment to percent of the requests that it gets copies of; empty where nothing is mirrored."""

    def deployment(self, name: str) -> DeploymentStatus | None:
        """Return the deployment of that name; None when there is none."""
        return next((found for found in self.deployments if found.name == name), None)


@dataclass(frozen=True, kw_only=True, slots=True)
class TrafficChange:
    """One split that an endpoint had, and since when."""

    traffic: Mapping[str, int]
    at: datetime
    actor: str
    reason: TrafficReason


@dataclass(frozen=True, kw_only=True, slots=True)
class Scoring:
    """Where and how to ask for predictions."""

    url: str
    key: str = "instances"
    """The key under which the instances go."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Read for every request: a token in them may be renewed."""
    timeout: timedelta = timedelta(seconds=90)
    """So long an answer is waited for: longer than the endpoint itself takes to give a request up."""
    status_header: str = ""
    """Header of an answer that has the server's own status, where something before the server answers with another."""
    renew: Callable[[], None] | None = None
    """Called when the caller is refused (401), before the request is sent once more: what the headers say may be too
    old. None: it would be refused again."""
    refusal_hint: str = ""
    """What to do about a caller who is refused; empty says no more than that he is."""


def check_spec(spec: DeploymentSpec) -> None:
    """Raise `InvalidRequestError` with all that is wrong with what is asked for."""
    faults = name_faults("endpoint", spec.endpoint) + name_faults("deployment", spec.name)
    least, most = spec.replicas
    if not 1 <= least <= most:
        faults.append(f"replicas {spec.replicas} must be (fewest, most) with 1 <= fewest <= most")
    if spec.traffic_percent is not None and not 0 <= spec.traffic_percent <= 100:
        faults.append(f"traffic_percent {spec.traffic_percent} must be 0 to 100")
    if faults:
        raise InvalidRequestError(
            f"{spec.model}@{spec.version} cannot be deployed at {spec.endpoint!r} so", faults=faults
        )


def check_traffic(endpoint: str, traffic: Mapping[str, object], deployments: Mapping[str, DeploymentState]) -> None:
    """Raise `InvalidTrafficError` with all that is wrong with a split of an endpoint that has `deployments`."""
    faults = []
    for name, percent in traffic.items():
        if isinstance(percent, bool) or not isinstance(percent, int):
            faults.append(f"{name!r}: {percent!r} is no whole number of percent")
        elif not 0 <= percent <= 100:
            faults.append(f"{name!r}: {percent} is not within 0 to 100")
        if name not in deployments:
            faults.append(f"{name!r} is not deployed there")
        elif percent and deployments[name] not in (DeploymentState.HEALTHY, DeploymentState.DEGRADED):
            faults.append(f"{name!r} is {deployments[name].value}: wait until it is healthy")
    if (total := sum(share for share in traffic.values() if isinstance(share, int | float))) != 100:
        faults.append(f"the shares sum to {total}, not 100")
    if faults:
        raise InvalidTrafficError(
            f"the traffic of endpoint {endpoint!r} cannot be split as {dict(traffic)}",
            faults=faults,
            hint=f"Deployed there: {', '.join(sorted(deployments)) or 'nothing'}.",
        )


def check_mirror(status: EndpointStatus, deployment: str, percent: object) -> None:
    """Raise `InvalidTrafficError` with all that is wrong with giving a deployment copies of requests."""
    faults = []
    if isinstance(percent, bool) or not isinstance(percent, int) or not 0 <= percent <= 100:
        faults.append(f"{percent!r} is no whole number of percent within 0 to 100")
    found = status.deployment(deployment)
    if found is None:
        faults.append(f"{deployment!r} is not deployed there")
    elif percent:
        if found.state not in (DeploymentState.HEALTHY, DeploymentState.DEGRADED):
            faults.append(f"{deployment!r} is {found.state.value}: wait until it is healthy")
        if found.traffic_percent:
            faults.append(f"{deployment!r} has {found.traffic_percent} % of the traffic itself")
    if faults:
        raise InvalidTrafficError(
            f"requests to endpoint {status.name!r} cannot be mirrored to {deployment!r}",
            faults=faults,
            hint=f"Deployed there: {', '.join(sorted(one.name for one in status.deployments)) or 'nothing'}.",
        )


def traffic_with(current: Mapping[str, int], name: str, percent: int | None) -> dict[str, int]:
    """Return the split after `name` has come with `percent`; the others keep their proportions.

    Raises:
        InvalidTrafficError: It is the first and was not given all.
    """
    others = {other: share for other, share in current.items() if share and other != name}
    if percent is None:
        percent = 0 if others else 100
    if not others:
        if percent != 100:
            raise InvalidTrafficError(
                f"{name!r} cannot start with {percent} % of the traffic: there is nothing else to take the rest",
                hint="Leave traffic_percent out for an endpoint's first deployment.",
            )
        return {name: 100}
    split = _apportioned(others, 100 - percent)
    return (split | {name: percent}) if percent else split


def traffic_without(current: Mapping[str, int], name: str, remaining: Sequence[str]) -> dict[str, int]:
    """Return the split after `name` has gone and `remaining` deployments have taken its share; empty without any."""
    if not current.get(name):
        return {other: share for other, share in current.items() if other != name}
    others = {other: share for other, share in current.items() if share and other != name}
    return _apportioned(others or dict.fromkeys(remaining, 1), 100) if others or remaining else {}


def _apportioned(weights: Mapping[str, int], total: int) -> dict[str, int]:
    """Split `total` in proportion to `weights`, in whole numbers, by largest remainder; a share of 0 is left out."""
    whole = sum(weights.values())
    exact = {name: weight * total / whole for name, weight in weights.items()}
    split = {name: int(share) for name, share in exact.items()}
    by_remainder = sorted(exact, key=lambda name: (split[name] - exact[name], name))
    for name in by_remainder[: total - sum(split.values())]:
        split[name] += 1
    return {name: share for name, share in split.items() if share}


def previous_split(history: Sequence[TrafficChange]) -> Mapping[str, int] | None:
    """Return the split to roll back to: the one before the last that was not itself undone; None when there is none."""
    stack: list[Mapping[str, int]] = []
    for change in history:
        if change.reason is TrafficReason.ROLLED_BACK:
            del stack[-1:]
        elif not stack or dict(stack[-1]) != dict(change.traffic):
            stack.append(change.traffic)
    return stack[-2] if len(stack) > 1 else None
