"""Endpoints as HTTP worker processes on this machine, each endpoint with a supervisor that outlives its caller."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cloudmlops.domain.endpoints import (
    DeploymentSpec,
    DeploymentState,
    DeploymentStatus,
    EndpointStatus,
    Scoring,
    TrafficChange,
    TrafficReason,
)
from cloudmlops.errors import ConflictError, InvalidRequestError, NotFoundError, UnavailableError
from cloudmlops.ports.endpoints import EndpointsPort, Fetch
from cloudmlops.providers.deployment_rules import no_deployment, no_endpoint, traffic_changes
from cloudmlops.providers.local.hosting.endpoint_process import end, ensure_running, give_order
from cloudmlops.providers.local.hosting.endpoint_state import DeploymentRecord, EndpointRecord, changing, supervised
from cloudmlops.providers.local.hosting.ownership import mark_owner, owner_is_gone

if TYPE_CHECKING:
    from cloudmlops.providers.local.backends import LocalBackends


_PREPARING: Final = ".deploying-"
_ANSWER_MARGIN: Final = timedelta(seconds=45)
"""Beyond the model's own time: replicas that are being started are waited for, and a late answer is still an answer."""


class LocalEndpoints(EndpointsPort):
    """One folder an endpoint, below the platform's `endpoints/`."""

    def __init__(self, backends: LocalBackends) -> None:
        self._backends = backends

    def deploy(self, spec: DeploymentSpec, *, fetch: Fetch, actor: str) -> DeploymentStatus:
        self._root.mkdir(parents=True, exist_ok=True)
        if (known := self._known(spec)) is not None:
            return known
        # Fetched before the endpoint is locked: a large model must not keep others from deploying.
        self._clear_abandoned()
        with tempfile.TemporaryDirectory(prefix=_PREPARING, dir=self._root) as name:
            mark_owner(Path(name))
            prepared = Path(name) / "deployment"
            prepared.mkdir()
            fetch(prepared / "model")
            folder = self._root / spec.endpoint
            with changing(folder):
                return self._known(spec) or self._begin(folder, spec, prepared, actor)

    def deployment(self, endpoint: str, deployed_as: str) -> DeploymentStatus | None:
        folder = self._root / endpoint
        record = EndpointRecord.read(folder)
        if record is None or (found := _made(record, deployed_as)) is None:
            return None
        return _deployment(endpoint, found, record.traffic, _live(folder), former=found in record.former)

    def announced(self, endpoint: str, deployed_as: str) -> None:
        give_order(self._running(endpoint), "announced", deployed_as=deployed_as)

    def get(self, endpoint: str) -> EndpointStatus:
        return _endpoint(*self._record(endpoint))

    def list(self) -> Sequence[EndpointStatus]:
        found = ((path, EndpointRecord.read(path)) for path in sorted(self._root.glob("*/")))
        return [_endpoint(path, record) for path, record in found if record is not None and record.exists]

    def set_traffic(self, endpoint: str, traffic: Mapping[str, int], *, reason: TrafficReason, actor: str) -> None:
        give_order(self._running(endpoint), "traffic", traffic=dict(traffic), reason=reason.value, actor=actor)

    def traffic_history(self, endpoint: str) -> Sequence[TrafficChange]:
        _, record = self._record(endpoint)
        return traffic_changes(record.history)

    def undeploy(self, endpoint: str, deployment: str, *, actor: str) -> None:
        give_order(self._running(endpoint), "undeploy", name=deployment, actor=actor)

    def delete(self, endpoint: str) -> None:
        folder, _ = self._record(endpoint)
        with changing(folder):
            end(folder)
            shutil.rmtree(folder, ignore_errors=True)

    def logs(self, endpoint: str, deployment: str) -> str:
        folder = self._root / endpoint
        if (record := EndpointRecord.read(folder)) is None:
            raise self._unknown(endpoint)
        if record.find(deployment) is not None:
            return (folder / deployment / "worker.log").read_text(encoding="utf-8", errors="replace")
        failures = [found.failure for found in record.former if found.name == deployment and found.failure]
        if not failures:
            raise no_deployment(endpoint, deployment, [found.name for found in record.deployments], provider="local")
        return failures[-1]

    def scoring(self, endpoint: str) -> Scoring:
        self._running(endpoint)
        _, record = self._record(endpoint)
        longest = max((found.prediction_timeout_s for found in record.deployments), default=0.0)
        return Scoring(
            url=f"{_address(record)}/predict",
            headers={"x-cloudmlops-endpoint": endpoint},
            timeout=timedelta(seconds=longest) + _ANSWER_MARGIN,
        )

    def predict_batch(self, model: str, version: str, *, fetch: Fetch, input_uri: str, output_uri: str) -> None:  # noqa: ARG002 the files are enough
        with tempfile.TemporaryDirectory(prefix="cloudmlops-batch-") as name:
            folder = Path(name) / "model"
            fetch(folder)
            command = [sys.executable, "-P", "-m", "cloudmlops.serving", "--model", str(folder)]
            command += ["--target", self._backends.target, "--batch", input_uri, output_uri]
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            message, _, hint = done.stderr.rpartition("error: ")[2].strip().partition("\n  ")
            raise InvalidRequestError(f"{input_uri} could not be scored: {message}", hint=hint.strip())

    def stop_all(self) -> None:
        """End every endpoint of this platform; their records stay, and the next call that needs one starts it again."""
        for folder in self._root.glob("*/"):
            end(folder)

    @property
    def _root(self) -> Path:
        return self._backends.folder / "endpoints"

    def _clear_abandoned(self) -> None:
        """Remove what processes that were killed had fetched."""
        for folder in self._root.glob(f"{_PREPARING}*"):
            if owner_is_gone(folder):
                shutil.rmtree(folder, ignore_errors=True)

    def _known(self, spec: DeploymentSpec) -> DeploymentStatus | None:
        """Return the deployment if this act of deploying was done before; refuse what clashes with the endpoint."""
        record = EndpointRecord.read(self._root / spec.endpoint)
        if record is None:
            return None
        if (done := self.deployment(spec.endpoint, spec.deployed_as)) is not None:
            return done
        if record.find(spec.name) is not None:
            raise _conflict(
                spec.endpoint,
                f"a deployment {spec.name!r} exists at endpoint {spec.endpoint!r}",
                "Give another name=, or undeploy it first.",
            )
        if spec.port is not None and record.exists and spec.port != record.port:
            raise _conflict(
                spec.endpoint,
                f"endpoint {spec.endpoint!r} listens on port {record.port} and cannot move to {spec.port}",
                "Leave port= out, or deploy to a new endpoint.",
            )
        return None

    def _begin(self, folder: Path, spec: DeploymentSpec, prepared: Path, actor: str) -> DeploymentStatus:
        record = EndpointRecord.read(folder)
        if record is None or not (record.exists or supervised(folder)):
            EndpointRecord(
                name=spec.endpoint,
                host=self._backends.settings.endpoint_host,
                port=spec.port or 0,
                fixed_port=spec.port is not None,
                former=record.former if record else [],
            ).write(folder)
        ensure_running(folder)
        wanted = DeploymentRecord(
            name=spec.name,
            model=spec.model,
            version=spec.version,
            deployed_as=spec.deployed_as,
            replicas=spec.replicas[1],
            machine=spec.machine,
            traffic_percent=spec.traffic_percent,
            created_at=datetime.now(UTC).isoformat(),
            actor=actor,
            target=self._backends.target,
            prediction_timeout_s=self._backends.settings.prediction_timeout.total_seconds(),
        )
        shutil.rmtree(folder / spec.name, ignore_errors=True)
        prepared.rename(folder / spec.name)
        try:
            give_order(folder, "deploy", record=asdict(wanted))
        except UnavailableError:  # it was about to end, because all that was deployed there had failed
            end(folder)
            ensure_running(folder)
            if self.deployment(spec.endpoint, spec.deployed_as) is None:
                give_order(folder, "deploy", record=asdict(wanted))
        return _deployment(spec.endpoint, wanted, {}, {})

    def _record(self, endpoint: str) -> tuple[Path, EndpointRecord]:
        folder = self._root / endpoint
        record = EndpointRecord.read(folder)
        if record is None or not record.exists:
            raise self._unknown(endpoint)
        return folder, record

    def _running(self, endpoint: str) -> Path:
        """Return the endpoint's folder, its supervisor running."""
        folder, _ = self._record(endpoint)
        if not supervised(folder):
            with changing(folder):
                self._record(endpoint)
                ensure_running(folder)
        return folder

    def _unknown(self, endpoint: str) -> NotFoundError:
        return no_endpoint(endpoint, [status.name for status in self.list()], provider="local")


