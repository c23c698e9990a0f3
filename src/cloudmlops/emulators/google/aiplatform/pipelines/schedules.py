"""Schedules that fire on the emulator's clock.

Pinned where the documentation leaves it open: a run counts against `max_concurrent_run_count` (and against
`max_concurrent_active_run_count`, if that is set) until it has ended; a time at which the limit is reached is skipped,
or, with `allow_queueing`, waits until a run has ended; a job is called after its pipeline and the time of its schedule.
"""

from __future__ import annotations

import builtins
import json
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from google.protobuf import empty_pb2
from google.rpc import code_pb2

from cloudmlops.emulators.core.clock import Timer
from cloudmlops.emulators.core.faults import HTTP_STATUS, Refused
from cloudmlops.emulators.google.aiplatform.catalogue import message
from cloudmlops.emulators.google.aiplatform.checking import without_output_fields
from cloudmlops.emulators.google.aiplatform.generic import masked
from cloudmlops.emulators.google.aiplatform.handling import Asking, Handlers, Vertex
from cloudmlops.emulators.google.aiplatform.names import new_id
from cloudmlops.emulators.google.aiplatform.paging import newest_first, page
from cloudmlops.emulators.google.aiplatform.pipelines.cron import Cron
from cloudmlops.emulators.google.aiplatform.pipelines.jobs import ENDED, PipelineJobs, state_of

_MOST_MISSED: Final = 1000
"""So many missed times are made up for at most."""
_KINDS: Final = ("create_pipeline_job_request",)


