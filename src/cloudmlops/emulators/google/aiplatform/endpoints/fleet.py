"""The machines that run models: what is up, what it costs of the quota, and the container on each."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Condition, Lock, Thread
from typing import Any, Final, Self
from urllib.parse import quote
from weakref import WeakKeyDictionary

from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.core.service import Surroundings
from cloudmlops.emulators.core.state import State
from cloudmlops.emulators.google.aiplatform.endpoints.containers import Container, free_port
from cloudmlops.emulators.google.aiplatform.endpoints.launching import launch
from cloudmlops.emulators.google.aiplatform.images import images_of
from cloudmlops.emulators.google.logs import Logs

_DRAIN_SECONDS: Final = 60.0
_PATIENCE_SECONDS: Final = 60.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """Machines of one kind that are up for one thing, busy or not; they cost from the moment they are taken."""

    resource: str
    """Name of the endpoint or the batch prediction job."""
    deployed_model: str
    """Its id; empty for a job."""
    machine_type: str
    replicas: int
    """As many as the autoscaling would begin with. One process stands for all of them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Server:
    """A model as it is to be served on a machine."""

    machine: Machine
    model: Any
    """The version that is served, a `Model`."""
    variables: Mapping[str, str]
    """Of the container contract, beside those that every server gets."""
    project: str
    """Its id, as names of logs are written."""
    resource: Mapping[str, Any]
    """The monitored resource that its log entries are of."""
    logged: bool
    """Whether what it writes goes to Cloud Logging."""
    health_route: str
    predict_route: str


class Fleet:
    """All machines of one emulator, and what a test may set about them."""

    def __init__(self) -> None:
        self.quota: int | None = None
        """Machines that a project may have in a location; None: any number."""
        self.patience_seconds = _PATIENCE_SECONDS
        """So long a container may take to become healthy, in real time."""
        self._running: dict[tuple[str, str], _Running] = {}
        self._lock = Lock()
        self._at_work: list[Thread] = []

    def reset(self) -> None:
        """Forget what a test has set; what is up stays up."""
        self.quota = None
        self.patience_seconds = _PATIENCE_SECONDS

    def machines(self) -> list[Machine]:
        """Return what is up: taken by a deployment or a job, also one that has only begun."""
        with self._lock:
            return [running.server.machine for running in self._running.values()]

    def take(self, server: Server) -> None:
        """Take the machines that a server needs.

        Raises:
            Refused: The quota is exceeded.
        """
        machine = server.machine
        with self._lock:
            place = _place(machine.resource)
            taken = sum(
                running.server.machine.replicas
                for running in self._running.values()
                if _place(running.server.machine.resource) == place
            )
            if self.quota is not None and taken + machine.replicas > self.quota:
                raise Refused(
                    "RESOURCE_EXHAUSTED",
                    "The following quotas are exceeded: CustomModelServingCPUsPerProjectPerRegion "
                    f"({taken} of {self.quota} machines are in use, {machine.replicas} more are asked for).",
                    reason="RATE_LIMIT_EXCEEDED",
                )
            self._running[machine.resource, machine.deployed_model] = _Running(server)

    def bring_up(self, surroundings: Surroundings, server: Server) -> None:
        """Start the container on machines that were taken; on failure they are given back.

        Raises:
            Refused: It did not become healthy.
        """
        running = self._running[server.machine.resource, server.machine.deployed_model]
        try:
            running.container(surroundings, self)
        except BaseException:
            self.stop(server.machine.resource, server.machine.deployed_model)
            raise

    def change(self, server: Server) -> None:
        """Have other machines, or another way of logging, for a server that is up; its container goes on."""
        with self._lock:
            running = self._running.get((server.machine.resource, server.machine.deployed_model))
            if running is not None:
                running.server = server

    def hold(self, server: Server) -> AbstractContextManager[_Running]:
        """Keep a server from being stopped, for the time of one request; begun before this returns.

        Its container is started again if it has died, or if the emulator was started again.
        """
        key = server.machine.resource, server.machine.deployed_model
        with self._lock:
            return self._running.setdefault(key, _Running(server)).busy()

    def stop(self, resource: str, deployed_model: str) -> None:
        """Give machines back, after the requests that are under way; none is no error."""
        with self._lock:
            running = self._running.get((resource, deployed_model))
        if running is not None:
            running.stop(drain_seconds=_DRAIN_SECONDS)
            with self._lock:
                self._running.pop((resource, deployed_model), None)

    def work(self, act: Callable[[], None]) -> None:
        """Do something that takes real time, in a thread of its own."""
        with self._lock:
            self._at_work = [thread for thread in self._at_work if thread.is_alive()]
            thread = Thread(target=act, name="batch-prediction", daemon=True)
            thread.start()
            self._at_work.append(thread)

    def close(self) -> None:
        """Wait for the ends of all containers; who ends the emulator has killed them."""
        for thread in self._at_work:
            thread.join()
        for machine in self.machines():
            with self._lock:
                running = self._running.pop((machine.resource, machine.deployed_model))
            running.stop(drain_seconds=0)


