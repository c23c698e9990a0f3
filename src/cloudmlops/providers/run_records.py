"""What a cloud has no place for of its runs, in the object store.

runs/RUN/request.json         graph, lineage and source
runs/RUN/resumed/N.json       what became of each step before the N-th attempt
runs/RUN/announced            that its end has been published
failures/JOB/STEP.json        why a step failed, in the words of its own process
cache/IMAGE/KEY.json          what a step with that key has left
schedules/NAME/HASH.json      what the runs of a schedule are asked to do; the cloud's schedule and its runs name it
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from cloudmlops.domain.run_requests import request_from_json, request_to_json
from cloudmlops.domain.runs import OutputRecord, RunRequest, StepRecord, StepState, output_from_json
from cloudmlops.domain.schedules import Schedule
from cloudmlops.errors import NotFoundError
from cloudmlops.ports.objects import ObjectStore


class Kept:
    """Reads and writes it."""

    def __init__(self, objects: ObjectStore, *, image: str) -> None:
        self._objects = objects
        self._requests: dict[str, RunRequest] = {}
        self._left = StepRecords(objects)
        # The image of steps that name none is no part of their own content.
        self.cache = f"cache/{hashlib.sha256(image.encode()).hexdigest()[:16]}"
        """Folder of what steps have left, by their keys."""

    def add_request(self, request: RunRequest) -> bool:
        """Keep what a run was asked to do; False when there is something already."""
        return self._objects.create(f"runs/{request.id}/request.json", _text(request_to_json(request)))

    def request(self, run: str) -> RunRequest | None:
        """Return what a run was asked to do; it never changes."""
        if (known := self._requests.get(run)) is None and (fields := self._read(f"runs/{run}/request.json")):
            known = self._requests[run] = request_from_json(fields)
        return known

    def attempts(self, run: str) -> int:
        """Return how often a run was started: once, and once more for each resume."""
        return 1 + sum(1 for _ in self._objects.list(f"runs/{run}/resumed/"))

    def add_attempt(self, run: str, number: int, steps: Iterable[StepRecord]) -> bool:
        """Keep what became of each step before an attempt; False when somebody else has made that attempt."""
        content = {step.name: _step_to_json(step) for step in steps}
        return self._objects.create(f"runs/{run}/resumed/{number}.json", _text(content))

    def steps(self, run: str, attempt: int) -> Mapping[str, StepRecord]:
        """Return what became of each step before an attempt; those that have succeeded are not run again."""
        fields = self._read(f"runs/{run}/resumed/{attempt}.json") if attempt > 1 else None
        return {name: _step_from_json(step) for name, step in (fields or {}).items()}

    def is_announced(self, run: str) -> bool:
        """Say whether a run's end has been published."""
        return self._objects.exists(f"runs/{run}/announced")

    def announce(self, run: str) -> None:
        """Note that a run's end has been published."""
        self._objects.create(f"runs/{run}/announced", b"")

    def failure(self, job: str, step: str) -> str:
        """Return why a step failed; empty when its process left no word."""
        return str((self._read(f"failures/{job}/{step}.json") or {}).get("error", ""))

    def record(self, key: str) -> Mapping[str, Any]:
        """Return what a step says that it has left; that never changes."""
        return self._left.of(key)

    def cached(self, key: str) -> Mapping[str, OutputRecord] | None:
        """Return what a step with that key has left."""
        fields = self._read(f"{self.cache}/{key}.json")
        return None if fields is None else outputs_from_json(fields["outputs"])

    def add_scheduled(self, schedule: str, request: RunRequest) -> str:
        """Keep what the runs of a schedule are asked to do; return the mark that the cloud's schedule is to name it by.

        What is in force the cloud alone knows: a request that no schedule of the cloud names means nothing.
        """
        text = _text(request_to_json(request))
        mark = hashlib.sha256(text).hexdigest()[:16]
        self._objects.create(f"schedules/{schedule}/{mark}.json", text)
        return mark

    def scheduled_request(self, schedule: str, mark: str) -> RunRequest | None:
        """Return what the runs of a schedule are asked to do; None when no such request was made here."""
        if not (schedule and mark):
            return None
        key = f"schedules/{schedule}/{mark}.json"
        if (known := self._requests.get(key)) is None and (fields := self._read(key)):
            known = self._requests[key] = request_from_json(fields)
        return known

    def schedule(self, name: str, mark: str, **in_force: Any) -> Schedule | None:
        """Return one of the cloud's schedules as ours; None for somebody else's, which names no request of ours.

        Args:
            name: What it is called.
            mark: Of its request.
            in_force: What the cloud says: `cron`, `timezone`, `paused`, `last_fired_at`.
        """
        if (request := self.scheduled_request(name, mark)) is None:
            return None
        graph = request.graph
        return Schedule(
            name=name,
            pipeline=graph.name,
            parameters=graph.parameters,
            created_at=request.lineage.started_at,
            **in_force,
        )

    def _read(self, key: str) -> Any:
        return _content(self._objects, key)


class StepRecords:
    """What steps say of themselves, each in a folder of its own."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects
        self._known: dict[str, Mapping[str, Any]] = {}

    def of(self, folder: str) -> Mapping[str, Any]:
        """Return what a step that has succeeded says that it has left; that never changes."""
        if (known := self._known.get(folder)) is None:
            known = self._known[folder] = _content(self._objects, f"{folder}/record.json") or {}
        return known

    def failure(self, folder: str) -> Mapping[str, Any]:
        """Return what a step that has failed says of that; empty when its process left no word."""
        return _content(self._objects, f"{folder}/error.json") or {}


def outputs_from_json(fields: Mapping[str, Any]) -> dict[str, OutputRecord]:
    """Read the outputs of a step."""
    return {name: output_from_json(output) for name, output in fields.items()}


def _content(objects: ObjectStore, key: str) -> Any:
    try:
        return json.loads(objects.get(key))
    except NotFoundError:
        return None


def _text(content: Any) -> bytes:
    return json.dumps(content).encode()


def _step_to_json(step: StepRecord) -> dict[str, Any]:
    moments = {"started_at": step.started_at, "ended_at": step.ended_at}
    return {
        "name": step.name,
        "state": step.state.value,
        "attempt": step.attempt,
        **{name: moment.isoformat() if moment else None for name, moment in moments.items()},
        "outputs": {name: output.to_json() for name, output in step.outputs.items()},
        "logged": {name: dict(values) for name, values in step.logged.items()},
        "cached_from": step.cached_from,
    }


def _step_from_json(fields: Mapping[str, Any]) -> StepRecord:
    moments = {name: fields[name] and datetime.fromisoformat(fields[name]) for name in ("started_at", "ended_at")}
    return StepRecord(
        **{**fields, **moments, "state": StepState(fields["state"]), "outputs": outputs_from_json(fields["outputs"])}
    )
