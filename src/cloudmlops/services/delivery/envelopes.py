"""Events as CloudEvents and back: pure, and forgiving about letter case and about versions that are numbers."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

from cloudmlops.domain.events import (
    DriftDetected,
    Envelope,
    Event,
    ModelDeployed,
    ModelRegistered,
    RunCompleted,
    RunFailed,
    StageChanged,
    UnknownEvent,
)
from cloudmlops.domain.models import Stage
from cloudmlops.errors import InvalidRequestError


def to_envelope(event: Event) -> Envelope:
    """Write an event as a CloudEvent whose source is the platform and whose id is the event's meaning."""
    if isinstance(event, UnknownEvent):
        return Envelope(
            id=event.id,
            source=event.source,
            type=event.type,
            time=event.time,
            data=event.data,
            extensions=event.extensions,
        )
    meaning = "/".join(quote(str(part), safe="") for part in event.meaning)
    return Envelope(
        id=meaning,
        source=event.platform,
        type=event.kind,
        time=event.time,
        subject=meaning,
        data=_WRITERS[event.kind](event),
    )


def to_event(envelope: Envelope) -> Event:
    """Read a CloudEvent; a type that is not ours is an `UnknownEvent`.

    Raises:
        InvalidRequestError: The type is ours, and its data lack a field or have it in the wrong form.
    """
    if (read := _READERS.get(envelope.type)) is None:
        return _unknown(envelope)
    fields = _Fields(envelope.data)
    event = read(fields, {"platform": envelope.source, "time": envelope.time})
    if fields.faults:
        raise InvalidRequestError(
            f"event {envelope.id!r} of type {envelope.type!r} from {envelope.source!r} is malformed",
            hint="Send the fields that docs/events.md lists for this type.",
            faults=fields.faults,
        )
    return event


def to_event_or_unknown(envelope: Envelope) -> Event:
    """Read a CloudEvent that nobody can be told to send better: a malformed one is kept as an `UnknownEvent`."""
    try:
        return to_event(envelope)
    except InvalidRequestError:
        return _unknown(envelope)


def to_json(envelope: Envelope) -> dict[str, object]:
    """Write the JSON object of CloudEvents' structured mode."""
    written: dict[str, object] = {
        **envelope.extensions,
        "specversion": "1.0",
        "id": envelope.id,
        "source": envelope.source,
        "type": envelope.type,
        "time": envelope.time.astimezone(UTC).isoformat(),
        "datacontenttype": "application/json",
        "data": dict(envelope.data),
    }
    if envelope.subject:
        written["subject"] = envelope.subject
    return written


def from_json(written: object) -> Envelope:
    """Read what `to_json` wrote, or whoever else writes CloudEvents; an attribute that is null is not there.

    Raises:
        InvalidRequestError: It is no CloudEvent with an object for data; all faults are listed.
    """
    if not isinstance(written, Mapping):
        raise _no_event([f"it is a {type(written).__name__}, not a JSON object"])
    given = {name: value for name, value in written.items() if value is not None}
    faults = [
        f"{name} must be text and not empty, not {given[name]!r}" if name in given else f"{name} is missing"
        for name in ("id", "source", "type")
        if not isinstance(given.get(name), str) or not given[name]
    ]
    if not isinstance(subject := given.get("subject", ""), str):
        faults.append(f"subject must be text, not {subject!r}")
    if not isinstance(data := given.get("data", {}), Mapping):
        faults.append(f"data must be an object, not {data!r}")
    time = _time(given.get("time"), faults)
    if faults:
        raise _no_event(faults)
    return Envelope(
        id=given["id"],
        source=given["source"],
        type=given["type"],
        time=time,
        subject=subject,
        data=data,
        extensions={name: str(value) for name, value in given.items() if name not in _STANDARD},
    )


def loaded(text: str | bytes) -> object:
    """Read JSON that a stranger wrote.

    Raises:
        InvalidRequestError: It is not JSON, is nested too deeply, or holds text that is no Unicode.
    """
    try:
        found: object = json.loads(text)
        json.dumps(found, ensure_ascii=False).encode()  # half a surrogate pair can be read, but never written
    except UnicodeEncodeError as error:
        raise InvalidRequestError(f"the JSON holds text that is no Unicode: {error.reason}") from error
    except ValueError as error:
        raise InvalidRequestError(f"the body is not JSON: {error}") from error
    except RecursionError as error:
        raise InvalidRequestError("the JSON is nested too deeply") from error
    return found


def _no_event(faults: list[str]) -> InvalidRequestError:
    return InvalidRequestError(
        "this is no CloudEvent",
        hint='Write {"id": …, "source": …, "type": …, "time": "2026-01-31T12:00:00Z", "data": {…}}.',
        faults=faults,
    )


def _time(text: object, faults: list[str]) -> datetime:
    try:
        if isinstance(text, str) and (time := datetime.fromisoformat(text)).tzinfo is not None:
            return time.astimezone(UTC)
    except (ValueError, OverflowError):
        pass  # told below, like any other wrong form
    wrong = f"time must be a time with a zone such as 2026-01-31T12:00:00Z, not {text!r}"
    faults.append("time is missing" if text is None else wrong)
    return datetime.min.replace(tzinfo=UTC)


def _unknown(envelope: Envelope) -> UnknownEvent:
    return UnknownEvent(
        platform=envelope.source,
        time=envelope.time,
        type=envelope.type,
        source=envelope.source,
        id=envelope.id,
        data=envelope.data,
        extensions=envelope.extensions,
    )


