"""Runs as pipeline jobs of Vertex AI.

A run's job has the run's id; a resume is a job of its own. What Vertex AI has no place for lies in the object store:

runs/RUN/request.json      graph, lineage and source
runs/RUN/resumed/N.json    what the N-th attempt does not run again
runs/RUN/announced         that its end has been published
failures/JOB/STEP.json     why a step failed, in the words of its own process
cache/IMAGE/KEY.json       what a step with that key has left
schedules/NAME.json        a schedule as it was given
"""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any, Final

from google.cloud.aiplatform_v1 import PipelineServiceClient
from google.cloud.aiplatform_v1.types import (
    CancelPipelineJobRequest,
    CreatePipelineJobRequest,
    GetPipelineJobRequest,
    ListPipelineJobsRequest,
    PipelineJob,
)

from cloudmlops.domain.graph import graph_to_json
from cloudmlops.domain.run_requests import request_from_json, request_to_json
from cloudmlops.domain.runs import (
    OutputRecord,
    RunMode,
    RunRecord,
    RunRequest,
    RunState,
    StepRecord,
    StepState,
    output_from_json,
)
from cloudmlops.domain.schedules import Schedule
from cloudmlops.errors import ConflictError, InvalidPipelineError, NotFoundError, ServiceError, UnsupportedError
from cloudmlops.materializers.artifacts import locate
from cloudmlops.ports.pipelines import PipelinesPort
from cloudmlops.providers.vertex.errors import PROVIDER
from cloudmlops.providers.vertex.mapping import pipelines as mapping
from cloudmlops.providers.vertex.mapping.job_names import job_of, run_of
from cloudmlops.providers.vertex.mapping.pipeline_jobs import pipeline_job
from cloudmlops.providers.vertex.mapping.pipeline_spec import RECORD, Place, faults
from cloudmlops.providers.vertex.rest import Rest

if TYPE_CHECKING:
    from cloudmlops.providers.vertex.backends import VertexBackends

_LOGGING: Final = "logging.googleapis.com"
_LOG_PAGE: Final = 1000
_FIRST_LOOK: Final = 0.05
_SELDOMEST_LOOK: Final = 10.0
"""Seconds between looks at a run that is waited for: the longer it takes, the seldomer."""
_SLOWER: Final = 1.5