class _Running:
    """One server's machines and its container, if it is up."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._container: Container | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._starting = Lock()
        self._changed = Condition()
        self._in_flight = 0

    def busy(self) -> AbstractContextManager[Self]:
        """Count a request from now on until the block ends."""
        with self._changed:
            self._in_flight += 1
        return self._counted()

    @contextmanager
    def _counted(self) -> Iterator[Self]:
        try:
            yield self
        finally:
            with self._changed:
                self._in_flight -= 1
                self._changed.notify_all()

    def container(self, surroundings: Surroundings, fleet: Fleet) -> Container:
        """Return the container, healthy."""
        with self._starting:
            if self._container is not None and self._container.runs:
                return self._container
            self._end()
            self._folder = tempfile.TemporaryDirectory(prefix="cloudmlops-container-")
            port = free_port()
            started = Container(
                surroundings.processes,
                launch(
                    images_of(surroundings.state),
                    self.server.model.container_spec,
                    self._variables(surroundings, port),
                ),
                port=port,
                folder=Path(self._folder.name),
                said=_log_writer(surroundings, lambda: self.server),
            )
            self._container = started
            started.wait_healthy(self.server.health_route, seconds=fleet.patience_seconds)
            return started

    def stop(self, *, drain_seconds: float) -> None:
        """Wait for the requests that are under way, and end the container."""
        with self._changed:
            self._changed.wait_for(lambda: not self._in_flight, drain_seconds)
        with self._starting:
            self._end()

    def _end(self) -> None:
        if self._container is not None:
            self._container.stop()
            self._container = None
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def _variables(self, surroundings: Surroundings, port: int) -> dict[str, str]:
        """Return a container's environment.

        https://cloud.google.com/vertex-ai/docs/predictions/custom-container-requirements
        """
        server = self.server
        return {
            **surroundings.environment(),
            "AIP_MODE": "PREDICTION",
            "AIP_MODE_VERSION": "1.0.0",
            "AIP_FRAMEWORK": "CUSTOM_CONTAINER",
            "AIP_HTTP_PORT": str(port),
            "AIP_HEALTH_ROUTE": server.health_route,
            "AIP_PREDICT_ROUTE": server.predict_route,
            "AIP_STORAGE_URI": server.model.artifact_uri,
            "AIP_PROJECT_NUMBER": server.machine.resource.split("/")[1],
            "AIP_MACHINE_TYPE": server.machine.machine_type,
            **server.variables,
        }


_fleets: WeakKeyDictionary[State, Fleet] = WeakKeyDictionary()


def fleet_of(state: State) -> Fleet:
    """Return the machines of an emulator, known by its state."""
    if (known := _fleets.get(state)) is None:
        known = _fleets[state] = Fleet()
    return known


def _place(resource: str) -> str:
    return "/".join(resource.split("/")[:4])


def _log_writer(surroundings: Surroundings, serving: Callable[[], Server]) -> Callable[[str], None]:
    """Return what writes a container's lines as entries of Cloud Logging."""
    logs = Logs(surroundings)
    log = quote("aiplatform.googleapis.com/prediction_container", safe="")

    def write(line: str) -> None:
        server = serving()
        deployed = server.machine.deployed_model
        labels = {"deployed_model_id": deployed, "replica_id": f"{deployed}-0"} if deployed else {}
        if server.logged and line:
            logs.write(
                [
                    {
                        "logName": f"projects/{server.project}/logs/{log}",
                        "resource": server.resource,
                        "labels": labels,
                        "severity": "INFO",
                        "jsonPayload": {"message": line},
                    }
                ]
            )

    return write