_MISSING: Final = object()
_STANDARD: Final = frozenset({"specversion", "id", "source", "type", "time", "subject", "datacontenttype", "data"})


class _Fields:
    """Reads a payload field by field, whatever the case of its names, and gathers all faults."""

    def __init__(self, data: Mapping[str, object]) -> None:
        self._data = {_folded(name): value for name, value in data.items()}
        self.faults: list[str] = []

    def text(self, name: str, default: str | None = None) -> str:
        value = self._data.get(_folded(name), _MISSING)
        if value is _MISSING or value is None:
            if default is None:
                self.faults.append(f"{name} is missing")
                return ""
            return default
        if isinstance(value, str) and any("\ud800" <= letter <= "\udfff" for letter in value):
            self.faults.append(f"{name} is no Unicode text: {value!r}")
            return ""
        if isinstance(value, str | int) and not isinstance(value, bool) and (value != "" or default is not None):
            return str(value)
        self.faults.append(f"{name} must be text, not {value!r}")
        return ""

    def optional_text(self, name: str) -> str | None:
        return self.text(name, "") or None

    def number(self, name: str) -> float:
        value = self._data.get(_folded(name), _MISSING)
        if isinstance(value, int | float) and not isinstance(value, bool):
            try:
                return float(value)
            except OverflowError:
                self.faults.append(f"{name} is too large for a number")
                return 0.0
        self.faults.append(f"{name} is missing" if value is _MISSING else f"{name} must be a number, not {value!r}")
        return 0.0

    def integer(self, name: str, default: int | None = None) -> int:
        value = self._data.get(_folded(name), _MISSING)
        if value is _MISSING and default is not None:
            return default
        try:
            if isinstance(value, int | str) and not isinstance(value, bool):
                return int(value)
        except ValueError:
            pass  # told below, like any other wrong form
        self.faults.append(f"{name} is missing" if value is _MISSING else f"{name} must be an integer, not {value!r}")
        return 0

    def changes(self, name: str) -> tuple[tuple[str, Stage, Stage], ...]:
        value = self._data.get(_folded(name), _MISSING)
        if not isinstance(value, list) or not all(isinstance(change, Mapping) for change in value):
            self.faults.append(f"{name} must be a list of objects with version, from and to")
            return ()
        read = []
        for place, change in enumerate(value):
            fields = _Fields(change)
            read.append((fields.text("version"), fields.stage("from"), fields.stage("to")))
            self.faults += [f"{name}[{place}].{fault}" for fault in fields.faults]
        return tuple(read)

    def stage(self, name: str) -> Stage:
        text = self.text(name)
        try:
            return Stage(text.lower())
        except ValueError:
            if text:
                self.faults.append(f"{name} must be one of {', '.join(stage.value for stage in Stage)}, not {text!r}")
            return Stage.NONE


def _folded(name: str) -> str:
    return name.replace("_", "").casefold()


_Common = Mapping[str, Any]

_READERS: Final[Mapping[str, Callable[[_Fields, _Common], Event]]] = {
    ModelRegistered.kind: lambda read, common: ModelRegistered(
        **common, model=read.text("model"), version=read.text("version"), run=read.optional_text("run")
    ),
    StageChanged.kind: lambda read, common: StageChanged(
        **common,
        model=read.text("model"),
        sequence=read.integer("sequence"),
        changes=read.changes("changes"),
        actor=read.text("actor"),
        reason=read.text("reason", ""),
    ),
    RunCompleted.kind: lambda read, common: RunCompleted(
        **common, pipeline=read.text("pipeline"), run=read.text("run")
    ),
    RunFailed.kind: lambda read, common: RunFailed(
        **common,
        pipeline=read.text("pipeline"),
        run=read.text("run"),
        step=read.text("step", ""),
        error=read.text("error", ""),
        attempt=read.integer("attempt", 1),
    ),
    ModelDeployed.kind: lambda read, common: ModelDeployed(
        **common,
        model=read.text("model"),
        version=read.text("version"),
        endpoint=read.text("endpoint"),
        deployment=read.text("deployment"),
        deployed_as=read.text("deployed_as"),
    ),
    DriftDetected.kind: lambda read, common: DriftDetected(
        **common,
        subject=read.text("subject"),
        metric=read.text("metric"),
        value=read.number("value"),
        threshold=read.number("threshold"),
    ),
}

_WRITERS: Final[Mapping[str, Callable[[Any], dict[str, object]]]] = {
    ModelRegistered.kind: lambda event: {"model": event.model, "version": event.version, "run": event.run},
    StageChanged.kind: lambda event: {
        "model": event.model,
        "sequence": event.sequence,
        "changes": [{"version": version, "from": before, "to": to} for version, before, to in event.changes],
        "actor": event.actor,
        "reason": event.reason,
    },
    RunCompleted.kind: lambda event: {"pipeline": event.pipeline, "run": event.run},
    RunFailed.kind: lambda event: {
        "pipeline": event.pipeline,
        "run": event.run,
        "step": event.step,
        "error": event.error,
        "attempt": event.attempt,
    },
    ModelDeployed.kind: lambda event: {
        "model": event.model,
        "version": event.version,
        "endpoint": event.endpoint,
        "deployment": event.deployment,
        "deployed_as": event.deployed_as,
    },
    DriftDetected.kind: lambda event: {
        "subject": event.subject,
        "metric": event.metric,
        "value": event.value,
        "threshold": event.threshold,
    },
}
