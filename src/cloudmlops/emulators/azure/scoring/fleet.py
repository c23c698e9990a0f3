"""The machines that serve deployments: what is up, what it takes of the quota, and the container on each."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from itertools import count
from pathlib import Path
from random import Random
from threading import Condition, Lock, Thread
from typing import Final

from cloudmlops.emulators.azure.arm.errors import Detail, UserError
from cloudmlops.emulators.azure.arm.world import World
from cloudmlops.emulators.azure.blob.sharing import Blobs
from cloudmlops.emulators.azure.entra.managed import ManagedIdentities
from cloudmlops.emulators.azure.ml.identities import assigned_to
from cloudmlops.emulators.azure.scoring.containers import Container, Unavailable
from cloudmlops.emulators.azure.scoring.images import ServingImages
from cloudmlops.emulators.azure.scoring.plans import Plan, provided
from cloudmlops.emulators.core.faults import Refused

_PATIENCE_SECONDS: Final = 60.0
_DRAIN_SECONDS: Final = 60.0
_MAKERS: Final = frozenset({"AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "AZURE_TENANT_ID"})
"""Variables of who runs the emulator: no container has them."""
_LOG_BYTES: Final = 4_000
"""How much of the log's end an error quotes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Size:
    """Machines that a deployment has."""

    instance_type: str
    instances: int
    """One process stands for all of them."""


class Fleet:
    """All machines of one emulator, and what a test may set about them."""

    def __init__(self, world: World, identities: ManagedIdentities) -> None:
        self._world = world
        self._identities = identities
        self._blobs = Blobs(world.surroundings)
        self._folder = world.surroundings.state.folder / "scoring"
        self._servers: dict[str, Server] = {}
        self._sizes: dict[str, Size] = {}
        self._threads: list[Thread] = []
        self._lock = Lock()
        self._order = count()
        self.images = ServingImages()
        """What runs for a container image."""
        self.cores: int | None = None
        """How many a subscription may have; None is any number."""
        self.patience_seconds = _PATIENCE_SECONDS
        """So long a container may take to become healthy, in real time."""
        self.chance = Random(0)  # noqa: S311 it shares traffic, and is to be repeatable
        """Which deployment a request goes to."""

    def reset(self) -> None:
        """Forget what a test has set; what is up stays up."""
        self.images = ServingImages()
        self.cores = None
        self.patience_seconds = _PATIENCE_SECONDS
        self.chance = Random(0)  # noqa: S311 see above

    def take(self, deployment: str, size: Size) -> None:
        """Take the machines of a deployment, by its id.

        Raises:
            Refused: The quota does not allow it.
        """
        subscription = deployment.split("/")[2]
        with self._lock:
            others = [
                one
                for key, one in self._sizes.items()
                if key != deployment.lower() and key.split("/")[2] == subscription
            ]
            used, more = sum(map(_cores, others)), _cores(size)
            if self.cores is not None and used + more > self.cores:
                raise _out_of_quota(size, subscription, used=used, limit=self.cores, more=more)
            self._sizes[deployment.lower()] = size

    def deployments(self) -> list[str]:
        """Return the deployments that have machines, by their ids in small letters."""
        with self._lock:
            return sorted(self._sizes)

    def size(self, deployment: str) -> Size | None:
        """Return the machines of a deployment."""
        with self._lock:
            return self._sizes.get(deployment.lower())

    def bring_up(self, deployment: str, plan: Plan) -> None:
        """Have a container for a plan, ready; one that runs by the same plan goes on, another is let go after that.

        Raises:
            Refused: It did not become ready; the message has the end of its log.
        """
        with self._lock:
            known, order = self._servers.get(deployment.lower()), next(self._order)
        if known is not None and known.plan == plan and known.ready:
            return
        server = Server(
            self._world,
            self._blobs,
            plan,
            log=self.log_of(deployment),
            identity=self._identity(deployment),
            patience_seconds=self.patience_seconds,
            order=order,
        )
        server.start()
        with self._lock:
            former: Server | None = self._servers.get(deployment.lower())
            if deployment.lower() not in self._sizes:
                former = server  # it was deleted meanwhile, with its endpoint: its machines are given back
            elif former is not None and former.order > order:
                former = server  # another plan was brought up meanwhile, and is the one to stay
            else:
                self._servers[deployment.lower()] = server
        if former is not None:
            former.stop(drain_seconds=_DRAIN_SECONDS)

    def _identity(self, deployment: str) -> dict[str, str]:
        """Return the variables by which a deployment gets tokens: as its endpoint's identities, and never as its maker.

        Those of a user-assigned one it gets by naming its client id.
        """
        endpoint = self._world.resources.get(deployment.partition("/deployments/")[0]) or {}
        assigned = assigned_to(self._world.tokens, endpoint)
        return self._identities.environment(assigned.own, *assigned.others.values())

    def server(self, deployment: str) -> Server | None:
        """Return the server of a deployment, if it ever was ready."""
        with self._lock:
            return self._servers.get(deployment.lower())

    def stop(self, deployment: str) -> None:
        """Give the machines of a deployment back, after the requests that are under way; none is no error."""
        with self._lock:
            server = self._servers.pop(deployment.lower(), None)
            self._sizes.pop(deployment.lower(), None)
        if server is not None:
            server.stop(drain_seconds=_DRAIN_SECONDS)
        self.log_of(deployment).unlink(missing_ok=True)

    def log_of(self, deployment: str) -> Path:
        """Return the file that a deployment's containers write to."""
        self._folder.mkdir(parents=True, exist_ok=True)
        return self._folder / f"{sha256(deployment.lower().encode()).hexdigest()[:32]}.log"

    def work(self, act: Callable[[], None]) -> None:
        """Do something that takes real time, in a thread of its own."""
        with self._lock:
            self._threads = [thread for thread in self._threads if thread.is_alive()]
            thread = Thread(target=act, name="scoring", daemon=True)
            self._threads.append(thread)
            thread.start()

    def settle(self) -> None:
        """Wait until nothing is under way beside the calls: starts, ends, mirrored requests."""
        with self._lock:
            threads = list(self._threads)
        for thread in threads:
            thread.join()

    def close(self) -> None:
        """Wait for what is under way; who ends the emulator has killed all containers."""
        self.settle()
        with self._lock:
            servers = list(self._servers.values())
        for server in servers:
            server.stop(drain_seconds=0)