class VertexPipelines(PipelinesPort):
    """The pipeline jobs of one project and location that this library started."""

    def __init__(self, backends: VertexBackends) -> None:
        self._backends = backends
        self._settings = backends.settings
        self._wire = backends.wire
        self._objects = backends.objects
        self._rest = Rest(backends.wire)
        self._requests: dict[str, RunRequest] = {}
        self._records: dict[str, Mapping[str, Any]] = {}
        self._folder: Path | None = None
        self._fetching = threading.Lock()

    def submit(self, request: RunRequest, mode: RunMode) -> RunRecord:
        self._check(request, mode)
        text = json.dumps(request_to_json(request)).encode()
        if not self._objects.create(_request_key(request.id), text):
            known = self._request(request.id)
            if graph_to_json(known.graph) != graph_to_json(request.graph):
                raise _conflict(
                    request.id,
                    "exists already, with another pipeline or other parameters",
                    "An id names one run: give another id, or none.",
                )
            request = known  # whoever recorded it may not have come to start it
        self._start(request, 1, {})
        return self.get(request.id)

    def get(self, run: str) -> RunRecord:
        request = self._request(run)
        attempts = self._attempts(run)
        return self._record(request, self._job(run, attempts), attempts)

    def list(self, pipeline: str | None, limit: int) -> Sequence[RunRecord]:
        wanted = f'labels.{mapping.PIPELINE_LABEL}="{pipeline}"' if pipeline else f"labels.{mapping.PIPELINE_LABEL}:*"
        request = ListPipelineJobsRequest(
            parent=self._settings.parent, filter=wanted, order_by="create_time desc", page_size=min(limit, 100)
        )
        jobs = self._wire.ask(
            self._client.list_pipeline_jobs, request, operation="pipelines.list", resource=pipeline or "", again=True
        )
        found: dict[str, RunRecord] = {}
        for job in jobs:
            run = run_of(job.name.rpartition("/")[2])
            if run not in found:
                found[run] = self._record(self._request(run), job, self._attempts(run))
            if len(found) == limit:
                break
        return list(found.values())

    def wait(self, run: str, timeout: timedelta | None) -> RunRecord:
        deadline = None if timeout is None else time.monotonic() + timeout.total_seconds()
        pause = _FIRST_LOOK
        while not (record := self.get(run)).state.ended:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                break
            time.sleep(pause if left is None else min(pause, left))
            pause = min(pause * _SLOWER, _SELDOMEST_LOOK)
        return record

    def log(self, run: str, step: str, attempt: int | None) -> str:
        request = self._request(run)
        if step not in request.graph.by_name:
            raise NotFoundError(
                f"run {run!r} has no step {step!r}",
                hint=f"Its steps: {', '.join(request.graph.by_name)}.",
                provider=PROVIDER,
                operation="pipelines.log",
                resource=f"{run}/{step}",
            )
        containers: list[str] = []
        for number in range(1, self._attempts(run) + 1):
            detail = mapping.detail_of(self._job(run, number), step)
            if detail is None:
                continue
            if STEP_CACHED is mapping.STEP_STATES[detail.state] and (uri := mapping.artifact_uri(detail, RECORD)):
                return self.log(str(self._left(uri)["run"]), step, attempt)
            containers += mapping.containers(detail)
        if not containers or (attempt is not None and attempt > len(containers)):
            return ""
        return self._printed(containers[attempt - 1 if attempt else -1], f"{run}/{step}")

    def cancel(self, run: str) -> None:
        record = self.get(run)
        if record.state.ended:
            return
        name = self._name(run, record.attempt)
        try:
            self._wire.ask(
                self._client.cancel_pipeline_job,
                CancelPipelineJobRequest(name=name),
                operation="pipelines.cancel",
                resource=run,
                again=True,
            )
        except ServiceError:
            if not self.get(run).state.ended:  # it has just ended by itself
                raise

    def resume(self, run: str, mode: RunMode) -> RunRecord:
        record = self.get(run)
        if record.state is RunState.SUCCEEDED:
            raise _conflict(run, "has succeeded: there is nothing to resume", "Start a new run.")
        if not record.state.ended:
            raise _conflict(run, "is going on", f"Wait for it (cloudmlops runs show {run}), or cancel it first.")
        request = self._request(run)
        self._check(request, mode)
        kept = {name: _step_to_json(step) for name, step in record.steps.items() if step.state.succeeded}
        number = record.attempt + 1
        if not self._objects.create(_resumed_key(run, number), json.dumps(kept).encode()):
            raise _conflict(run, "has just been resumed by somebody else", "Wait for it.")
        self._start(request, number, {name: record.steps[name].outputs for name in kept})
        return self.get(run)

    def cached(self, keys: Sequence[str]) -> Mapping[str, Mapping[str, OutputRecord]]:
        found = {}
        for key in keys:
            try:
                kept = json.loads(self._objects.get(f"{self._cache}/{key}.json"))
            except NotFoundError:
                continue
            found[key] = _outputs(kept["outputs"])
        return found

    def readable(self, output: OutputRecord) -> OutputRecord:
        """Download an artifact; its files are there until the platform is closed."""
        from dataclasses import replace

        from cloudmlops.materializers.digests import protect

        with self._fetching:
            if self._folder is None:
                self._folder = Path(mkdtemp(prefix="cloudmlops-vertex-"))
            folder = self._folder / output.digest
            if not folder.is_dir():
                store, prefix = self._store_of(output.uri)
                fetched = Path(mkdtemp(dir=self._folder))
                for key in store.list(f"{prefix}/"):
                    target = fetched / key.removeprefix(f"{prefix}/")
                    target.parent.mkdir(parents=True, exist_ok=True)
                    store.download(key, target)
                protect(locate(fetched))
                fetched.rename(folder)
        return replace(output, path=str(folder))

    def announced(self, run: str) -> None:
        self._objects.create(_announced_key(run), b"")

    def schedule(self, schedule: Schedule, request: RunRequest) -> None:
        raise UnsupportedError("schedules are not there yet")

    def schedules(self) -> Sequence[Schedule]:
        return []

    def unschedule(self, name: str) -> None:
        raise NotFoundError(f"there is no schedule {name!r}", provider=PROVIDER, resource=name)

    def run_schedules(self, stop: threading.Event, *, wait: bool, started: Callable[[], None]) -> None:
        """Return at once: Vertex AI starts the runs of schedules by itself."""
        started()

    def close(self) -> None:
        """Remove what was downloaded, and close connections."""
        self._rest.close()
        with self._fetching:
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)
                self._folder = None

    @property
    def _client(self) -> PipelineServiceClient:
        return self._wire.client(PipelineServiceClient)

    @property
    def _cache(self) -> str:
        # The default image is no part of a step's own content.
        return f"cache/{hashlib.sha256(self._settings.image.encode()).hexdigest()[:16]}"

    def _check(self, request: RunRequest, mode: RunMode) -> None:
        if mode is RunMode.IN_PROCESS:
            raise UnsupportedError(
                "Vertex AI runs steps in containers of its own, not in this process",
                hint="To debug a pipeline, run it on local://:memory: with in_process=True.",
            )
        if listed := faults(request, self._settings.image):
            raise InvalidPipelineError(f"pipeline {request.graph.name!r} cannot run on Vertex AI", faults=listed)

    def _start(self, request: RunRequest, attempt: int, kept: Mapping[str, Mapping[str, OutputRecord]]) -> None:
        job = pipeline_job(request, self._settings, self._place(kept))
        try:
            self._wire.ask(
                self._client.create_pipeline_job,
                CreatePipelineJobRequest(
                    parent=self._settings.parent, pipeline_job=job, pipeline_job_id=job_of(request.id, attempt)
                ),
                operation="pipelines.run",
                resource=request.id,
                again=True,  # a second one of that id is refused
            )
        except ConflictError:
            self._job(request.id, attempt)  # it is there: another call, or a lost answer's, has made it

    def _place(self, kept: Mapping[str, Mapping[str, OutputRecord]]) -> Place:
        return Place(
            bucket=self._objects.uri.removeprefix("gs://"),
            image=self._settings.image,
            target=self._settings.target,
            cache=self._cache,
            kept=kept,
        )

    def _name(self, run: str, attempt: int) -> str:
        return f"{self._settings.parent}/pipelineJobs/{job_of(run, attempt)}"

    def _job(self, run: str, attempt: int) -> PipelineJob:
        try:
            return self._wire.ask(
                self._client.get_pipeline_job,
                GetPipelineJobRequest(name=self._name(run, attempt)),
                operation="pipelines.get",
                resource=run,
                again=True,
            )
        except NotFoundError as error:
            raise _no_run(run) from error

    def _request(self, run: str) -> RunRequest:
        if (known := self._requests.get(run)) is None:
            try:
                data = self._objects.get(_request_key(run))
            except NotFoundError as error:
                raise _no_run(run) from error
            known = self._requests[run] = request_from_json(json.loads(data))
        return known

    def _attempts(self, run: str) -> int:
        return 1 + sum(1 for _ in self._objects.list(f"runs/{run}/resumed/"))

    def _record(self, request: RunRequest, job: PipelineJob, attempts: int) -> RunRecord:
        state = mapping.run_state(job)
        kept: Mapping[str, Any] = {}
        if attempts > 1:
            kept = json.loads(self._objects.get(_resumed_key(request.id, attempts)))
        steps = {
            step.name: _step_from_json(kept[step.name]) if step.name in kept else self._step(job, step.name)
            for step in request.graph.order
        }
        return RunRecord(
            id=request.id,
            pipeline=request.graph.name,
            state=state,
            graph=request.graph,
            lineage=request.lineage,
            created_at=request.lineage.started_at,
            started_at=mapping.moment(job, "start_time"),
            ended_at=mapping.moment(job, "end_time"),
            attempt=attempts,
            announced=state.ended and self._objects.exists(_announced_key(request.id)),
            steps=steps,
            error=job.error.message if state is RunState.FAILED else "",
        )

    def _step(self, job: PipelineJob, name: str) -> StepRecord:
        detail = mapping.detail_of(job, name)
        state = mapping.step_state(job, detail)
        if detail is None:
            return StepRecord(name=name, state=state)
        left: Mapping[str, Any] = {}
        if state.succeeded and (uri := mapping.artifact_uri(detail, RECORD)):
            left = self._left(uri)
        return StepRecord(
            name=name,
            state=state,
            attempt=len(mapping.containers(detail)),
            started_at=mapping.moment(detail, "start_time"),
            ended_at=mapping.moment(detail, "end_time"),
            outputs=_outputs(left.get("outputs", {})),
            error=self._why(job, name, detail.error.message) if state is StepState.FAILED else "",
            logged=left.get("logged", {}),
            cached_from=str(left.get("run", "")) if state is StepState.CACHED else "",
        )

    def _left(self, uri: str) -> Mapping[str, Any]:
        """Read what a step says that it has left; that never changes."""
        if (known := self._records.get(uri)) is None:
            store, prefix = self._store_of(uri)
            known = self._records[uri] = json.loads(store.get(f"{prefix}/record.json"))
        return known

    def _store_of(self, uri: str) -> tuple[Any, str]:
        if uri.startswith(f"{self._objects.uri}/"):
            return self._objects, uri.removeprefix(f"{self._objects.uri}/")
        raise NotFoundError(
            f"{uri} does not lie in the platform's object store {self._objects.uri}", provider=PROVIDER, resource=uri
        )

    def _why(self, job: PipelineJob, step: str, otherwise: str) -> str:
        try:
            told = json.loads(self._objects.get(f"failures/{job.name.rpartition('/')[2]}/{step}.json"))
        except NotFoundError:
            return otherwise
        return str(told["error"])

    def _printed(self, container: str, resource: str) -> str:
        wanted = (
            f'resource.type="ml_job" AND resource.labels.job_id="{container}" '
            f'AND logName="projects/{self._settings.project}/logs/workerpool0-0"'
        )
        body = {
            "resourceNames": [f"projects/{self._settings.project}"],
            "filter": wanted,
            "orderBy": "timestamp asc",
            "pageSize": _LOG_PAGE,
        }
        lines: list[str] = []
        while True:
            reply = self._rest.ask(
                "POST",
                _LOGGING,
                "/v2/entries:list",
                operation="pipelines.log",
                resource=resource,
                again=True,
                body=body,
            )
            lines += [_line(entry) for entry in reply.get("entries", ())]
            if not (token := reply.get("nextPageToken")):
                return "".join(f"{line}\n" for line in lines)
            body["pageToken"] = token


