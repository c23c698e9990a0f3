"""Endpoints as HTTP worker processes on this machine, each endpoint with a supervisor that outlives its caller."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
from cloudmlops.providers.local.endpoint_process import end, ensure_running, give_order
from cloudmlops.providers.local.endpoint_state import DeploymentRecord, EndpointRecord, changing, supervised

if TYPE_CHECKING:
    from cloudmlops.providers.local.backends import LocalBackends


class LocalEndpoints(EndpointsPort):
    """One folder an endpoint, below the platform's `endpoints/`."""

    def __init__(self, backends: LocalBackends) -> None:
        self._backends = backends

    def deploy(self, spec: DeploymentSpec, *, fetch: Fetch, actor: str) -> DeploymentStatus:
        folder = self._root / spec.endpoint
        with changing(folder):
            try:
                return self._deploy(folder, spec, fetch, actor)
            finally:
                record = EndpointRecord.read(folder)
                if record is None or not (record.deployments or record.failures):
                    _remove(folder)

    def deployment(self, endpoint: str, deployed_as: str) -> DeploymentStatus | None:
        folder = self._root / endpoint
        record = EndpointRecord.read(folder)
        return _known(record, deployed_as, _live(folder)) if record else None

    def announced(self, endpoint: str, deployed_as: str) -> None:
        with self._changing(endpoint) as folder:
            give_order(folder, "announced", deployed_as=deployed_as)

    def get(self, endpoint: str) -> EndpointStatus:
        return _endpoint(*self._record(endpoint))

    def list(self) -> Sequence[EndpointStatus]:
        found = ((path, EndpointRecord.read(path)) for path in sorted(self._root.glob("*/")))
        return [_endpoint(path, record) for path, record in found if record is not None]

    def set_traffic(self, endpoint: str, traffic: Mapping[str, int], *, reason: TrafficReason, actor: str) -> None:
        with self._changing(endpoint) as folder:
            give_order(folder, "traffic", traffic=dict(traffic), reason=reason.value, actor=actor)

    def traffic_history(self, endpoint: str) -> Sequence[TrafficChange]:
        _, record = self._record(endpoint)
        return [
            TrafficChange(
                traffic=change["traffic"],
                at=datetime.fromisoformat(change["at"]),
                actor=change["actor"],
                reason=TrafficReason(change["reason"]),
            )
            for change in record.history
        ]

    def undeploy(self, endpoint: str, deployment: str, *, actor: str) -> None:
        with self._changing(endpoint) as folder:
            give_order(folder, "undeploy", name=deployment, actor=actor)

    def delete(self, endpoint: str) -> None:
        folder, _ = self._record(endpoint)
        with changing(folder):
            end(folder)
            _remove(folder)

    def logs(self, endpoint: str, deployment: str) -> str:
        folder, record = self._record(endpoint)
        if record.find(deployment) is not None:
            return (folder / deployment / "worker.log").read_text(encoding="utf-8", errors="replace")
        failed = [found.failure for found in record.failures if found.name == deployment]
        if not failed:
            raise _unknown(f"deployment {deployment!r} at endpoint {endpoint!r}", [f.name for f in record.deployments])
        return failed[-1]

    def scoring(self, endpoint: str) -> Scoring:
        folder, record = self._record(endpoint)
        if not supervised(folder):
            with self._changing(endpoint):
                record = EndpointRecord.read(folder) or record
        return Scoring(url=f"{_address(record)}/predict")

    def predict_batch(self, model: Fetch, *, input_uri: str, output_uri: str) -> None:
        with tempfile.TemporaryDirectory(prefix="cloudmlops-batch-") as name:
            folder = Path(name) / "model"
            model(folder)
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

    def _deploy(self, folder: Path, spec: DeploymentSpec, fetch: Fetch, actor: str) -> DeploymentStatus:
        record = EndpointRecord.read(folder)
        if record is None:
            record = EndpointRecord(
                name=spec.endpoint,
                host="127.0.0.1",
                port=spec.port or 0,
                fixed_port=spec.port is not None,
                target=self._backends.target,
            )
            record.write(folder)
        if (known := _known(record, spec.deployed_as, _live(folder))) is not None:
            return known
        if record.find(spec.name) is not None:
            raise ConflictError(
                f"a deployment {spec.name!r} exists at endpoint {spec.endpoint!r}",
                hint="Give another name=, or undeploy it first.",
            )
        ensure_running(folder)
        shutil.rmtree(folder / spec.name, ignore_errors=True)
        (folder / spec.name).mkdir()
        fetch(folder / spec.name / "model")
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
        )
        give_order(folder, "deploy", record=asdict(wanted))
        return _deployment(spec.endpoint, wanted, {}, {})

    def _record(self, endpoint: str) -> tuple[Path, EndpointRecord]:
        folder = self._root / endpoint
        if (record := EndpointRecord.read(folder)) is None:
            raise _unknown(
                f"endpoint {endpoint!r}", sorted(path.parent.name for path in self._root.glob("*/state.json"))
            )
        return folder, record

    @contextmanager
    def _changing(self, endpoint: str) -> Iterator[Path]:
        """Hold the endpoint against other processes, with its supervisor running."""
        folder, _ = self._record(endpoint)
        with changing(folder):
            self._record(endpoint)
            ensure_running(folder)
            yield folder


def _remove(folder: Path) -> None:
    end(folder)
    shutil.rmtree(folder, ignore_errors=True)


def _live(folder: Path) -> Mapping[str, Mapping[str, Any]] | None:
    """Ask the supervisor how the deployments are; None when it does not live."""
    try:
        answer: Mapping[str, Mapping[str, Any]] = give_order(folder, "status")
    except UnavailableError:
        return None
    return answer


def _known(
    record: EndpointRecord, deployed_as: str, live: Mapping[str, Mapping[str, Any]] | None
) -> DeploymentStatus | None:
    for found in (*record.deployments, *record.failures):
        if found.deployed_as == deployed_as:
            return _deployment(record.name, found, record.traffic, live)
    return None


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
) -> DeploymentStatus:
    if record.failure:
        state = DeploymentState.FAILED
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
        traffic_percent=0 if record.failure else traffic.get(record.name, 0),
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


def _unknown(what: str, known: Sequence[str]) -> NotFoundError:
    return NotFoundError(
        f"there is no {what}",
        hint=f"Known: {', '.join(known) or 'none'}.",
        provider="local",
        operation="endpoints.get",
        resource=what,
    )
