"""Runs as pipeline jobs of Azure ML.

A run's job has the run's id; a resume is a job of its own that takes what the others have left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from cloudmlops.domain.graph import StepSpec
from cloudmlops.domain.runs import OutputRecord, RunRequest, RunState, StepRecord, StepState
from cloudmlops.domain.schedules import Schedule
from cloudmlops.errors import InvalidRequestError
from cloudmlops.providers.azureml.errors import PROVIDER
from cloudmlops.providers.azureml.mapping import pipelines as mapping
from cloudmlops.providers.azureml.mapping.given_jobs import computes_of, given_job, given_names, given_outputs
from cloudmlops.providers.azureml.mapping.job_names import attempt_of, job_of, nodes, run_faults, run_of
from cloudmlops.providers.azureml.mapping.pipeline_spec import RECORD, Place, faults, machine_faults, pipeline_job
from cloudmlops.providers.azureml.mapping.step_logs import attempts, unheard
from cloudmlops.providers.azureml.mapping.time_zones import windows_zone
from cloudmlops.providers.azureml.pipeline_runs.code import Code
from cloudmlops.providers.azureml.pipeline_runs.jobs import WorkspaceJobs, loaded
from cloudmlops.providers.azureml.pipeline_runs.schedules import Schedules
from cloudmlops.providers.azureml.pipeline_runs.step_logs import StepLogs
from cloudmlops.providers.job_pipelines import JobPipelines, JobRecord, Jobs, joined
from cloudmlops.providers.run_artifacts import Artifacts
from cloudmlops.providers.run_records import Kept, StepRecords, outputs_from_json
from cloudmlops.storage.opening import open_store

if TYPE_CHECKING:
    from azure.ai.ml.entities import Job

    from cloudmlops.ports.objects import ObjectStore
    from cloudmlops.providers.azureml.backends import AzureMLBackends

_RUN: Final = "pipelines.run"
_LEFT: Final = "azureml"
"""Folder of a datastore in which each run has one with its outputs, unless it is told otherwise."""


def azureml_pipelines(backends: AzureMLBackends) -> JobPipelines[Job]:
    """Return the pipelines of one workspace."""
    tokens, timeout = backends.wire.storage_token, backends.settings.timeout
    left = open_store(backends.place.store(""), tokens=tokens, timeout=timeout)
    kept = Kept(backends.objects, image=backends.settings.environment)
    return JobPipelines(AzureMLJobs(backends, kept, left), kept, Artifacts(left, PROVIDER))


class AzureMLJobs(Jobs["Job"]):
    """The pipeline jobs of one workspace that this library started."""

    provider = PROVIDER
    service = "Azure ML"

    def __init__(self, backends: AzureMLBackends, kept: Kept, left: ObjectStore) -> None:
        """Ask for jobs of a workspace.

        Args:
            backends: Of the workspace.
            kept: What runs were asked to do.
            left: The whole of the datastore that holds what steps leave.
        """
        self._settings = backends.settings
        self._clock = backends.clock
        self._place = backends.place
        self._objects = backends.objects
        self._left = left
        self._jobs = WorkspaceJobs(backends.wire)
        self._computes = backends.computes
        self._logs = StepLogs(backends.wire)
        self._code = Code(backends.objects)
        self._kept = kept
        self._schedules = Schedules(backends.wire, self._jobs, kept, backends.clock)
        self._records = StepRecords(left)

    def faults(self, request: RunRequest) -> Sequence[str]:
        if request.compiled:
            definition = given_job(request)
            job = loaded({"name": request.id, **definition}, request.written_in)
            if listed := run_faults(request.id):
                return listed
            for compute in computes_of(job, definition.get("inputs", {})):
                self._computes.check(compute, _RUN)
            return ()
        listed = faults(request, self._settings.environment)
        # What is wrong anyway is told before anything is asked.
        return (
            listed
            if self._settings.compute and listed
            else listed + machine_faults(request, self._computes.ready(_RUN))
        )

    def start(self, request: RunRequest, number: int, kept: Mapping[str, Mapping[str, OutputRecord]]) -> None:
        tags = {mapping.PIPELINE_TAG: request.graph.name, mapping.RUN_TAG: request.id}
        job = self._definition(request, kept, tags=tags, display_name=request.id)
        lineage = request.lineage
        job["name"] = job_of(request.id, number)
        job["properties"] = {
            **job.get("properties", {}),
            "cloudmlops.source": lineage.source_digest,
            "cloudmlops.actor": lineage.actor.id,
            **({"cloudmlops.commit": lineage.git_commit} if lineage.git_commit else {}),
        }
        self._jobs.submit(job, run=request.id, folder=request.written_in)

    def find(self, run: str, number: int) -> Job | None:
        return self._jobs.find(job_of(run, number), run=run)

    def cancel(self, run: str, number: int) -> None:
        self._jobs.cancel(job_of(run, number), operation="pipelines.cancel", resource=run)

    def newest(self, pipeline: str | None, limit: int) -> Iterator[Job]:  # noqa: ARG002 pages are as the service has them
        for job in self._jobs.of_ours():
            if pipeline in (None, mapping.tags(job)[mapping.PIPELINE_TAG]):
                yield job

    def of_run(self, job: Job) -> tuple[str, int]:
        return run_of(str(job.name)), attempt_of(str(job.name))

    def of_schedule(self, job: Job) -> tuple[str, str]:
        tags = mapping.tags(job)
        return tags.get(mapping.SCHEDULE_TAG, ""), tags.get(mapping.REQUEST_TAG, "")

    def made_at(self, job: Job) -> datetime | None:
        return mapping.created(job)

    def record(self, request: RunRequest, job: Job) -> JobRecord:
        state = mapping.run_state(job)
        children = self._jobs.children(str(job.name), run=request.id)
        called = _called(request)
        return JobRecord(
            state=state,
            steps={
                step.name: self._step(_one_of(children, called[step.name]), step, state, request)
                for step in request.graph.order
            },
        )

    def printed(self, request: RunRequest, job: Job, step: str) -> Sequence[Callable[[], Mapping[str, str]]]:
        child = _one_of(self._jobs.children(str(job.name), run=request.id), _called(request)[step])
        if child is None:
            return ()
        done_by = mapping.done_by(child)
        return [partial(dict, told) for told in attempts(self._logs.printed(done_by), done_by)]

    def schedule(self, schedule: Schedule, request: RunRequest) -> None:
        zone = windows_zone(schedule.timezone, self._clock.now())
        if zone is None:
            raise InvalidRequestError(
                f"schedule {schedule.name!r} cannot be kept",
                faults=[f"Azure ML has no time zone whose clocks show the same as those of {schedule.timezone}"],
                hint="Write the times in UTC.",
            )
        self._schedules.check_name(schedule.name)
        mark = self._kept.add_scheduled(schedule.name, request)
        tags = {
            mapping.PIPELINE_TAG: request.graph.name,
            mapping.SCHEDULE_TAG: schedule.name,
            mapping.REQUEST_TAG: mark,
        }
        job = self._definition(request, {}, tags=tags, display_name=schedule.name)
        self._schedules.put(schedule, zone, mark, job, folder=request.written_in)

    def schedules(self) -> Sequence[Schedule]:
        return self._schedules.list()

    def unschedule(self, name: str) -> None:
        self._schedules.drop(name)

    def close(self) -> None:
        self._code.close()

    def _definition(
        self,
        request: RunRequest,
        kept: Mapping[str, Mapping[str, OutputRecord]],
        *,
        tags: Mapping[str, str],
        display_name: str,
    ) -> dict[str, Any]:
        job = given_job(request) if request.compiled else pipeline_job(request, self._written_for(request, kept))
        return {**job, "display_name": display_name, "tags": {**job.get("tags", {}), **tags}}

    def _written_for(self, request: RunRequest, kept: Mapping[str, Mapping[str, OutputRecord]]) -> Place:
        return Place(
            datastore=self._place.datastore,
            root=f"{self._left.uri}/{_LEFT}",
            environment=self._settings.environment,
            compute=self._computes.seen(_RUN),
            target=self._settings.target,
            cache=f"{self._native(f'{self._objects.uri}/{self._kept.cache}')}/",
            code=self._code.folder(request.source),
            kept={
                step: {
                    name: replace(output, uri=self._native(output.uri)) if output.uri else output
                    for name, output in outputs.items()
                }
                for step, outputs in kept.items()
            },
        )

    def _native(self, uri: str) -> str:
        return self._place.native_uri(self._settings, uri)

    def _step(self, child: Any, step: StepSpec, run: RunState, request: RunRequest) -> StepRecord:
        state = mapping.step_state(child, run)
        if child is None:
            return StepRecord(name=step.name, state=state)
        done_by = mapping.done_by(child)
        folder = f"{_LEFT}/{done_by}/{RECORD}"
        said: Mapping[str, Any] = {}
        if state.succeeded and not request.compiled:
            said = self._records.of(folder)
        elif state is StepState.FAILED and not request.compiled:
            said = self._records.failure(folder)
        outputs = outputs_from_json(said.get("outputs", {}))
        if state.succeeded and request.compiled:
            outputs = given_outputs(
                request, step, datastore=self._place.datastore, store=self._left.uri, left=f"{_LEFT}/{done_by}"
            )
        return StepRecord(
            name=step.name,
            state=state,
            attempt=0 if state is StepState.CACHED else int(said.get("attempt", 1)),
            **_times(child, state, said),
            outputs=outputs,
            error=self._why(done_by, step, said) if state is StepState.FAILED else "",
            logged=said.get("logged", {}),
            cached_from=run_of(mapping.reused_of(child)) if state is StepState.CACHED else "",
        )

    def _why(self, job: str, step: StepSpec, said: Mapping[str, Any]) -> str:
        """Return why a step failed: in the words of its process, else by the last that it printed."""
        if "error" in said:
            return str(said["error"])
        return unheard(joined(self._logs.printed(job)), job, step.options.image or self._settings.environment)


def _called(request: RunRequest) -> Mapping[str, Sequence[str]]:
    """Return what each step's job may be called in the job of the whole."""
    if request.compiled:
        return given_names(request)
    return {step: (node,) for step, node in nodes(request.graph).items()}


def _one_of(children: Mapping[str, Any], names: Sequence[str]) -> Any:
    return next((children[name] for name in names if name in children), None)


def _times(child: Any, state: StepState, said: Mapping[str, Any]) -> dict[str, datetime | None]:
    """Return when a step began and ended: as its own process says, else as its job was made and changed."""
    told = {} if state is StepState.CACHED else said
    known = {name: datetime.fromisoformat(told[name]) for name in ("started_at", "ended_at") if name in told}
    ended = None if state in (StepState.WAITING, StepState.RUNNING) else mapping.changed(child)
    return {"started_at": mapping.created(child), "ended_at": ended, **known}
