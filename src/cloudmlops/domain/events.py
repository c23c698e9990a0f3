"""What happens to runs, models and endpoints, as values that mean the same on every provider."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar, Final

from cloudmlops.domain.models import Stage

if TYPE_CHECKING:
    # For users' type checkers, which know what they connected to by this name; nothing here uses it.
    from cloudmlops._platform import Platform


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """Something that happened on a platform."""

    kind: ClassVar[str] = ""
    """The name that goes over the wire, such as `cloudmlops.model.registered`."""
    platform: str
    """Where it happened: the platform's stable address, without credentials."""
    time: datetime
    """Time-zone aware, UTC."""

    @property
    def meaning(self) -> tuple[str, ...]:
        """What makes two deliveries the same event, beside kind and platform."""
        raise NotImplementedError

    @property
    def key(self) -> str:
        """Kind, platform and meaning as 40 hexadecimal digits: deliveries of the same event share it."""
        return _digest(self.kind, self.platform, *self.meaning)


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelRegistered(Event):
    """A model version exists."""

    kind: ClassVar[str] = "cloudmlops.model.registered"
    model: str
    version: str
    run: str | None = None

    @property
    def meaning(self) -> tuple[str, ...]:
        return (self.model, self.version)


@dataclass(frozen=True, kw_only=True, slots=True)
class StageChanged(Event):
    """A ledger entry moved one version or more."""

    kind: ClassVar[str] = "cloudmlops.model.stage_changed"
    model: str
    sequence: int
    """Of the ledger entry."""
    changes: tuple[tuple[str, Stage, Stage], ...]
    """(version, from, to)."""
    actor: str
    reason: str

    @property
    def meaning(self) -> tuple[str, ...]:
        return (self.model, str(self.sequence))


@dataclass(frozen=True, kw_only=True, slots=True)
class RunCompleted(Event):
    """A pipeline run succeeded."""

    kind: ClassVar[str] = "cloudmlops.run.completed"
    pipeline: str
    run: str

    @property
    def meaning(self) -> tuple[str, ...]:
        return (self.run,)


@dataclass(frozen=True, kw_only=True, slots=True)
class RunFailed(Event):
    """A pipeline run failed; a resumed run may fail more than once, each time with its own attempt."""

    kind: ClassVar[str] = "cloudmlops.run.failed"
    pipeline: str
    run: str
    step: str
    error: str
    attempt: int = 1

    @property
    def meaning(self) -> tuple[str, ...]:
        return (self.run, str(self.attempt))


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelDeployed(Event):
    """A deployment became healthy."""

    kind: ClassVar[str] = "cloudmlops.model.deployed"
    model: str
    version: str
    endpoint: str
    deployment: str
    deployed_as: str
    """Unique for each act of deploying, so that the same version deployed twice is two events."""

    @property
    def meaning(self) -> tuple[str, ...]:
        return (self.endpoint, self.deployment, self.deployed_as)


@dataclass(frozen=True, kw_only=True, slots=True)
class DriftDetected(Event):
    """A monitored distribution moved away from its reference."""

    kind: ClassVar[str] = "cloudmlops.drift.detected"
    subject: str
    metric: str
    value: float
    threshold: float

    @property
    def meaning(self) -> tuple[str, ...]:
        return (self.subject, self.metric, self.time.isoformat())


@dataclass(frozen=True, kw_only=True, slots=True)
class UnknownEvent(Event):
    """An event of a kind that we do not know: kept, never an error."""

    kind: ClassVar[str] = "cloudmlops.unknown"
    type: str
    source: str
    id: str
    data: Mapping[str, object] = field(default_factory=dict)
    extensions: Mapping[str, str] = field(default_factory=dict)

    @property
    def meaning(self) -> tuple[str, ...]:
        return (self.source, self.id)

    @property
    def key(self) -> str:
        """Source and id alone: CloudEvents promises that the two together are unique."""
        return _digest(self.kind, *self.meaning)


KINDS: Final[Mapping[str, type[Event]]] = {
    kind.kind: kind
    for kind in (ModelRegistered, StageChanged, RunCompleted, RunFailed, ModelDeployed, DriftDetected, UnknownEvent)
}
"""Every kind of event by the name that goes over the wire."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Envelope:
    """A CloudEvent 1.0 as it travels, before we know what it means."""

    id: str
    source: str
    type: str
    time: datetime
    """Time-zone aware, UTC; the time of arrival when the sender gave none."""
    subject: str = ""
    data: Mapping[str, object] = field(default_factory=dict)
    """The JSON object sent; any other payload lies under the name `value`, bytes in base64."""
    extensions: Mapping[str, str] = field(default_factory=dict)
    """CloudEvents attributes beyond the standard ones, such as an audit log's `methodname`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DeadLetter:
    """An event that a handler gave up on."""

    handler: str
    event: Event
    attempts: int
    time: datetime
    """When the last attempt ended; time-zone aware, UTC."""
    error: str
    """The type of the last error, such as `ValueError`."""
    message: str
    traceback: str
    """Where the last error was raised; what looked like a secret is replaced by `***`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EventContext:
    """What a handler knows beside the event."""

    key: str
    """Names this handler's work on this event, the same in each attempt and each replay: hand it as an idempotency key
    to whatever the handler changes outside the platform."""
    attempt: int
    """Counted from 1, over failed and interrupted attempts; a replay begins again."""
    event: Event
    platform: Platform
    """The platform that handles the event; each register, promote, run, deploy and publish of it happens once."""


def handling_key(handler: str, event: Event) -> str:
    """Name what one handler does about one event: the same for each attempt and each replay."""
    return _digest(handler, event.key)


def _digest(*parts: str) -> str:
    # As a JSON list, so that ("a", "bc") and ("ab", "c") differ.
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:40]
