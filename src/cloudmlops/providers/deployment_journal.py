"""The journal of an endpoint, in the object store: `endpoints/NAME/000000000042.json`, each entry made once.

Labels and tags of the clouds are too small for it. What is deployed and how traffic is split is known by the cloud
alone; the journal knows what was asked for, by whom, and what became of it. Entries are created only if they are not
there, so of two processes that write the same number one reads again and decides anew.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from cloudmlops.domain.endpoints import TrafficReason
from cloudmlops.errors import UnexpectedReplyError

if TYPE_CHECKING:
    from cloudmlops.ports.clock import Clock
    from cloudmlops.ports.objects import ObjectStore

_ROOT: Final = "endpoints"
Change = Mapping[str, Any]
"""An entry without number, id and time: `kind` and what belongs to it."""


class ActState(StrEnum):
    """What became of an act of deploying."""

    BEGUN = "begun"
    DEPLOYED = "deployed"
    FAILED = "failed"
    UNDEPLOYED = "undeployed"


@dataclass(frozen=True, kw_only=True, slots=True)
class Act:
    """One act of deploying."""

    deployed_as: str
    name: str
    model: str
    version: str
    native_model: str
    """The cloud's name of the version."""
    deployed_id: str
    """The cloud's id of the deployment, given by us."""
    replicas: tuple[int, int]
    machine: str
    machine_asked: str | None
    created_at: str
    actor: str
    traffic_percent: int | None = None
    """The share that was asked for, where the cloud is told of it after the deployment is healthy."""
    environment: str = ""
    """The cloud's id of what serves it; empty where the cloud chooses."""
    looks_up: bool = False
    """Whether it looks features up."""
    state: ActState = ActState.BEGUN
    operation: str = ""
    """Name of the long-running operation; empty until it is known."""
    shifting_since: str = ""
    """When somebody began to give it its traffic; empty before."""
    announced: bool = False
    failure: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """An endpoint as its journal tells it."""

    number: int = 0
    """Of the last entry."""
    acts: Mapping[str, Act] = field(default_factory=dict)
    """By `deployed_as`, in their order."""
    history: tuple[Mapping[str, Any], ...] = ()

    def live(self) -> list[Act]:
        """Return the acts that are, or may come to be, deployed."""
        return [act for act in self.acts.values() if act.state in (ActState.BEGUN, ActState.DEPLOYED)]

    def begun(self) -> list[Act]:
        """Return the acts whose end is not known."""
        return [act for act in self.acts.values() if act.state is ActState.BEGUN]

    @property
    def served(self) -> bool:
        """Whether anything was ever deployed: only then is it an endpoint that may be empty."""
        return bool(self.history)

    @property
    def in_vain(self) -> bool:
        """Whether there were acts and none came to anything: an endpoint made for them, and empty, is of no use."""
        return bool(self.acts) and not self.begun() and not self.served


