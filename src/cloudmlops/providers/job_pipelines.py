"""Pipelines whose runs are jobs of a cloud's own service.

A run has one job, and one more for each resume, which takes what the jobs before have left. What a run was asked to do
is kept in the object store before its job is made, so that whoever asks for the same run again finds it, and makes the
job that somebody else did not come to make: a refused start or resume loses nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Generic, Protocol, TypeVar

from cloudmlops.domain.runs import OutputRecord, RunMode, RunRecord, RunRequest, RunState, StepRecord
from cloudmlops.domain.schedules import Schedule
from cloudmlops.errors import (
    InvalidPipelineError,
    NotFoundError,
    PermissionDeniedError,
    ServiceError,
    UnsupportedError,
)
from cloudmlops.ports.pipelines import PipelinesPort
from cloudmlops.providers import run_refusals as refusals
from cloudmlops.providers.run_artifacts import Artifacts
from cloudmlops.providers.run_records import Kept

_FIRST_LOOK: Final = 0.05
_SELDOMEST_LOOK: Final = 10.0
"""Seconds between looks at a run that is waited for: the longer it takes, the seldomer."""
_SLOWER: Final = 1.5
_LOG_LAG: Final = timedelta(seconds=3)
"""Services write down what a container prints some seconds late, also after its end."""

Job = TypeVar("Job")


@dataclass(frozen=True, kw_only=True, slots=True)
class JobRecord:
    """Where a job of a run stands."""

    state: RunState
    steps: Mapping[str, StepRecord]
    """By name; their attempts are those of this job alone."""
    started_at: datetime | None = None
    ended_at: datetime | None = None
    error: str = ""


class Jobs(Protocol[Job]):
    """A cloud's part: its jobs, by the runs that they are of and their number there, 1 and one more a resume."""

    provider: str
    service: str
    """As people call it, such as `Vertex AI`."""

    def faults(self, request: RunRequest) -> Sequence[str]:
        """List why a run cannot be a job here."""

    def start(self, request: RunRequest, number: int, kept: Mapping[str, Mapping[str, OutputRecord]]) -> None:
        """Make a job unless there is one; the steps whose outputs are `kept` are left out."""

    def find(self, run: str, number: int) -> Job | None:
        """Return a job; None when there is none."""

    def cancel(self, run: str, number: int) -> None:
        """Ask a job to end."""

    def newest(self, pipeline: str | None, limit: int) -> Iterator[Job]:
        """Yield the jobs of a pipeline, or of all of ours, the newest first; about so many are wanted."""

    def of_run(self, job: Job) -> tuple[str, int]:
        """Return the run that a job is of, and its number."""

    def of_schedule(self, job: Job) -> tuple[str, str]:
        """Return the schedule that has made a job and the mark of its request; empty when none has."""

    def made_at(self, job: Job) -> datetime | None:
        """Return when a job was made."""

    def record(self, request: RunRequest, job: Job) -> JobRecord:
        """Return where a job stands."""

    def printed(self, request: RunRequest, job: Job, step: str) -> Sequence[Callable[[], Mapping[str, str]]]:
        """Return what reads the log of each attempt at a step by its processes, the first attempt first."""

    def schedule(self, schedule: Schedule, request: RunRequest) -> None:
        """Make a schedule, or replace the one of that name; it and its jobs name their request by its mark."""

    def schedules(self) -> Sequence[Schedule]:
        """Return the schedules in force, by name."""

    def unschedule(self, name: str) -> None:
        """Remove a schedule; `NotFoundError` when there is none."""

    def close(self) -> None:
        """Let go of connections and files."""


