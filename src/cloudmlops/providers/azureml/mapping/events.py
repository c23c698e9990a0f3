"""Events as Event Grid carries them, in either schema, and what a workspace tells there.

Names in the payloads are read in any letter case: Microsoft's examples write `ModelName`, but `runId`, and its schema
`modelName` (learn.microsoft.com, "Azure Machine Learning as an Event Grid source").
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from cloudmlops.domain.events import (
    DriftDetected,
    Envelope,
    ModelRegistered,
    RunCompleted,
    RunFailed,
)
from cloudmlops.errors import InvalidRequestError
from cloudmlops.providers.payloads import extensions_of, loaded, moment, part_of, text_of, value_of
from cloudmlops.providers.retold_events import in_place_of

REPORTED: Final = frozenset({ModelRegistered.kind})
"""Kinds that a workspace tells, whoever caused them. Whether it tells of managed deployments is not documented."""
_VALIDATION: Final = "microsoft.eventgrid.subscriptionvalidationevent"
_WORKSPACE: Final = "microsoft.machinelearningservices."
_STEP: Final = "azureml.steprun"
_STEPS: Final = ("azureml.pipelinerunid", "azureml.rootpipelinerunid")
"""Properties of a run that is a part of another one."""
_METRIC: Final = "drift_coefficient"


@dataclass(frozen=True, kw_only=True, slots=True)
class Validation:
    """Event Grid asks whether its events are wanted; to answer with the code is to want them."""

    code: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Registered:
    """A model version was made."""

    model: str
    number: str
    """Azure's own name of the version."""
    properties: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Deployed:
    """An endpoint has a new deployment."""

    endpoint: str
    models: Sequence[tuple[str, str]]
    """Names and versions of all models there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """A run ended that is no part of another one."""

    run: str
    experiment: str
    failed: bool
    tags: Mapping[str, str] = field(default_factory=dict)
    properties: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Drifted:
    """Data moved away from what a monitor compares them with."""

    monitor: str
    coefficient: float


Told = Registered | Deployed | Ended | Drifted


def pushed(body: bytes) -> Sequence[Envelope] | Validation | None:
    """Read the JSON body of a push: one event or several, of Event Grid's schema or CloudEvents.

    None when it holds no event of either.

    Raises:
        InvalidRequestError: Some of its events are malformed; all faults are told.
    """
    content = loaded(body)
    listed = content if isinstance(content, list) else [content]
    events = [one for one in listed if isinstance(one, Mapping) and ("specversion" in one or _is_grid_event(one))]
    if not events:
        return None if listed else ()
    if len(listed) == 1 and text_of(events[0], "eventType").lower() == _VALIDATION:
        return _validation(events[0])
    faults: list[str] = []
    read: list[Envelope] = []
    for place, one in enumerate(listed):
        try:
            read.append(_event(one))
        except (KeyError, TypeError, ValueError) as error:
            faults.append(f"event {place}: {type(error).__name__}: {error}")
    if faults:
        raise InvalidRequestError(
            "the push holds malformed events; none of it was stored",
            hint="Event Grid sends id, eventType, topic, eventTime and data, or CloudEvents 1.0.",
            faults=faults,
        )
    return read


def envelope(event: Any, at: datetime) -> Envelope:
    """Return a `CloudEvent` of azure-core, as the SDK's consumer gives it.

    Args:
        event: It.
        at: The time of an event that tells none.

    Raises:
        InvalidRequestError: It lacks an attribute without which it means nothing.
    """
    lacking = [name for name in ("id", "source", "type") if not getattr(event, name)]
    if event.type == DriftDetected.kind and event.time is None:
        lacking.append("time")  # it is part of what the event means: told twice, it would be two
    if lacking:
        raise InvalidRequestError(f"the event {event.id!r} of type {event.type!r} lacks {', '.join(lacking)}")
    return Envelope(
        id=str(event.id),
        source=str(event.source),
        type=str(event.type),
        time=(event.time or at).astimezone(UTC),
        subject=str(event.subject or ""),
        data=_payload(event.data),
        extensions={name: str(value) for name, value in (event.extensions or {}).items() if value is not None},
    )


def cloud_event(event: Envelope) -> dict[str, Any]:
    """Return what azure-core's `CloudEvent` is made with for one of ours.

    Raises:
        InvalidRequestError: An attribute beyond the standard ones has a name that CloudEvents does not allow.
    """
    if wrong := [name for name in event.extensions if not (name.isascii() and name.isalnum() and name == name.lower())]:
        raise InvalidRequestError(
            f"event {event.id!r} of type {event.type!r} cannot be sent to Event Grid",
            hint="CloudEvents allows lower-case letters and digits in names of attributes.",
            faults=[f"the attribute {name!r}" for name in wrong],
        )
    return {
        "id": event.id,
        "source": event.source,
        "type": event.type,
        "time": event.time.astimezone(UTC),
        "subject": event.subject or None,
        "datacontenttype": "application/json",
        "data": dict(event.data),
        "extensions": dict(event.extensions) or None,
    }


def told(event: Envelope, workspace: str) -> Told | None:
    """Read what a workspace tells; None when it is another one's, or has no kind of ours.

    Args:
        event: In either schema.
        workspace: The resource id of the workspace.
    """
    begins, kind = event.type[: len(_WORKSPACE)].lower(), event.type[len(_WORKSPACE) :].lower()
    if begins != _WORKSPACE or event.source.strip("/").casefold() != workspace.strip("/").casefold():
        return None
    read = _READERS.get(kind)
    return read(event.data) if read is not None else None


def completed(event: Envelope, *, platform: str, pipeline: str, run: str) -> Envelope:
    """Return `RunCompleted` in place of the workspace's event."""
    return in_place_of(event, RunCompleted.kind, platform, {"pipeline": pipeline, "run": run})


