"""Runs as pipeline jobs of Vertex AI.

A run's job has the run's id; a resume is a job of its own that brings in what the others have left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from google.cloud.aiplatform_v1 import PipelineServiceClient
from google.cloud.aiplatform_v1.types import (
    CancelPipelineJobRequest,
    CreatePipelineJobRequest,
    GetPipelineJobRequest,
    ListPipelineJobsRequest,
    PipelineJob,
)

from cloudmlops.domain.graph import StepSpec
from cloudmlops.domain.runs import OutputRecord, RunRequest, RunState, StepRecord, StepState
from cloudmlops.domain.schedules import Schedule
from cloudmlops.errors import ConflictError, NotFoundError
from cloudmlops.providers.job_pipelines import JobPipelines, JobRecord, Jobs
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

_PAGE: Final = 100


def vertex_pipelines(backends: VertexBackends) -> JobPipelines[PipelineJob]:
    """Return the pipelines of one project and location."""
    kept = Kept(backends.objects, image=backends.settings.image)
    artifacts = Artifacts(backends.objects, PROVIDER)
    return JobPipelines(VertexJobs(backends, kept, artifacts), kept, artifacts)


class VertexJobs(Jobs[PipelineJob]):
    """The pipeline jobs of one project and location that this library started."""

    provider = PROVIDER
    service = "Vertex AI"

    def __init__(self, backends: VertexBackends, kept: Kept, artifacts: Artifacts) -> None:
        self._settings = backends.settings
        self._wire = backends.wire
        self._store = backends.objects.uri
        self._rest = Rest(backends.wire)
        self._kept = kept
        self._artifacts = artifacts
        self._schedules = Schedules(backends.wire, kept)

    def faults(self, request: RunRequest) -> Sequence[str]:
        return faults(request, self._settings.image)

    def start(self, request: RunRequest, number: int, kept: Mapping[str, Mapping[str, OutputRecord]]) -> None:
        job = pipeline_job(request, self._settings, self._place(kept))
        try:
            self._wire.ask(
                self._client.create_pipeline_job,
                CreatePipelineJobRequest(
                    parent=self._settings.parent, pipeline_job=job, pipeline_job_id=job_of(request.id, number)
                ),
                operation="pipelines.run",
                resource=request.id,
                again=True,  # a second one of that id is refused
            )
        except ConflictError:
            # Another call has made it, or this one whose answer was lost.
            if self.find(request.id, number) is None:
                raise

    def find(self, run: str, number: int) -> PipelineJob | None:
        request = GetPipelineJobRequest(name=self._name(run, number))
        try:
            return self._wire.ask(
                self._client.get_pipeline_job, request, operation="pipelines.get", resource=run, again=True
            )
        except NotFoundError:
            return None

    def cancel(self, run: str, number: int) -> None:
        request = CancelPipelineJobRequest(name=self._name(run, number))
        self._wire.ask(
            self._client.cancel_pipeline_job, request, operation="pipelines.cancel", resource=run, again=True
        )

    def newest(self, pipeline: str | None, limit: int) -> Iterator[PipelineJob]:
        wanted = f'labels.{mapping.PIPELINE_LABEL}="{pipeline}"' if pipeline else f"labels.{mapping.PIPELINE_LABEL}:*"
        request = ListPipelineJobsRequest(
            parent=self._settings.parent, filter=wanted, order_by="create_time desc", page_size=min(limit, _PAGE)
        )
        yield from self._wire.list(
            self._client.list_pipeline_jobs, request, operation="pipelines.list", resource=pipeline or ""
        )

    def of_run(self, job: PipelineJob) -> tuple[str, int]:
        return run_of(_id(job)), attempt_of(_id(job))

    def of_schedule(self, job: PipelineJob) -> tuple[str, str]:
        return job.labels.get(mapping.SCHEDULE_LABEL, ""), job.labels.get(mapping.REQUEST_LABEL, "")

    def made_at(self, job: PipelineJob) -> datetime | None:
        return mapping.moment(job, "create_time")

    def record(self, request: RunRequest, job: PipelineJob) -> JobRecord:
        state = mapping.run_state(job)
        compiled = bool(request.compiled)
        return JobRecord(
            state=state,
            steps={step.name: self._step(job, step, compiled=compiled) for step in request.graph.order},
            started_at=mapping.moment(job, "start_time"),
            ended_at=mapping.moment(job, "end_time"),
            error=job.error.message if state is RunState.FAILED else "",
        )

    def printed(self, request: RunRequest, job: PipelineJob, step: str) -> Sequence[Callable[[], Mapping[str, str]]]:
        detail = mapping.detail_of(job, step)
        if detail is None:
            return ()
        if mapping.step_state(job, detail) is StepState.CACHED:
            origin = str(self._left(mapping.artifact_uri(detail, RECORD)).get("run", ""))
            jobs = [self.find(origin, number) for number in range(1, self._kept.attempts(origin) + 1)] if origin else ()
            return [read for one in jobs if one is not None for read in self.printed(request, one, step)]
        resource = f"{request.id}/{step}"
        return [
            partial(printed, self._rest, self._settings.project, container, resource=resource)
            for container in mapping.containers(detail)
        ]

    def schedule(self, schedule: Schedule, request: RunRequest) -> None:
        mark = self._kept.add_scheduled(schedule.name, request)
        job = pipeline_job(request, self._settings, self._place({}), schedule=schedule.name, mark=mark)
        self._schedules.put(schedule, job)

    def schedules(self) -> Sequence[Schedule]:
        return self._schedules.list()

    def unschedule(self, name: str) -> None:
        self._schedules.drop(name)

    def close(self) -> None:
        self._rest.close()

    @property
    def _client(self) -> PipelineServiceClient:
        return self._wire.client(PipelineServiceClient)

    def _place(self, kept: Mapping[str, Mapping[str, OutputRecord]]) -> Place:
        return Place(
            bucket=self._store.removeprefix("gs://"),
            image=self._settings.image,
            target=self._settings.target,
            cache=self._kept.cache,
            kept=kept,
        )

    def _name(self, run: str, number: int) -> str:
        return f"{self._settings.parent}/pipelineJobs/{job_of(run, number)}"

    def _step(self, job: PipelineJob, step: StepSpec, *, compiled: bool) -> StepRecord:
        name = step.name
        detail = mapping.detail_of(job, name)
        state = mapping.step_state(job, detail)
        if detail is None:
            return StepRecord(name=name, state=state)
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
            attempt=len(mapping.containers(detail)),
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