class JobPipelines(PipelinesPort, Generic[Job]):
    """The runs of one platform on a cloud."""

    def __init__(self, jobs: Jobs[Job], kept: Kept, artifacts: Artifacts) -> None:
        self._jobs = jobs
        self._kept = kept
        self._artifacts = artifacts
        self._provider = jobs.provider
        self._only_read: dict[str, RunRequest] = {}

    def submit(self, request: RunRequest, mode: RunMode) -> RunRecord:
        self._check(request, mode)
        if added := self._kept.add_request(request):
            known = request
        else:
            known = self._request(request.id)
            refusals.check_same(self._provider, known, request)
        # Whoever recorded it may not have come to start it.
        if added or self._jobs.find(request.id, 1) is None:
            self._jobs.start(known, 1, {})
        return self.get(request.id)

    def get(self, run: str) -> RunRecord:
        job, number = self._last(run)
        return self._record(self._request(run, job), job, number)

    def list(self, pipeline: str | None, limit: int) -> Sequence[RunRecord]:
        found: dict[str, RunRecord] = {}
        for job in self._jobs.newest(pipeline, limit):
            run, number = self._jobs.of_run(job)
            if run not in found:  # of several attempts the last one comes first
                try:
                    found[run] = self._record(self._request(run, job), job, number)
                except NotFoundError:
                    continue  # a run of a platform with another store, or its records were removed
            if len(found) == limit:
                break
        return list(found.values())

    def wait(
        self, run: str, timeout: timedelta | None, *, seen: Callable[[RunRecord], None] | None = None
    ) -> RunRecord:
        deadline = None if timeout is None else time.monotonic() + timeout.total_seconds()
        pause = _FIRST_LOOK
        while True:
            record = self.get(run)
            if seen is not None:
                seen(record)
            left = None if deadline is None else deadline - time.monotonic()
            if record.state.ended or (left is not None and left <= 0):
                return record
            time.sleep(pause if left is None else min(pause, left))
            pause = min(pause * _SLOWER, _SELDOMEST_LOOK)

    @property
    def log_lag(self) -> timedelta:
        return _LOG_LAG

    def log(self, run: str, step: str, attempt: int | None) -> str:
        return joined(self._printed(run, step, attempt))

    def printed(self, run: str, step: str, attempt: int) -> Mapping[str, str]:
        return self._printed(run, step, attempt)

    def _printed(self, run: str, step: str, attempt: int | None) -> Mapping[str, str]:
        last, number = self._last(run)
        jobs = [*(self._job(run, before) for before in range(1, number)), last]
        request = self._request(run, jobs[0])
        if step not in request.graph.by_name:
            raise refusals.no_step(self._provider, run, step, known=request.graph.by_name)
        printed = [read for job in jobs for read in self._jobs.printed(request, job, step)]
        if not printed or (attempt is not None and attempt > len(printed)):
            return {}
        return printed[attempt - 1 if attempt else -1]()

    def cancel(self, run: str) -> None:
        record = self.get(run)
        if record.state.ended:
            return
        try:
            self._jobs.cancel(run, record.attempt)
        except ServiceError:
            if not self.get(run).state.ended:  # else it has just ended by itself
                raise

    def resume(self, run: str, mode: RunMode) -> RunRecord:
        record = self.get(run)
        refusals.check_not_done(self._provider, run, record.state)
        if not record.state.ended:
            raise refusals.going_on(self._provider, run)
        request = self._request(run)
        self._check(request, mode)
        if request.compiled:
            raise refusals.not_to_be_parted(request, self._jobs.service)
        number = record.attempt + 1
        added = self._kept.add_attempt(run, number, record.steps.values())
        if not added and self._jobs.find(run, number) is not None:
            raise refusals.conflict(self._provider, run, "has just been resumed by somebody else", "Wait for it.")
        self._jobs.start(
            request, number, {name: step.outputs for name, step in record.steps.items() if step.state.succeeded}
        )
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
        self._jobs.schedule(schedule, request)

    def schedules(self) -> Sequence[Schedule]:
        return self._jobs.schedules()

    def unschedule(self, name: str) -> None:
        self._jobs.unschedule(name)

    def run_schedules(
        self,
        stop: threading.Event,  # noqa: ARG002 nothing goes on that could be stopped
        *,
        wait: bool,  # noqa: ARG002 there is no place to take
        started: Callable[[], None],
    ) -> None:
        """Return at once: a cloud starts the runs of its schedules by itself."""
        started()

    def close(self) -> None:
        """Remove what was downloaded, and close connections."""
        self._jobs.close()
        self._artifacts.close()

    def _check(self, request: RunRequest, mode: RunMode) -> None:
        service = self._jobs.service
        if mode is RunMode.IN_PROCESS:
            raise UnsupportedError(
                f"{service} runs steps in containers of its own, not in this process",
                hint="To debug a pipeline, run it on local://:memory: with in_process=True.",
            )
        if request.compiled and request.written_for != self._provider:
            raise refusals.of_another_platform(request, service)
        if listed := self._jobs.faults(request):
            raise InvalidPipelineError(f"pipeline {request.graph.name!r} cannot run on {service}", faults=listed)

    def _last(self, run: str) -> tuple[Job, int]:
        """Return the last job of a run and its number; whoever noted one more may not have come to make it."""
        number = self._kept.attempts(run)
        if number > 1 and (made := self._jobs.find(run, number)) is not None:
            return made, number
        number = max(1, number - 1)
        return self._job(run, number), number

    def _job(self, run: str, number: int) -> Job:
        if (found := self._jobs.find(run, number)) is None:
            raise refusals.no_run(self._provider, run)
        return found

    def _request(self, run: str, job: Job | None = None) -> RunRequest:
        """Return what a run was asked to do; one that a schedule started has the schedule's request.

        Whoever looks first at such a run and may write keeps it as the run's own; it is the same for who may only read.
        """
        if (known := self._kept.request(run) or self._only_read.get(run)) is not None:
            return known
        found = self._kept.scheduled_request(*self._jobs.of_schedule(job)) if job is not None else None
        if found is None or job is None:
            raise refusals.no_run(self._provider, run)
        at = self._jobs.made_at(job) or found.lineage.started_at
        own = replace(found, id=run, lineage=replace(found.lineage, started_at=at))
        try:
            self._kept.add_request(own)
        except PermissionDeniedError:
            return self._only_read.setdefault(run, own)
        return self._request(run)

    def _record(self, request: RunRequest, job: Job, number: int) -> RunRecord:
        found = self._jobs.record(request, job)
        before = self._kept.steps(request.id, number)
        steps = {name: _since(before.get(name), step) for name, step in found.steps.items()}
        begun = [step.started_at for step in steps.values() if step.started_at]
        ended = [step.ended_at for step in steps.values() if step.ended_at]
        return RunRecord(
            id=request.id,
            pipeline=request.graph.name,
            state=found.state,
            graph=request.graph,
            lineage=request.lineage,
            created_at=request.lineage.started_at,
            started_at=found.started_at or min(begun, default=None),
            ended_at=(found.ended_at or max(ended, default=self._jobs.made_at(job))) if found.state.ended else None,
            attempt=number,
            announced=found.state.ended and self._kept.is_announced(request.id),
            steps=steps,
            error=found.error,
        )


def joined(printed: Mapping[str, str]) -> str:
    """Return what several processes have printed one after another, each from a line of its own."""
    *before, last = printed.values() if printed else ("",)
    return "".join(text if text.endswith("\n") or not text else f"{text}\n" for text in before) + last


def _since(before: StepRecord | None, now: StepRecord) -> StepRecord:
    """Return what is known of a step: what succeeded before is in no later job."""
    if before is None:
        return now
    return before if before.state.succeeded else replace(now, attempt=before.attempt + now.attempt)