class Server:
    """The container of one deployment, by one plan."""

    def __init__(
        self,
        world: World,
        blobs: Blobs,
        plan: Plan,
        *,
        log: Path,
        identity: Mapping[str, str],
        patience_seconds: float,
        order: int,
    ) -> None:
        self.plan = plan
        self.order = order
        """The later wins."""
        self._world = world
        self._blobs = blobs
        self._log = log
        self._identity = identity
        self._patience_seconds = patience_seconds
        self._folder = Path(tempfile.mkdtemp(prefix="cloudmlops-deployment-"))
        self._container: Container | None = None
        self._starting = Lock()
        self._changed = Condition()
        self._in_flight = 0
        self._stopped = False

    @property
    def ready(self) -> bool:
        """Whether it can be asked."""
        container = self._container
        return container is not None and container.runs

    @property
    def starting(self) -> bool:
        """Whether its container is being started just now."""
        return self._starting.locked()

    def start(self) -> None:
        """Start the container and wait until it is ready.

        Raises:
            Refused: It did not become ready; then nothing of it is left.
        """
        with self._starting:
            if self.ready or self._stopped:
                return
            try:
                self._container = self._started()
            except BaseException:
                self._remove()
                raise

    @contextmanager
    def asked(self, *, most: int) -> Iterator[Container]:
        """Count a request until the block ends.

        Args:
            most: Requests that may be under way at once.

        Raises:
            Unavailable: No container is ready.
            Refused: RESOURCE_EXHAUSTED: there are too many already.
        """
        with self._changed:
            if self._in_flight >= most:
                raise Refused("RESOURCE_EXHAUSTED", "too_many_pending_requests")
            self._in_flight += 1
        try:
            container = self._container
            if container is None or not container.runs:
                raise Unavailable
            yield container
        finally:
            with self._changed:
                self._in_flight -= 1
                self._changed.notify_all()

    def stop(self, *, drain_seconds: float) -> None:
        """Wait for the requests that are under way, and end the container."""
        with self._changed:
            self._changed.wait_for(lambda: not self._in_flight, drain_seconds)
        with self._starting:
            self._stopped = True
            self._remove()

    def _started(self) -> Container:
        surroundings = self._world.surroundings
        command, variables, told = provided(self.plan, self._world.resources, self._blobs, self._folder)
        with self._log.open("a", encoding="utf-8") as log:
            log.write(told)
        begin = self._log.stat().st_size
        base = {name: value for name, value in surroundings.environment().items() if name not in _MAKERS}
        environment = {**base, "PYTHONUNBUFFERED": "1", **self._identity, **variables}
        try:
            container = Container(
                surroundings.processes, command, environment=environment, folder=self._folder, log=self._log
            )
        except OSError as error:
            raise _not_ready(f"The container could not be started: {error}.", "") from error
        if container.wait_ready(self.plan.health_route, seconds=self._patience_seconds):
            return container
        runs = container.runs
        container.stop()
        # Who deletes the endpoint meanwhile removes the log.
        said = self._log.read_bytes()[begin:][-_LOG_BYTES:].decode(errors="replace") if self._log.exists() else ""
        why = "did not become healthy in time" if runs else "ended before it became healthy"
        raise _not_ready(f"The container of the deployment {why}.", said)

    def _remove(self) -> None:
        if self._container is not None:
            self._container.stop()
            self._container = None
        shutil.rmtree(self._folder, ignore_errors=True)