def failed(event: Envelope, *, platform: str, pipeline: str, run: str, attempt: int, step: str, error: str) -> Envelope:
    """Return `RunFailed` in place of the workspace's event, which itself says neither where it failed nor why."""
    data = {"pipeline": pipeline, "run": run, "attempt": attempt, "step": step, "error": error}
    return in_place_of(event, RunFailed.kind, platform, data)


def drifted(event: Envelope, found: Drifted, *, platform: str) -> Envelope:
    """Return `DriftDetected` in place of the workspace's event, which does not say above what it is told: 0."""
    data = {"subject": found.monitor, "metric": _METRIC, "value": found.coefficient, "threshold": 0.0}
    return in_place_of(event, DriftDetected.kind, platform, data)


def _is_grid_event(content: Mapping[str, object]) -> bool:
    return bool(text_of(content, "eventType")) and value_of(content, "eventTime") is not None


def _validation(event: Mapping[str, object]) -> Validation:
    code = text_of(part_of(event, "data"), "validationCode")
    if not code:
        raise InvalidRequestError("Event Grid's validation event has no validationCode")
    return Validation(code=code)


def _event(content: object) -> Envelope:
    if not isinstance(content, Mapping):
        raise TypeError("it is no JSON object")
    if "specversion" in content:
        return _cloud_event(content)
    if text_of(content, "eventType").lower() == _VALIDATION:
        raise ValueError("Event Grid asks alone whether its events are wanted")
    data = value_of(content, "data")
    version = text_of(content, "dataVersion")
    return Envelope(
        id=_text(content, "id"),
        source=_text(content, "topic"),
        type=_text(content, "eventType"),
        time=moment(_text(content, "eventTime")),
        subject=text_of(content, "subject"),
        data=_payload(data),
        extensions={"dataversion": version} if version else {},
    )


def _cloud_event(content: Mapping[str, Any]) -> Envelope:
    data = content.get("data")
    return Envelope(
        id=_text(content, "id"),
        source=_text(content, "source"),
        type=_text(content, "type"),
        time=moment(_text(content, "time")),
        subject=str(content.get("subject") or ""),
        data=_payload(data),
        extensions=extensions_of(content),
    )


def _payload(data: object) -> Mapping[str, object]:
    if isinstance(data, Mapping):
        return data
    if isinstance(data, bytes):
        return {"value": base64.b64encode(data).decode("ascii")}
    return {"value": data} if isinstance(data, list | str | int | float) else {}


def _text(content: Mapping[str, object], name: str) -> str:
    found = text_of(content, name)
    if not found:
        raise ValueError(f"{name} is missing")
    return found


def _registered(data: Mapping[str, object]) -> Registered | None:
    model, number = text_of(data, "ModelName"), text_of(data, "ModelVersion")
    properties = _texts(part_of(data, "ModelProperties"))
    return Registered(model=model, number=number, properties=properties) if model and number else None


def _deployed(data: Mapping[str, object]) -> Deployed | None:
    endpoint = text_of(data, "ServiceName")
    pairs = [one.strip().rpartition(":") for one in text_of(data, "ModelIds").split(",")]
    models = [(name, version) for name, colon, version in pairs if colon and name and version]
    return Deployed(endpoint=endpoint, models=models) if endpoint and models else None


def _ended(data: Mapping[str, object], *, failed: bool) -> Ended | None:
    run = text_of(data, "runId")
    tags, properties = _texts(part_of(data, "runTags")), _texts(part_of(data, "runProperties"))
    whole = {properties.get(name, run) for name in _STEPS} == {run} and text_of(data, "runType").lower() != _STEP
    experiment = text_of(data, "experimentName")
    if not run or not whole:
        return None
    return Ended(run=run, experiment=experiment, failed=failed, tags=tags, properties=properties)


def _status_changed(data: Mapping[str, object]) -> Ended | None:
    return _ended(data, failed=True) if text_of(data, "runStatus").lower() == "failed" else None


def _drifted(data: Mapping[str, object]) -> Drifted | None:
    monitor = text_of(data, "DataDriftName") or text_of(data, "DataDriftId")
    coefficient = value_of(data, "DriftCoefficient")
    if not monitor or not isinstance(coefficient, int | float) or isinstance(coefficient, bool):
        return None
    return Drifted(monitor=monitor, coefficient=float(coefficient))


def _texts(part: Mapping[str, object]) -> dict[str, str]:
    return {name: str(value) for name, value in part.items() if value is not None}


_READERS: Final = {
    "modelregistered": _registered,
    "modeldeployed": _deployed,
    "runcompleted": lambda data: _ended(data, failed=False),
    "runstatuschanged": _status_changed,
    "datasetdriftdetected": _drifted,
}
