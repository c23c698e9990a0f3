"""The nodes of computes: how many are up, which runs have them, and when idle ones go.

Nothing waits for a timer: what has happened since the last look is worked out at the next, each at its own moment.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from threading import RLock
from typing import Any
from uuid import uuid4

from cloudmlops.emulators.azure.arm.errors import UserError
from cloudmlops.emulators.core.clock import Clock
from cloudmlops.emulators.core.state import State


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """One machine that is up, and costs."""

    id: str
    run: str
    """The run that has it; empty while it is idle."""
    since: float
    """When that began, in seconds since 1970."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cluster:
    """The nodes of one compute, and what they have cost until `counted`."""

    vm_size: str
    priority: str
    """`Dedicated` or `LowPriority`."""
    minimum: int
    maximum: int
    idle_seconds: float
    """How long an idle node above the minimum stays."""
    nodes: tuple[Node, ...] = ()
    busy_node_seconds: float = 0.0
    idle_node_seconds: float = 0.0
    counted: float = 0.0
    """Until when, in seconds since 1970."""
    gone: bool = False
    """Whether the compute is deleted; its account stays."""

    @property
    def busy(self) -> int:
        """How many nodes have a run."""
        return sum(1 for node in self.nodes if node.run)

    @property
    def idle(self) -> int:
        """How many nodes have none."""
        return len(self.nodes) - self.busy


def settled(cluster: Cluster, now: float) -> Cluster:
    """Return a cluster as it is now: idle nodes have gone when their time was over, and all time is counted."""
    while len(cluster.nodes) > cluster.minimum and cluster.idle:
        oldest = min((node for node in cluster.nodes if not node.run), key=lambda node: node.since)
        goes = max(oldest.since + cluster.idle_seconds, cluster.counted)
        if goes > now:
            break
        kept = tuple(node for node in cluster.nodes if node.id != oldest.id)
        cluster = replace(_counted(cluster, goes), nodes=kept)
    return _counted(cluster, now)


def resized(cluster: Cluster, count: int, now: float) -> Cluster:
    """Return a cluster with as many nodes, as far as runs let it: nodes that have one stay."""
    cluster = settled(cluster, now)
    idle = [node for node in cluster.nodes if not node.run]
    busy = [node for node in cluster.nodes if node.run]
    kept = idle[: max(0, count - len(busy))]
    new = [_node("", now) for _ in range(count - len(busy) - len(kept))]
    return replace(cluster, nodes=(*busy, *kept, *new))


def occupied(cluster: Cluster, run: str, count: int, now: float) -> Cluster | None:
    """Return a cluster in which a run has nodes, idle ones first; None while there are not enough."""
    cluster = settled(cluster, now)
    idle = [node for node in cluster.nodes if not node.run][:count]
    missing = count - len(idle)
    if len(cluster.nodes) + missing > cluster.maximum:
        return None
    taken = {node.id for node in idle}
    left = tuple(node for node in cluster.nodes if node.id not in taken)
    given = tuple(replace(node, run=run, since=now) for node in idle)
    return replace(cluster, nodes=(*left, *given, *(_node(run, now) for _ in range(missing))))


def vacated(cluster: Cluster, run: str | None, now: float) -> Cluster:
    """Return a cluster in which the nodes of a run, or of all, are idle."""
    cluster = settled(cluster, now)
    nodes = tuple(
        replace(node, run="", since=now) if node.run and run in (None, node.run) else node for node in cluster.nodes
    )
    return settled(replace(cluster, nodes=nodes), now)


@dataclass(slots=True)
class _Waiting:
    compute: str
    run: str
    nodes: int
    ready: Callable[[], None]