class Schedules:
    """All schedules of one emulator, each with a timer for its next time."""

    def __init__(self, vertex: Vertex, jobs: PipelineJobs) -> None:
        self._vertex = vertex
        self._jobs = jobs
        self._kind: Any = message("Schedule")
        self._timers: dict[str, Timer] = {}
        self._queued = vertex.surroundings.state.table("aiplatform_queued_runs")
        self._lock = threading.RLock()
        jobs.ended = self._job_ended

    def handlers(self) -> Handlers:
        """Return the handlers of ScheduleService."""
        return {
            "ScheduleService.CreateSchedule": lambda request, _: self.create(request),
            "ScheduleService.ListSchedules": self.list,
            "ScheduleService.UpdateSchedule": lambda request, _: self.update(request),
            "ScheduleService.PauseSchedule": lambda request, _: self.pause(request.name),
            "ScheduleService.ResumeSchedule": lambda request, _: self.resume(request.name, catch_up=request.catch_up),
            "ScheduleService.DeleteSchedule": self.delete,
        }

    def create(self, request: Any) -> Any:
        """Make a schedule; its first time is after its start."""
        schedule = request.schedule
        without_output_fields(schedule)
        schedule.ClearField("name")
        self._check(schedule)
        schedule.state = self._kind.ACTIVE
        name = f"{request.parent}/schedules/{new_id()}"
        if not schedule.HasField("start_time"):
            _put(schedule.start_time, self._now())
        with self._lock, self._vertex.resources.transaction():
            self._vertex.resources.create(name, schedule)
            return self._planned(name, schedule, max(self._now(), _moment(schedule.start_time)))

    def list(self, request: Any, _: Asking) -> Any:
        """List schedules, the newest first."""
        found = self._vertex.resources.list(request.parent, "schedules", self._kind)
        part, token = page(found, request, kind=self._kind, natural=newest_first)
        return message("ListSchedulesResponse")(schedules=part, next_page_token=token)

    def update(self, request: Any) -> Any:
        """Change a schedule; what was planned is planned anew."""
        name = request.schedule.name
        with self._lock, self._vertex.resources.transaction():
            kept = self._vertex.resources.get(name, self._kind)
            masked(kept, request.schedule, request.update_mask)
            self._check(kept)
            self._vertex.resources.put(name, kept)
            if kept.state == self._kind.ACTIVE:
                return self._planned(name, kept, max(self._now(), _moment(kept.start_time)))
            return kept

    def pause(self, name: str) -> Any:
        """Let nothing be started until it is resumed."""
        with self._lock, self._vertex.resources.transaction():
            schedule = self._vertex.resources.get(name, self._kind)
            if schedule.state != self._kind.ACTIVE:
                raise Refused("FAILED_PRECONDITION", f"The Schedule {name} is not active: it cannot be paused.")
            schedule.state = self._kind.PAUSED
            schedule.ClearField("next_run_time")
            _put(schedule.last_pause_time, self._now())
            self._vertex.resources.put(name, schedule)
            self._stop(name)
        return empty_pb2.Empty()

    def resume(self, name: str, *, catch_up: bool) -> Any:
        """Go on; with `catch_up`, the runs that were missed are started first."""
        with self._lock, self._vertex.resources.transaction():
            schedule = self._vertex.resources.get(name, self._kind)
            if schedule.state != self._kind.PAUSED:
                raise Refused("FAILED_PRECONDITION", f"The Schedule {name} is not paused: it cannot be resumed.")
            now = self._now()
            paused = _moment(schedule.last_pause_time)
            schedule.state = self._kind.ACTIVE
            schedule.catch_up = catch_up
            _put(schedule.last_resume_time, now)
            self._vertex.resources.put(name, schedule)
            if catch_up:
                self._queue(name, [*self._waiting(name), *_between(Cron(schedule.cron), paused, now)])
            self._planned(name, schedule, max(now, _moment(schedule.start_time)))
        self._start_queued(name)
        return empty_pb2.Empty()

    def delete(self, request: Any, asking: Asking) -> Any:
        """Remove a schedule; its jobs stay."""
        self._vertex.resources.get(request.name, self._kind)

        def work() -> Any:
            with self._lock:
                self._vertex.resources.remove(request.name, self._kind)
                self._stop(request.name)
            return empty_pb2.Empty()

        return self._vertex.operations.begin(asking.method, request.name, work)

    def go_on(self) -> None:
        """Plan what was planned before a restart."""
        for name, data in self._vertex.surroundings.state.table("aiplatform_resources").items("projects/"):
            if "/schedules/" in name:
                schedule = self._kind.FromString(data)
                if schedule.state == self._kind.ACTIVE:
                    self._planned(name, schedule, self._now())
                    self._vertex.operations.left.append(partial(self._start_queued, name))

    def _planned(self, name: str, schedule: Any, after: datetime) -> Any:
        """Set the timer of the next time, or complete the schedule when there is none."""
        self._timer_off(name)
        following = Cron(schedule.cron).after(after)
        over = schedule.HasField("end_time") and following > _moment(schedule.end_time)
        if over or self._made_all(schedule):
            schedule.state = self._kind.COMPLETED
            schedule.ClearField("next_run_time")
        else:
            _put(schedule.next_run_time, following)
            self._timers[name] = self._vertex.surroundings.clock.at(following, lambda: self._fire(name, following))
        return self._vertex.resources.keep(name, schedule)

    def _fire(self, name: str, at: datetime) -> None:
        with self._lock:
            schedule = self._vertex.resources.find(name, self._kind)
            if schedule is None or schedule.state != self._kind.ACTIVE:
                return
            if not self._full(name, schedule):
                self._start(name, schedule, at)
            elif schedule.allow_queueing:
                self._queue(name, [*self._waiting(name), at])
            self._planned(name, schedule, at)

    def _start(self, name: str, schedule: Any, at: datetime) -> None:
        request: Any = message("CreatePipelineJobRequest")()
        request.CopyFrom(schedule.create_pipeline_job_request)
        request.pipeline_job.schedule_name = name
        request.pipeline_job_id = request.pipeline_job_id or self._identity(request, at)
        response = schedule.last_scheduled_run_response
        _put(response.scheduled_run_time, at)
        try:
            response.run_response = self._jobs.create(request, scheduled=at).name
        except Refused as refused:
            response.run_response = f"{code_pb2.Code.Value(refused.code)} ({HTTP_STATUS[refused.code]}): {refused}"
        schedule.started_run_count += 1
        self._vertex.resources.keep(name, schedule)

    def _identity(self, request: Any, at: datetime) -> str:
        pipeline = request.pipeline_job.pipeline_spec["pipelineInfo"]["name"]
        wanted = f"{pipeline}-{at:%Y%m%d%H%M%S}"
        number = 1
        while self._vertex.resources.exists(
            f"{request.parent}/pipelineJobs/{wanted}{f'-{number}' if number > 1 else ''}"
        ):
            number += 1
        return wanted if number == 1 else f"{wanted}-{number}"

    def _job_ended(self, schedule: str) -> None:
        if schedule:
            self._start_queued(schedule)

    def _start_queued(self, name: str) -> None:
        with self._lock:
            schedule = self._vertex.resources.find(name, self._kind)
            if schedule is None or schedule.state == self._kind.PAUSED:
                return
            queued = self._waiting(name)
            while queued and not self._full(name, schedule):
                if self._made_all(schedule):
                    queued.clear()
                    break
                self._start(name, schedule, queued.pop(0))
            self._queue(name, queued)
            if schedule.state == self._kind.ACTIVE and self._made_all(schedule):
                self._planned(name, schedule, self._now())

    def _made_all(self, schedule: Any) -> bool:
        return 0 < int(schedule.max_run_count) <= int(schedule.started_run_count)

    def _waiting(self, name: str) -> builtins.list[datetime]:
        """Return the times of the runs that wait for another to end."""
        return [datetime.fromisoformat(at) for at in json.loads(self._queued.get(name) or b"[]")]

    def _queue(self, name: str, times: Sequence[datetime]) -> None:
        if times:
            self._queued.put(name, json.dumps([at.isoformat() for at in times]).encode())
        else:
            self._queued.delete(name)

    def _full(self, name: str, schedule: Any) -> bool:
        limits = (schedule.max_concurrent_run_count, schedule.max_concurrent_active_run_count)
        parent = schedule.create_pipeline_job_request.parent
        jobs = self._vertex.resources.list(parent, "pipelineJobs", message("PipelineJob"))
        active = sum(1 for job in jobs if _of(job, name) and state_of(job) not in ENDED)
        return active >= min(int(limit) for limit in limits if limit)

    def _check(self, schedule: Any) -> None:
        Cron(schedule.cron)
        if schedule.WhichOneof("request") not in _KINDS:
            raise Refused("UNIMPLEMENTED", "Schedules of anything but pipeline jobs are not emulated.")
        if schedule.max_concurrent_run_count < 1:
            raise Refused("INVALID_ARGUMENT", "max_concurrent_run_count must be at least 1.")
        if schedule.HasField("end_time") and _moment(schedule.end_time) <= self._now():
            raise Refused("INVALID_ARGUMENT", "end_time must be in the future.")

    def _stop(self, name: str) -> None:
        self._timer_off(name)
        self._queue(name, [])

    def _timer_off(self, name: str) -> None:
        if (timer := self._timers.pop(name, None)) is not None:
            timer.cancel()

    def _now(self) -> datetime:
        return self._vertex.surroundings.clock.now()


def _of(job: Any, schedule: str) -> bool:
    return bool(job.schedule_name == schedule)


def _between(cron: Cron, start: datetime, end: datetime) -> Iterator[datetime]:
    moment = start
    for _ in range(_MOST_MISSED):
        moment = cron.after(moment)
        if moment > end:
            return
        yield moment


def _moment(field: Any) -> datetime:
    found: datetime = field.ToDatetime(tzinfo=UTC)
    return found


def _put(field: Any, moment: datetime) -> None:
    field.FromDatetime(moment.astimezone(UTC).replace(tzinfo=None))
