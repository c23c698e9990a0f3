"""Runs as pipeline jobs of Azure ML.

A run's job has the run's id; a resume is a job of its own that takes what the others have left.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from cloudmlops.domain.graph import StepSpec, graph_to_json
from cloudmlops.domain.runs import OutputRecord, RunMode, RunRecord, RunRequest, RunState, StepRecord, StepState
from cloudmlops.domain.schedules import Schedule
from cloudmlops.errors import (
    ConflictError,
    InvalidPipelineError,
    InvalidRequestError,
    NotFoundError,
    ServiceError,
    UnsupportedError,
)
from cloudmlops.ports.pipelines import PipelinesPort
from cloudmlops.providers.azureml.errors import PROVIDER
from cloudmlops.providers.azureml.mapping import pipelines as mapping
from cloudmlops.providers.azureml.mapping.given_jobs import given_job, given_names, given_outputs
from cloudmlops.providers.azureml.mapping.job_names import attempt_of, job_of, nodes, run_faults, run_of
from cloudmlops.providers.azureml.mapping.pipeline_spec import RECORD, Place, faults, machine_faults, pipeline_job
from cloudmlops.providers.azureml.mapping.step_logs import attempts, unheard
from cloudmlops.providers.azureml.mapping.time_zones import windows_zone
from cloudmlops.providers.azureml.pipeline_runs.code import Code
from cloudmlops.providers.azureml.pipeline_runs.jobs import Jobs, loaded
from cloudmlops.providers.azureml.pipeline_runs.schedules import Schedules
from cloudmlops.providers.azureml.pipeline_runs.step_logs import StepLogs
from cloudmlops.providers.run_artifacts import Artifacts
from cloudmlops.providers.run_records import Kept, StepRecords, outputs_from_json
from cloudmlops.storage.opening import open_store

if TYPE_CHECKING:
    from cloudmlops.providers.azureml.backends import AzureMLBackends

_FIRST_LOOK: Final = 0.05
_SELDOMEST_LOOK: Final = 10.0
"""Seconds between looks at a run that is waited for: the longer it takes, the seldomer."""
_SLOWER: Final = 1.5
_RUN: Final = "pipelines.run"
_LEFT: Final = "azureml"
"""Folder of a datastore in which each run has one with its outputs, unless it is told otherwise."""


class AzureMLPipelines(PipelinesPort):
    """The pipeline jobs of one workspace that this library started."""

    def __init__(self, backends: AzureMLBackends) -> None:
        self._settings = backends.settings
        self._clock = backends.clock
        self._place = backends.place
        self._objects = backends.objects
        self._left = open_store(
            backends.place.store(""), tokens=backends.wire.storage_token, timeout=backends.settings.timeout
        )
        self._jobs = Jobs(backends.wire)
        self._computes = backends.computes
        self._logs = StepLogs(backends.wire)
        self._code = Code(backends.objects)
        self._kept = Kept(backends.objects, image=backends.settings.environment)
        self._schedules = Schedules(backends.wire, self._jobs, self._kept, backends.clock)
        self._records = StepRecords(self._left)
        self._artifacts = Artifacts(self._left, PROVIDER)

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
        if self._jobs.find(request.id, run=request.id) is None:
            self._start(request, 1, {})
        return self.get(request.id)

    def get(self, run: str) -> RunRecord:
        job, tried = self._last(run)
        return self._record(self._request(run, job), job, tried)

    def list(self, pipeline: str | None, limit: int) -> Sequence[RunRecord]:
        found: dict[str, RunRecord] = {}
        for job in self._jobs.of_ours():
            run = run_of(str(job.name))
            if run not in found and pipeline in (None, mapping.tags(job)[mapping.PIPELINE_TAG]):
                try:
                    found[run] = self._record(self._request(run, job), job, attempt_of(str(job.name)))
                except NotFoundError:
                    continue  # a run of a platform with another datastore, or its records were removed
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
                operation="pipelines.logs",
                resource=f"{run}/{step}",
            )
        said: list[str] = []
        for job in jobs:
            child = _one_of(self._jobs.children(str(job.name), run=run), _called(request)[step])
            if child is not None:
                done_by = mapping.done_by(child)
                said += attempts(self._logs.printed(done_by), done_by)
        if not said or (attempt is not None and attempt > len(said)):
            return ""
        return said[attempt - 1 if attempt else -1]

    def cancel(self, run: str) -> None:
        record = self.get(run)
        if record.state.ended:
            return
        try:
            self._jobs.cancel(job_of(run, record.attempt), run=run)
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
                f"run {run!r} is of a pipeline job in Azure ML's own words: which parts may be left out is not known",
                hint="Run it anew: what has succeeded is reused by Azure ML, if its components allow that.",
            )
        done = {name: step for name, step in record.steps.items() if step.state.succeeded}
        number = record.attempt + 1
        added = self._kept.add_attempt(run, number, record.steps.values())
        if not added and self._jobs.find(job_of(run, number), run=run) is not None:
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

    def run_schedules(
        self,
        stop: threading.Event,  # noqa: ARG002 nothing goes on that could be stopped
        *,
        wait: bool,  # noqa: ARG002 there is no place to take
        started: Callable[[], None],
    ) -> None:
        """Return at once: Azure ML starts the runs of schedules by itself."""
        started()

    def close(self) -> None:
        """Remove what was laid out and downloaded."""
        self._code.close()
        self._artifacts.close()

    def _check(self, request: RunRequest, mode: RunMode) -> None:
        if mode is RunMode.IN_PROCESS:
            raise UnsupportedError(
                "Azure ML runs steps in containers of its own, not in this process",
                hint="To debug a pipeline, run it on local://:memory: with in_process=True.",
            )
        if request.compiled and request.written_for != PROVIDER:
            raise UnsupportedError(
                f"pipeline {request.graph.name!r} was compiled by Kubeflow, and Azure ML does not run it",
                hint="Run it on vertex://, or write it with @cm.pipeline: such a one runs on both.",
            )
        if request.compiled:
            loaded({"name": request.id, **given_job(request)}, request.written_in)
        listed = run_faults(request.id) if request.compiled else faults(request, self._settings.environment)
        # What is wrong anyway is told before anything is asked.
        if not request.compiled and not (self._settings.compute and listed):
            listed += machine_faults(request, self._computes.ready(_RUN))
        if listed:
            raise InvalidPipelineError(f"pipeline {request.graph.name!r} cannot run on Azure ML", faults=listed)

    def _start(self, request: RunRequest, attempt: int, kept: Mapping[str, Mapping[str, OutputRecord]]) -> None:
        tags = {mapping.PIPELINE_TAG: request.graph.name, mapping.RUN_TAG: request.id}
        job = self._definition(request, kept, tags=tags, display_name=request.id)
        lineage = request.lineage
        job["name"] = job_of(request.id, attempt)
        job["properties"] = {
            **job.get("properties", {}),
            "cloudmlops.source": lineage.source_digest,
            "cloudmlops.actor": lineage.actor.id,
            **({"cloudmlops.commit": lineage.git_commit} if lineage.git_commit else {}),
        }
        self._jobs.submit(job, run=request.id, folder=request.written_in)

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
            compute=self._computes.ready(_RUN),
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

    def _last(self, run: str) -> tuple[Any, int]:
        """Return the last job of a run and its number; whoever noted one more may not have come to make it."""
        tried = self._kept.attempts(run)
        made = self._jobs.find(job_of(run, tried), run=run) if tried > 1 else None
        if made is not None:
            return made, tried
        tried = max(1, tried - 1)
        return self._job(run, tried), tried

    def _job(self, run: str, attempt: int) -> Any:
        try:
            return self._jobs.get(job_of(run, attempt), run=run)
        except NotFoundError as error:
            raise _no_run(run) from error

    def _request(self, run: str, job: Any = None) -> RunRequest:
        """Return what a run was asked to do; one that a schedule started has the schedule's request."""
        if (known := self._kept.request(run)) is not None:
            return known
        tags = mapping.tags(job) if job is not None else {}
        found = self._kept.scheduled_request(tags.get(mapping.SCHEDULE_TAG, ""), tags.get(mapping.REQUEST_TAG, ""))
        if found is None or job is None:
            raise _no_run(run)
        at = mapping.created(job) or found.lineage.started_at
        self._kept.add_request(replace(found, id=run, lineage=replace(found.lineage, started_at=at)))
        return self._request(run)

    def _record(self, request: RunRequest, job: Any, tried: int) -> RunRecord:
        state = mapping.run_state(job)
        before = self._kept.steps(request.id, tried)
        children = self._jobs.children(str(job.name), run=request.id)
        called = _called(request)
        steps = {
            step.name: self._step(_one_of(children, called[step.name]), step, before.get(step.name), state, request)
            for step in request.graph.order
        }
        begun = [step.started_at for step in steps.values() if step.started_at]
        ended = [step.ended_at for step in steps.values() if step.ended_at]
        return RunRecord(
            id=request.id,
            pipeline=request.graph.name,
            state=state,
            graph=request.graph,
            lineage=request.lineage,
            created_at=request.lineage.started_at,
            started_at=min(begun, default=None),
            ended_at=max(ended, default=mapping.created(job)) if state.ended else None,
            attempt=tried,
            announced=state.ended and self._kept.is_announced(request.id),
            steps=steps,
        )

    def _step(
        self, child: Any, step: StepSpec, before: StepRecord | None, run: RunState, request: RunRequest
    ) -> StepRecord:
        if before is not None and before.state.succeeded:
            return before
        tried = before.attempt if before is not None else 0
        state = mapping.step_state(child, run)
        if child is None:
            return StepRecord(name=step.name, state=state, attempt=tried)
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
            attempt=tried + (0 if state is StepState.CACHED else int(said.get("attempt", 1))),
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
        return unheard(self._logs.printed(job), job, step.options.image or self._settings.environment)


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


def _no_run(run: str) -> NotFoundError:
    return NotFoundError(
        f"there is no run {run!r}", hint="List them with cloudmlops runs list.", provider=PROVIDER, resource=run
    )


def _conflict(run: str, what: str, hint: str) -> ConflictError:
    return ConflictError(f"run {run!r} {what}", hint=hint, provider=PROVIDER, operation="pipelines", resource=run)
