"""One endpoint's supervisor: its deployments, its traffic split, and the orders that change them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from cloudmlops.domain.endpoints import DeploymentState, TrafficReason, check_traffic, traffic_with, traffic_without
from cloudmlops.errors import CloudMLOpsError, ConflictError, NotFoundError, UnavailableError
from cloudmlops.providers.local.hosting.balancing import SmoothWeighted
from cloudmlops.providers.local.hosting.endpoint_state import (
    KEPT_CHANGES,
    KEPT_FORMER,
    DeploymentRecord,
    EndpointRecord,
)
from cloudmlops.providers.local.hosting.forwarding import BrokenOffError, NotSentError, OverdueError, Reply
from cloudmlops.providers.local.hosting.workers import Worker

_log = logging.getLogger("cloudmlops.endpoints")

_GRACE_S: Final = 30.0
_DRAIN_MARGIN_S: Final = 5.0
"""Beyond what a request may take: none in flight should be left then."""
_START_S: Final = 30.0
"""So long a request waits for the replicas of an endpoint that has just been started again."""
_LOG_TAIL: Final = 4000


class Running:
    """A deployment's replicas."""

    def __init__(self, record: DeploymentRecord, workers: list[Worker]) -> None:
        self.record = record
        self.workers = workers
        self.draining = False
        self.tasks: list[asyncio.Task[None]] = []
        self.begun = asyncio.Event()
        """Set when the first start of its replicas has come to an end, good or bad."""

    @property
    def state(self) -> DeploymentState:
        """How it is."""
        if self.draining:
            return DeploymentState.DRAINING
        if not self.record.healthy:
            return DeploymentState.STARTING
        return DeploymentState.HEALTHY if all(worker.healthy for worker in self.workers) else DeploymentState.DEGRADED

    def choose(self, tried: set[int]) -> Worker | None:
        """Return the healthy replica with the least to do that was not tried; None when there is none."""
        ready = [worker for worker in self.workers if worker.healthy and id(worker) not in tried]
        return min(ready, key=lambda worker: worker.in_flight, default=None)