_CORES: Final[Mapping[str, int]] = {
    "standard_ds1_v2": 1,
    "standard_ds2_v2": 2,
    "standard_ds3_v2": 4,
    "standard_ds4_v2": 8,
    "standard_ds5_v2": 16,
}
"""Of sizes whose names do not say it."""


def _cores(size: Size) -> int:
    """Return the cores that a deployment takes: of a size such as `Standard_F4s_v2` its name says them.

    The service wants a fifth of the instances more, for upgrades (learn.microsoft.com, "Manage quotas").
    """
    name = size.instance_type.lower()
    digits = "".join(character for character in name.partition("_")[2].partition("_")[0] if character.isdigit())
    each = _CORES.get(name) or int(digits or 1)
    return each * -(-size.instances * 12 // 10)


def _out_of_quota(size: Size, subscription: str, *, used: int, limit: int, more: int) -> UserError:
    """Return the refusal in the service's words (MicrosoftLearning/mslearn-azure-ml issue 30)."""
    told = (
        f"Not enough quota available for {size.instance_type} in SubscriptionId {subscription}. Current usage/limit: "
        f"{used}/{limit}. Additional needed: {more} Please see troubleshooting guide, available here: "
        "https://aka.ms/oe-tsg#error-outofquota"
    )
    detail = Detail(
        code="InferencingClientCreateDeploymentFailed",
        message=f'InferencingClient HttpRequest error, error detail: {{"errors":{{"VmSize":["{told}"]}},"status":400}}',
    )
    refused = UserError("INVALID_ARGUMENT", "The request is invalid.", (detail,))
    refused.reason = "BadRequest"
    return refused


def _not_ready(message: str, log: str) -> UserError:
    """Return why a deployment failed: `ResourceNotReady`, as the troubleshooting guide names it."""
    told = f"{message} Check the logs with getLogs.\n{log}".rstrip()
    refused = UserError("FAILED_PRECONDITION", told)
    refused.reason = "ResourceNotReady"
    return refused
