"""Runs as pipeline jobs of Vertex AI.

A run's job has the run's id; a resume is a job of its own that brings in what the others have left.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from google.cloud.aiplatform_v1 import PipelineServiceClient
from google.cloud.aiplatform_v1.types import (
    CancelPipelineJobRequest,
    CreatePipelineJobRequest,
    GetPipelineJobRequest,
    ListPipelineJobsRequest,
    PipelineJob,
)

from cloudmlops.domain.graph import StepSpec, graph_to_json
from cloudmlops.domain.runs import OutputRecord, RunMode, RunRecord, RunRequest, RunState, StepRecord, StepState
from cloudmlops.domain.schedules import Schedule
from cloudmlops.errors import ConflictError, InvalidPipelineError, NotFoundError, ServiceError, UnsupportedError
from cloudmlops.ports.pipelines import PipelinesPort
from cloudmlops.providers.run_artifacts import Artifacts
from cloudmlops.providers.run_records import Kept, outputs_from_json
from cloudmlops.providers.vertex.errors import PROVIDER
from cloudmlops.providers.vertex.mapping import pipelines as mapping
from cloudmlops.providers.vertex.mapping.job_names import attempt_of, job_of, run_of
from cloudmlops.providers.vertex.mapping.pipeline_jobs import pipeline_job
from cloudmlops.providers.vertex.mapping.pipeline_spec import RECORD, Place, faults
from cloudmlops.providers.vertex.pipeline_runs.schedules import Schedules
from cloudmlops.providers.vertex.pipeline_runs.step_logs import printed
from cloudmlops.providers.vertex.rest import Rest

if TYPE_CHECKING:
    from cloudmlops.providers.vertex.backends import VertexBackends

_FIRST_LOOK: Final = 0.05
_SELDOMEST_LOOK: Final = 10.0
"""Seconds between looks at a run that is waited for: the longer it takes, the seldomer."""
_SLOWER: Final = 1.5


class VertexPipelines(PipelinesPort):
    """The pipeline jobs of one project and location that this library started."""

    def __init__(self, backends: VertexBackends) -> None:
        self._settings = backends.settings
        self._wire = backends.wire
        self._store = backends.objects.uri
        self._rest = Rest(backends.wire)
        self._kept = Kept(backends.objects, image=backends.settings.image)
        self._artifacts = Artifacts(backends.objects, PROVIDER)
        self._schedules = Schedules(backends.wire, self._kept)

    def submit(self, request: RunRequest, mode: RunMode) -> RunRecord:
        self._check(request, mode)
        if not self._kept.add_request(request):
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
        job, tried = self._last(run)
        return self._record(self._request(run, job), job, tried)

    def list(self, pipeline: str | None, limit: int) -> Sequence[RunRecord]:
        wanted = f'labels.{mapping.PIPELINE_LABEL}="{pipeline}"' if pipeline else f"labels.{mapping.PIPELINE_LABEL}:*"
        request = ListPipelineJobsRequest(
            parent=self._settings.parent, filter=wanted, order_by="create_time desc", page_size=min(limit, 100)
        )
        jobs = self._wire.list(
            self._client.list_pipeline_jobs, request, operation="pipelines.list", resource=pipeline or ""
        )
        found: dict[str, RunRecord] = {}
        for job in jobs:
            run = run_of(_id(job))
            if run not in found:  # of several attempts the last one comes first
                try:
                    found[run] = self._record(self._request(run, job), job, attempt_of(_id(job)))
                except NotFoundError:
                    continue  # a run of a platform with another bucket, or its records were removed
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
        jobs = [self._job(run, number) for number in range(1, self._last(run)[1] + 1)]
        request = self._request(run, jobs[0])
        if step not in request.graph.by_name:
            raise NotFoundError(
                f"run {run!r} has no step {step!r}",
                hint=f"Its steps: {', '.join(request.graph.by_name)}.",
                provider=PROVIDER,
                operation="pipelines.log",
                resource=f"{run}/{step}",
            )
        containers: list[str] = []
        for job in jobs:
            detail = mapping.detail_of(job, step)
            if detail is None:
                continue
            if mapping.step_state(job, detail) is StepState.CACHED:
                origin = str(self._left(mapping.artifact_uri(detail, RECORD)).get("run", ""))
                return self.log(origin, step, attempt) if origin else ""
            containers += mapping.containers(detail)
        if not containers or (attempt is not None and attempt > len(containers)):
            return ""
        chosen = containers[attempt - 1 if attempt else -1]
        return printed(self._rest, self._settings.project, chosen, resource=f"{run}/{step}")

    def cancel(self, run: str) -> None:
        record = self.get(run)
        if record.state.ended:
            return
        request = CancelPipelineJobRequest(name=self._name(run, record.attempt))
        try:
            self._wire.ask(
                self._client.cancel_pipeline_job, request, operation="pipelines.cancel", resource=run, again=True
            )
        except ServiceError:
            if not self.get(run).state.ended:  # else it has just ended by itself
                raise

    def resume(self, run: str, mode: RunMode) -> RunRecord:
        record = self.get(run)
        if record.state is RunState.SUCCEEDED:
            raise _conflict(run, "has succeeded: there is nothing to resume", "Start a new run.")
        if not record.state.ended:
            raise _conflict(run, "is going on", f"Wait for it (cloudmlops runs show {run}), or cancel it first.")
        request = self._request(run)
        self._check(request, mode)
        if request.compiled:
            raise UnsupportedError(
                f"run {run!r} is of a pipeline that Kubeflow compiled: which of its tasks may be left out is not known",
                hint="Run it anew: Vertex AI's cache stands for tasks that have succeeded, if they allow that.",
            )
        done = {name: step for name, step in record.steps.items() if step.state.succeeded}
        number = record.attempt + 1
        added = self._kept.add_attempt(run, number, record.steps.values())
        if not added and self._made(run, number) is not None:
            raise _conflict(run, "has just been resumed by somebody else", "Wait for it.")
        self._start(request, number, {name: step.outputs for name, step in done.items()})
        return self.get(run)

    def cached(self, keys: Sequence[str]) -> Mapping[str, Mapping[str, OutputRecord]]:
        return {key: hit for key in keys if (hit := self._kept.cached(key)) is not None}

    def readable(self, output: OutputRecord) -> OutputRecord:
        """Download an artifact; its files are there until the platform is closed."""
        return self._artifacts.readable(output)

    def announced(self, run: str) -> None:
        self._kept.announce(run)

    def schedule(self, schedule: Schedule, request: RunRequest) -> None:
        self._check(request, RunMode.DETACHED)
        mark = self._kept.add_scheduled(schedule.name, request)
        job = pipeline_job(request, self._settings, self._place({}), schedule=schedule.name, mark=mark)
        self._schedules.put(schedule, job)

    def schedules(self) -> Sequence[Schedule]:
        return self._schedules.list()

    def unschedule(self, name: str) -> None:
        self._schedules.drop(name)

    def run_schedules(
        self,
        stop: threading.Event,  # noqa: ARG002 nothing goes on that could be stopped
        *,
        wait: bool,  # noqa: ARG002 there is no place to take
        started: Callable[[], None],
    ) -> None:
        """Return at once: Vertex AI starts the runs of schedules by itself."""
        started()

    def close(self) -> None:
        """Remove what was downloaded, and close connections."""
        self._rest.close()
        self._artifacts.close()

    @property
    def _client(self) -> PipelineServiceClient:
        return self._wire.client(PipelineServiceClient)

    def _check(self, request: RunRequest, mode: RunMode) -> None:
        if mode is RunMode.IN_PROCESS:
            raise UnsupportedError(
                "Vertex AI runs steps in containers of its own, not in this process",
                hint="To debug a pipeline, run it on local://:memory: with in_process=True.",
            )
        if request.compiled and request.written_for != PROVIDER:
            raise UnsupportedError(
                f"pipeline {request.graph.name!r} is a pipeline job of Azure ML, which Vertex AI does not run",
                hint="Run it on azureml://, or write it with @cm.pipeline: such a one runs on both.",
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
            self._job(request.id, attempt)  # another call has made it, or this one whose answer was lost

    def _place(self, kept: Mapping[str, Mapping[str, OutputRecord]]) -> Place:
        return Place(
            bucket=self._store.removeprefix("gs://"),
            image=self._settings.image,
            target=self._settings.target,
            cache=self._kept.cache,
            kept=kept,
        )

    def _name(self, run: str, attempt: int) -> str:
        return f"{self._settings.parent}/pipelineJobs/{job_of(run, attempt)}"

    def _last(self, run: str) -> tuple[PipelineJob, int]:
        """Return the last job of a run and its number; whoever noted one more may not have come to make it."""
        tried = self._kept.attempts(run)
        if tried > 1 and (made := self._made(run, tried)) is not None:
            return made, tried
        tried = max(1, tried - 1)
        return self._job(run, tried), tried

    def _made(self, run: str, attempt: int) -> PipelineJob | None:
        try:
            return self._job(run, attempt)
        except NotFoundError:
            return None

    def _job(self, run: str, attempt: int) -> PipelineJob:
        request = GetPipelineJobRequest(name=self._name(run, attempt))
        try:
            return self._wire.ask(
                self._client.get_pipeline_job, request, operation="pipelines.get", resource=run, again=True
            )
        except NotFoundError as error:
            raise _no_run(run) from error

    def _request(self, run: str, job: PipelineJob | None = None) -> RunRequest:
        """Return what a run was asked to do; one that a schedule started has the schedule's request."""
        if (known := self._kept.request(run)) is not None:
            return known
        labels = job.labels if job is not None else {}
        found = self._kept.scheduled_request(
            labels.get(mapping.SCHEDULE_LABEL, ""), labels.get(mapping.REQUEST_LABEL, "")
        )
        if found is None or job is None:
            raise _no_run(run)
        at = mapping.moment(job, "create_time") or found.lineage.started_at
        self._kept.add_request(replace(found, id=run, lineage=replace(found.lineage, started_at=at)))
        return self._request(run)

    def _record(self, request: RunRequest, job: PipelineJob, attempts: int) -> RunRecord:
        state = mapping.run_state(job)
        before = self._kept.steps(request.id, attempts)
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
            announced=state.ended and self._kept.is_announced(request.id),
            steps={
                step.name: self._step(job, step, before.get(step.name), compiled=bool(request.compiled))
                for step in request.graph.order
            },
            error=job.error.message if state is RunState.FAILED else "",
        )

    def _step(self, job: PipelineJob, step: StepSpec, before: StepRecord | None, *, compiled: bool) -> StepRecord:
        if before is not None and before.state.succeeded:
            return before
        name, tried = step.name, before.attempt if before is not None else 0
        detail = mapping.detail_of(job, name)
        state = mapping.step_state(job, detail)
        if detail is None:
            return StepRecord(name=name, state=state, attempt=tried)
        left = self._left(mapping.artifact_uri(detail, RECORD)) if state.succeeded else {}
        outputs = mapping.compiled_outputs(detail, step) if compiled else outputs_from_json(left.get("outputs", {}))
        why = ""
        if state is StepState.FAILED:
            said = detail.error.message
            image = step.options.image or self._settings.image
            why = self._kept.failure(_id(job), name) or (said if compiled else mapping.unheard(said, image))
        return StepRecord(
            name=name,
            state=state,
            attempt=tried + len(mapping.containers(detail)),
            started_at=mapping.moment(detail, "start_time"),
            ended_at=mapping.moment(detail, "end_time"),
            outputs=outputs,
            error=why,
            logged=left.get("logged", {}),
            cached_from=str(left.get("run", "")) if state is StepState.CACHED else "",
        )

    def _left(self, uri: str) -> Mapping[str, Any]:
        return self._kept.record(self._artifacts.key(uri)) if uri else {}


def _id(job: PipelineJob) -> str:
    return str(job.name.rpartition("/")[2])


def _no_run(run: str) -> NotFoundError:
    return NotFoundError(
        f"there is no run {run!r}", hint="List them with cloudmlops runs list.", provider=PROVIDER, resource=run
    )


def _conflict(run: str, what: str, hint: str) -> ConflictError:
    return ConflictError(f"run {run!r} {what}", hint=hint, provider=PROVIDER, operation="pipelines", resource=run)