class Supervisor:
    """Keeps an endpoint's workers, and says which one gets a request.

    Args:
        folder: The endpoint's folder, which is the working folder of this process.
        record: What the folder's `state.json` says.
    """

    def __init__(self, folder: Path, record: EndpointRecord) -> None:
        self._folder = folder
        self.record = record
        self._running: dict[str, Running] = {}
        self._split = SmoothWeighted(record.traffic)
        self._starting: set[asyncio.Task[None]] = set()
        self.ended = asyncio.Event()

    @property
    def name(self) -> str:
        """The endpoint's."""
        return self.record.name

    async def forward(self, head: bytes, body: bytes) -> tuple[Reply, str] | str:
        """Pass a request to the deployment whose turn it is; return the answer and its name, or why not.

        A worker that cannot be reached is passed over for another replica. A request that a worker died over is not
        sent again: it may have had an effect.

        Raises:
            OverdueError: The model took longer than it may.
        """
        if (name := self._split.next()) is None:
            return f"endpoint {self.record.name!r} has no deployment with traffic"
        running = self._running[name]
        if not running.begun.is_set():  # the endpoint itself has just been started again: nobody need retry for that
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(running.begun.wait(), _START_S)
        tried: set[int] = set()
        while (worker := running.choose(tried)) is not None:
            tried.add(id(worker))
            try:
                return await worker.exchange(head, body), name
            except OverdueError as error:
                raise OverdueError(
                    f"the model of {name!r} did not answer within {running.record.prediction_timeout_s:g} s; if it may "
                    "take longer, deploy it on a platform with a longer prediction_timeout"
                ) from error
            except NotSentError:
                continue
            except BrokenOffError:
                return (
                    f"the worker of {name!r} ended while it had this request, which may or may not have been answered"
                )
        return f"no replica of {name!r} is up; it is being restarted"

    @property
    def ready(self) -> bool:
        """Whether every deployment with traffic has a replica that is up."""
        names = [name for name, share in self.record.traffic.items() if share]
        return bool(names) and all(any(worker.healthy for worker in self._running[name].workers) for name in names)

    @property
    def empty(self) -> bool:
        """Whether there is nothing, and nothing on its way, that could answer a request."""
        return all(running.draining for running in self._running.values())

    async def obey(self, order: Mapping[str, Any]) -> Any:
        """Carry out one order and return its answer."""
        arguments = {name: value for name, value in order.items() if name != "verb"}
        return await getattr(self, f"order_{order['verb']}")(**arguments)

    async def order_status(self) -> dict[str, Any]:
        """Tell how each deployment is."""
        return {
            name: {
                "state": running.state.value,
                "healthy_replicas": sum(worker.healthy for worker in running.workers),
                "in_flight": sum(worker.in_flight for worker in running.workers),
                "restarts": sum(worker.restarts for worker in running.workers),
                "pids": [worker.pid for worker in running.workers],
            }
            for name, running in self._running.items()
        }

    async def order_deploy(self, record: Mapping[str, Any]) -> None:
        """Begin to deploy; the model's files are in place."""
        if self.ended.is_set():
            raise UnavailableError(f"the supervisor of endpoint {self.name!r} is about to end")
        wanted = DeploymentRecord(**record)
        if self.record.find(wanted.name) is not None:
            raise ConflictError(f"a deployment {wanted.name!r} exists at endpoint {self.record.name!r}")
        self.record.deployments.append(wanted)
        self._save()
        self._begin(wanted)

    async def order_traffic(self, traffic: Mapping[str, int], reason: str, actor: str) -> None:
        """Split traffic anew."""
        check_traffic(self.record.name, traffic, {name: running.state for name, running in self._running.items()})
        self._set_traffic(dict(traffic), TrafficReason(reason), actor)

    async def order_undeploy(self, name: str, actor: str) -> None:
        """Stop a deployment after its requests in flight."""
        if (running := self._running.get(name)) is None:
            raise NotFoundError(f"there is no deployment {name!r} at endpoint {self.record.name!r}")
        running.draining = True
        if self.record.traffic.get(name):
            rest = [other for other, found in self._running.items() if found.record.healthy and not found.draining]
            self._set_traffic(traffic_without(self.record.traffic, name, rest), TrafficReason.UNDEPLOYED, actor)
        else:
            self._save()
        try:
            async with asyncio.timeout(running.record.prediction_timeout_s + _DRAIN_MARGIN_S):
                await asyncio.gather(*(worker.quiet.wait() for worker in running.workers))
        except TimeoutError:
            _log.warning("%s still has requests in flight after its time for them; it is ended", name)
        if not running.record.healthy:
            self._replace(running, failure="it was undeployed before it was healthy")
        await self._end(running)

    async def order_announced(self, deployed_as: str) -> None:
        """Note that the deployment's event was published."""
        for running in self._running.values():
            if running.record.deployed_as == deployed_as:
                self._replace(running, announced=True)
        self._save()

    async def order_stop(self) -> None:
        """End this process, after its workers."""
        self.ended.set()

    def revive(self) -> None:
        """Start what the record says was deployed; what never became healthy before is begun again."""
        for record in list(self.record.deployments):
            self._begin(record)

    async def stop(self) -> None:
        """End all workers."""
        for task in self._starting:
            task.cancel()
        await asyncio.gather(*(self._stop_workers(running) for running in self._running.values()))

    def _begin(self, record: DeploymentRecord) -> None:
        folder = Path(record.name)
        command = ["-P", "-m", "cloudmlops.serving", "--model", str(folder / "model"), "--target", record.target]
        log = folder / "worker.log"
        workers = [
            Worker(folder / f"{number}.sock", command=command, log=log, deadline_s=record.prediction_timeout_s)
            for number in range(record.replicas)
        ]
        self._running[record.name] = running = Running(record, workers)
        task = asyncio.create_task(self._bring_up(running))
        self._starting.add(task)
        task.add_done_callback(self._starting.discard)

    async def _bring_up(self, running: Running) -> None:
        try:
            await self._started(running)
        except CloudMLOpsError as error:
            await self._fail(running, error)
        finally:
            running.begun.set()

    async def _started(self, running: Running) -> None:
        results = await asyncio.gather(*(worker.start() for worker in running.workers), return_exceptions=True)
        if running.draining:
            return
        faults = [result for result in results if isinstance(result, BaseException)]
        if faults and not running.record.healthy:
            await self._fail(running, faults[0])
            return
        for fault in faults:
            _log.warning("a worker of %s did not start: %s", running.record.name, fault)
        running.tasks = [asyncio.create_task(worker.supervise()) for worker in running.workers]
        if not running.record.healthy:
            others = any(self.record.traffic.values())  # they may have gone since it was asked for: then it takes all
            percent = running.record.traffic_percent if others else None
            split = traffic_with(self.record.traffic, running.record.name, percent)
            record = self._replace(running, healthy=True)
            if split != self.record.traffic:
                self._set_traffic(split, TrafficReason.DEPLOYED, record.actor)
            self._save()
            _log.info("%s is healthy; traffic is %s", record.name, self.record.traffic)

    async def _fail(self, running: Running, fault: BaseException) -> None:
        log = (Path(running.record.name) / "worker.log").read_text(encoding="utf-8", errors="replace")
        self._replace(running, failure=f"{fault}\n{log[-_LOG_TAIL:].strip()}")
        _log.warning("%s failed: %s", running.record.name, fault)
        await self._end(running)
        if not self.record.exists:
            self.ended.set()

    async def _end(self, running: Running) -> None:
        """Stop a deployment's workers and forget it, but for what became of it."""
        record = running.record
        await self._stop_workers(running)
        if self._running.get(record.name) is not running:  # another order has ended it meanwhile
            return
        del self._running[record.name]
        self.record.deployments = [other for other in self.record.deployments if other.name != record.name]
        self.record.former = [*self.record.former, record][-KEPT_FORMER:]
        self._save()
        shutil.rmtree(record.name, ignore_errors=True)

    async def _stop_workers(self, running: Running) -> None:
        # First those who would start a worker again: one that is just being started must not be overlooked.
        for task in running.tasks:
            task.cancel()
        await asyncio.gather(*running.tasks, return_exceptions=True)
        await asyncio.gather(*(worker.stop(grace_s=_GRACE_S) for worker in running.workers))

    def _replace(self, running: Running, **changes: Any) -> DeploymentRecord:
        running.record = replace(running.record, **changes)
        records = [
            running.record if record.name == running.record.name else record for record in self.record.deployments
        ]
        self.record.deployments = records
        return running.record

    def _set_traffic(self, traffic: dict[str, int], reason: TrafficReason, actor: str) -> None:
        change = {"traffic": traffic, "at": datetime.now(UTC).isoformat(), "actor": actor, "reason": reason.value}
        self.record.traffic = traffic
        self.record.history = [*self.record.history, change][-KEPT_CHANGES:]
        self._save()
        self._split = SmoothWeighted(traffic)

    def _save(self) -> None:
        self.record.write(self._folder)


def fault_of(error: CloudMLOpsError) -> dict[str, Any]:
    """Return an error as the answer to an order."""
    return {"kind": type(error).__name__, "message": error.message, "hint": error.hint}