class Clusters:
    """The clusters of all computes, by the ids of these."""

    def __init__(self, state: State, clock: Clock) -> None:
        self._clock = clock
        self._kept = state.table("ml_clusters")
        self._lock = RLock()
        self._waiting: list[_Waiting] = []

    def define(self, compute: str, cluster: Cluster) -> None:
        """Let a compute have other settings; its nodes and what they have cost so far stay."""
        now = self._now()
        served: list[Callable[[], None]] = []
        with self._lock:
            known = self._load(compute)
            if known is not None:
                known = settled(known, now)
                cluster = replace(
                    cluster,
                    nodes=known.nodes,
                    busy_node_seconds=known.busy_node_seconds,
                    idle_node_seconds=known.idle_node_seconds,
                    counted=known.counted,
                )
            else:
                cluster = replace(cluster, counted=now)
            wanted = min(max(len(cluster.nodes), cluster.minimum), max(cluster.maximum, cluster.busy))
            self._save(compute, resized(cluster, wanted, now))
            self._serve(compute, served)
        _tell(served)

    def resize(self, compute: str, count: int) -> None:
        """Have as many nodes now; idle ones above the minimum go again in their time."""
        with self._lock:
            known = self._known(compute)
            self._save(compute, resized(known, count, self._now()))

    def remove(self, compute: str) -> None:
        """Let a compute have no nodes any more; its account stays."""
        with self._lock:
            known = self._load(compute)
            if known is not None:
                gone = resized(vacated(known, None, self._now()), 0, self._now())
                self._save(compute, replace(gone, minimum=0, maximum=0, gone=True))

    def allocate(self, compute: str, run: str, ready: Callable[[], None], *, nodes: int = 1) -> None:
        """Give a run nodes of a compute, once there are enough.

        Args:
            compute: The id of the compute.
            run: The run's name.
            ready: Is called once when it has them, perhaps before this returns.
            nodes: How many.

        Raises:
            Refused: There is no such compute, or it never has as many.
        """
        served: list[Callable[[], None]] = []
        with self._lock:
            known = self._known(compute)
            if known.maximum and nodes > known.maximum:
                raise UserError(
                    "INVALID_ARGUMENT",
                    f"The run asks for {nodes} nodes, and the compute has {known.maximum} at most.",
                )
            self._waiting.append(_Waiting(compute.lower(), run, nodes, ready))
            self._serve(compute, served)
        _tell(served)

    def release(self, compute: str, run: str) -> None:
        """Take the nodes of a run back, or let it wait no more; one that has none is no error."""
        served: list[Callable[[], None]] = []
        with self._lock:
            key = compute.lower()
            self._waiting = [one for one in self._waiting if (one.compute, one.run) != (key, run)]
            known = self._load(compute)
            if known is not None:
                self._save(compute, vacated(known, run, self._now()))
                self._serve(compute, served)
        _tell(served)

    def release_all(self) -> None:
        """Let no run have nodes: those of an emulator that was before are gone."""
        with self._lock:
            for compute, cluster in self.all().items():
                self._save(compute, vacated(cluster, None, self._now()))

    def get(self, compute: str) -> Cluster | None:
        """Return the cluster of a compute as it is now."""
        with self._lock:
            known = self._load(compute)
            return settled(known, self._now()) if known is not None else None

    def all(self) -> Mapping[str, Cluster]:
        """Return all, those of computes that are gone too, by the ids in lower case."""
        now = self._now()
        return {compute: settled(_read(data), now) for compute, data in self._kept.items()}

    def waiting(self, compute: str) -> int:
        """Return how many runs wait for nodes of a compute."""
        with self._lock:
            return sum(1 for one in self._waiting if one.compute == compute.lower())

    def _serve(self, compute: str, served: list[Callable[[], None]]) -> None:
        """Give nodes to those who wait, in their order: nobody overtakes."""
        key = compute.lower()
        for one in [one for one in self._waiting if one.compute == key]:
            found = occupied(self._known(compute), one.run, one.nodes, self._now())
            if found is None:
                return
            self._save(compute, found)
            self._waiting.remove(one)
            served.append(one.ready)

    def _known(self, compute: str) -> Cluster:
        known = self._load(compute)
        if known is None or known.gone:
            raise UserError("NOT_FOUND", f"Unable to find compute target {compute.rpartition('/')[2]}.")
        return known

    def _load(self, compute: str) -> Cluster | None:
        data = self._kept.get(compute.lower())
        return _read(data) if data is not None else None

    def _save(self, compute: str, cluster: Cluster) -> None:
        self._kept.put(compute.lower(), json.dumps(asdict(cluster)).encode())

    def _now(self) -> float:
        return self._clock.now().timestamp()


def _tell(served: list[Callable[[], None]]) -> None:
    for ready in served:
        ready()


def _read(data: bytes) -> Cluster:
    content: dict[str, Any] = json.loads(data)
    nodes = tuple(Node(**node) for node in content.pop("nodes"))
    return Cluster(**content, nodes=nodes)


def _counted(cluster: Cluster, until: float) -> Cluster:
    passed = max(0.0, until - cluster.counted)
    return replace(
        cluster,
        busy_node_seconds=cluster.busy_node_seconds + passed * cluster.busy,
        idle_node_seconds=cluster.idle_node_seconds + passed * cluster.idle,
        counted=max(until, cluster.counted),
    )


def _node(run: str, now: float) -> Node:
    return Node(id=f"tvmps_{uuid4().hex}_d", run=run, since=now)