def _live(folder: Path) -> Mapping[str, Mapping[str, Any]] | None:
    """Ask the supervisor how the deployments are; None when it does not live."""
    try:
        answer: Mapping[str, Mapping[str, Any]] = give_order(folder, "status")
    except UnavailableError:
        return None
    return answer


def _made(record: EndpointRecord, deployed_as: str) -> DeploymentRecord | None:
    return next((found for found in (*record.deployments, *record.former) if found.deployed_as == deployed_as), None)


def _endpoint(folder: Path, record: EndpointRecord) -> EndpointStatus:
    live = _live(folder)
    return EndpointStatus(
        name=record.name,
        address=_address(record),
        traffic=record.traffic,
        deployments=[_deployment(record.name, found, record.traffic, live) for found in record.deployments],
    )


def _deployment(
    endpoint: str,
    record: DeploymentRecord,
    traffic: Mapping[str, int],
    live: Mapping[str, Mapping[str, Any]] | None,
    *,
    former: bool = False,
) -> DeploymentStatus:
    if former:
        state = DeploymentState.FAILED if record.failure else DeploymentState.GONE
    elif live is None:
        state = DeploymentState.DOWN
    else:
        state = DeploymentState(live.get(record.name, {}).get("state", DeploymentState.STARTING))
    seen = (live or {}).get(record.name, {})
    return DeploymentStatus(
        endpoint=endpoint,
        name=record.name,
        model=record.model,
        version=record.version,
        deployed_as=record.deployed_as,
        state=state,
        traffic_percent=0 if former else traffic.get(record.name, 0),
        replicas=record.replicas,
        healthy_replicas=seen.get("healthy_replicas", 0),
        restarts=seen.get("restarts", 0),
        created_at=datetime.fromisoformat(record.created_at),
        machine=record.machine,
        announced=record.announced,
        failure=record.failure,
    )


def _address(record: EndpointRecord) -> str:
    host = f"[{record.host}]" if ":" in record.host else record.host
    return f"http://{host}:{record.port}"


def _conflict(endpoint: str, message: str, hint: str) -> ConflictError:
    return ConflictError(message, hint=hint, provider="local", operation="endpoints.deploy", resource=endpoint)