class Journal:
    """All journals of one platform."""

    def __init__(self, objects: ObjectStore, clock: Clock) -> None:
        self._objects = objects
        self._clock = clock
        self._known: dict[str, Record] = {}
        self._reading = Lock()

    def names(self) -> list[str]:
        """Return the endpoints that there is a journal of."""
        return sorted({key.split("/")[1] for key in self._objects.list(f"{_ROOT}/")})

    def read(self, endpoint: str) -> Record:
        """Return the record; entries are read once, for they do not change."""
        with self._reading:
            record = self._known.get(endpoint, Record())
            for key in self._objects.list(f"{_ROOT}/{endpoint}/", after=_key(endpoint, record.number)):
                record = _told(record, _entry(key, self._objects.get(key)))
            self._known[endpoint] = record
            return record

    def append(self, endpoint: str, decide: Callable[[Record], Change | None]) -> Record:
        """Write the next entry.

        Args:
            endpoint: Whose.
            decide: Returns what to write after a record, or None for nothing; called again when another process was
                faster.
        """
        identity = secrets.token_hex(8)
        while True:
            record = self.read(endpoint)
            change = decide(record)
            if change is None:
                return record
            entry = {"id": identity, "number": record.number + 1, "at": self._clock.now().isoformat(), **change}
            key = _key(endpoint, record.number + 1)
            made = self._objects.create(key, json.dumps(entry).encode())
            if made or _entry(key, self._objects.get(key))["id"] == identity:
                return self.read(endpoint)

    def add(self, endpoint: str, change: Change) -> Record:
        """Write the next entry, whatever the record is."""
        return self.append(endpoint, lambda _: change)

    def note(self, endpoint: str, act: Act, change: Change) -> Record:
        """Write an entry about an act, unless somebody else has changed its state meanwhile."""

        def decide(record: Record) -> Change | None:
            known = record.acts.get(act.deployed_as)
            return {**change, "deployed_as": act.deployed_as} if known and known.state is act.state else None

        return self.append(endpoint, decide)

    def fail(self, endpoint: str, act: Act, reason: str) -> Record:
        """Note that an act has failed."""
        return self.note(endpoint, act, {"kind": "failed", "failure": reason})

    def announce(self, endpoint: str, deployed_as: str) -> Record:
        """Note that `ModelDeployed` was published for an act."""

        def decide(record: Record) -> Change | None:
            act = record.acts.get(deployed_as)
            return None if act is None or act.announced else {"kind": "announced", "deployed_as": deployed_as}

        return self.append(endpoint, decide)

    def begin(
        self, endpoint: str, deployed_as: str, asked: Callable[[Record], Mapping[str, Any]]
    ) -> tuple[Record, bool]:
        """Note an act, and say whether it is this call that is to ask for it: nobody has before.

        Args:
            endpoint: Whose.
            deployed_as: Of the act.
            asked: Returns what is kept of it, and may refuse it.
        """
        begun = False

        def decide(record: Record) -> Change | None:
            nonlocal begun
            begun = deployed_as not in record.acts
            return {"kind": "begun", "act": asked(record)} if begun else None

        return self.append(endpoint, decide), begun


def _told(record: Record, entry: Mapping[str, Any]) -> Record:
    """Return a record after one more entry."""
    number, kind, acts = entry["number"], entry["kind"], dict(record.acts)
    if kind == "deleted":
        return Record(number=number)
    if kind == "begun":
        told = {**entry["act"], "replicas": tuple(entry["act"]["replicas"])}
        acts[told["deployed_as"]] = Act(created_at=entry["at"], **told)
    elif kind != "traffic":
        before = acts[entry["deployed_as"]]
        acts[before.deployed_as] = replace(before, **_CHANGES[kind](entry))
    history = record.history
    split = entry.get("traffic")
    if split is not None and (not history or dict(history[-1]["traffic"]) != dict(split)):
        history = (*history, {name: entry[name] for name in ("traffic", "at", "actor", "reason")})
    return Record(number=number, acts=acts, history=history)


_CHANGES: Final[Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any]]]] = {
    "operation": lambda entry: {"operation": entry["operation"]},
    "shifting": lambda entry: {"shifting_since": entry["at"]},
    "deployed": lambda _: {"state": ActState.DEPLOYED},
    "failed": lambda entry: {"state": ActState.FAILED, "failure": entry["failure"]},
    "undeployed": lambda _: {"state": ActState.UNDEPLOYED},
    "announced": lambda _: {"announced": True},
}


def split_change(kind: str, traffic: Mapping[str, int], reason: TrafficReason, actor: str, **more: Any) -> Change:
    """Return an entry after which an endpoint has another split."""
    return {"kind": kind, "traffic": dict(traffic), "reason": reason.value, "actor": actor, **more}


def undeployed_change(act: Act | None, traffic: Mapping[str, int], actor: str) -> Change:
    """Return the entry after which a deployment is gone; without an act it was made by other tools."""
    if act is None:
        return split_change("traffic", traffic, TrafficReason.UNDEPLOYED, actor)
    return split_change("undeployed", traffic, TrafficReason.UNDEPLOYED, actor, deployed_as=act.deployed_as)


def _key(endpoint: str, number: int) -> str:
    return f"{_ROOT}/{endpoint}/{number:012}.json"


def _entry(key: str, data: bytes) -> Mapping[str, Any]:
    try:
        entry: Mapping[str, Any] = json.loads(data)
    except ValueError as error:
        raise UnexpectedReplyError(
            f"{key} in the object store is damaged: {error}",
            hint="Bring back an earlier version of it.",
            resource=key,
        ) from error
    return entry