STEP_CACHED: Final = StepState.CACHED


def _line(entry: Mapping[str, Any]) -> str:
    return str(entry.get("textPayload", entry.get("jsonPayload", {}).get("message", "")))


def _outputs(fields: Mapping[str, Any]) -> dict[str, OutputRecord]:
    return {name: output_from_json(output) for name, output in fields.items()}


def _step_to_json(step: StepRecord) -> dict[str, Any]:
    return {
        "name": step.name,
        "state": step.state.value,
        "attempt": step.attempt,
        "outputs": {name: output.to_json() for name, output in step.outputs.items()},
        "logged": {name: dict(values) for name, values in step.logged.items()},
        "cached_from": step.cached_from,
    }


def _step_from_json(fields: Mapping[str, Any]) -> StepRecord:
    return StepRecord(
        **{**fields, "state": StepState(fields["state"]), "outputs": _outputs(fields["outputs"])},
    )


def _request_key(run: str) -> str:
    return f"runs/{run}/request.json"


def _resumed_key(run: str, number: int) -> str:
    return f"runs/{run}/resumed/{number}.json"


def _announced_key(run: str) -> str:
    return f"runs/{run}/announced"


def _no_run(run: str) -> NotFoundError:
    return NotFoundError(
        f"there is no run {run!r}", hint="List them with cloudmlops runs list.", provider=PROVIDER, resource=run
    )


def _conflict(run: str, what: str, hint: str) -> ConflictError:
    return ConflictError(f"run {run!r} {what}", hint=hint, provider=PROVIDER, operation="pipelines", resource=run)
