"""What a provider supplies for endpoints."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from cloudmlops.domain.endpoints import (
    DeploymentSpec,
    DeploymentStatus,
    EndpointStatus,
    Scoring,
    TrafficChange,
    TrafficReason,
)
from cloudmlops.errors import UnsupportedError

Fetch = Callable[[Path], object]
"""Writes the model's files into a folder, which it makes."""


class EndpointsPort(Protocol):
    """The provider's part of endpoints. An unknown endpoint is a `NotFoundError` from every method."""

    def deploy(self, spec: DeploymentSpec, *, fetch: Fetch, actor: str) -> DeploymentStatus:
        """Begin to deploy, making the endpoint if there is none; traffic moves when the deployment is healthy.

        The same `deployed_as` again returns the same deployment. A deployment that fails leaves the endpoint as it was.

        Raises:
            ConflictError: Another deployment has that name.
        """
        ...

    def deployment(self, endpoint: str, deployed_as: str) -> DeploymentStatus | None:
        """Return one deployment, also one that failed; None when it is unknown."""
        ...

    def announced(self, endpoint: str, deployed_as: str) -> None:
        """Record that `ModelDeployed` was published for it."""
        ...

    def get(self, endpoint: str) -> EndpointStatus:
        """Return the endpoint as it is now."""
        ...

    def list(self) -> Sequence[EndpointStatus]:
        """Return all endpoints, by name."""
        ...

    def set_traffic(self, endpoint: str, traffic: Mapping[str, int], *, reason: TrafficReason, actor: str) -> None:
        """Split traffic; when this returns, the next request obeys. Requests in flight finish where they are."""
        ...

    def set_mirror(self, endpoint: str, deployment: str, percent: int) -> None:
        """Send copies of a share of the requests to a deployment, and of none to any other; 0 ends it.

        Asked only where the provider has the capability.
        """
        raise UnsupportedError(
            f"{endpoint!r} cannot send {percent} % of its requests to {deployment!r}, too: the provider mirrors none",
            hint="Give the deployment a small share of the traffic.",
        )

    def traffic_history(self, endpoint: str) -> Sequence[TrafficChange]:
        """Return the splits that the endpoint had, oldest first; the last is the present one."""
        ...

    def undeploy(self, endpoint: str, deployment: str, *, actor: str) -> None:
        """Stop a deployment after its requests in flight; the others take its share of the traffic."""
        ...

    def delete(self, endpoint: str) -> None:
        """Stop and remove an endpoint with all that is deployed there."""
        ...

    def logs(self, endpoint: str, deployment: str) -> str:
        """Return what a deployment's replicas wrote."""
        ...

    def scoring(self, endpoint: str) -> Scoring:
        """Return where to ask for predictions."""
        ...

    def predict_batch(self, model: str, version: str, *, fetch: Fetch, input_uri: str, output_uri: str) -> None:
        """Score a Parquet or JSON Lines file with a model version, without an endpoint."""
        ...
