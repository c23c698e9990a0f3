"""Schedules of Vertex AI: the labels of their jobs say which are ours, and which request their runs are of."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from google.cloud import aiplatform_v1 as v1
from google.protobuf import field_mask_pb2

from cloudmlops.domain.schedules import Schedule
from cloudmlops.providers.run_records import Kept
from cloudmlops.providers.run_refusals import no_schedule
from cloudmlops.providers.vertex.errors import PROVIDER
from cloudmlops.providers.vertex.mapping.pipelines import REQUEST_LABEL, SCHEDULE_LABEL, moment
from cloudmlops.providers.vertex.wire import Wire

_MAKING: Final = "pipelines.schedule"
_CHANGED: Final = ("cron", "create_pipeline_job_request", "max_concurrent_run_count", "allow_queueing")
_CRON: Final = re.compile(r"(?:(?:CRON_)?TZ=(\S+)\s+)?(.*)")


class Schedules:
    """The schedules of one project and location that this library made."""

    def __init__(self, wire: Wire, kept: Kept) -> None:
        self._wire = wire
        self._kept = kept

    def put(self, schedule: Schedule, job: v1.PipelineJob) -> None:
        """Make a schedule, or change the one of that name, which then is in force again."""
        wanted = v1.Schedule(
            display_name=schedule.name,
            cron=f"TZ={schedule.timezone} {schedule.cron}",
            create_pipeline_job_request=v1.CreatePipelineJobRequest(
                parent=self._wire.settings.parent, pipeline_job=job
            ),
            max_concurrent_run_count=1,
            # A time is not left out because the run before it takes long.
            allow_queueing=True,
        )
        there = self._called(schedule.name)
        # One that has come to its end is changed no more.
        known = next((one for one in there if one.state is not v1.Schedule.State.COMPLETED), None)
        if known is None:
            self._wire.ask(
                self._client.create_schedule,
                v1.CreateScheduleRequest(parent=self._wire.settings.parent, schedule=wanted),
                operation=_MAKING,
                resource=schedule.name,
                again=False,
            )
        else:
            wanted.name = known.name
            self._wire.ask(
                self._client.update_schedule,
                v1.UpdateScheduleRequest(schedule=wanted, update_mask=field_mask_pb2.FieldMask(paths=_CHANGED)),
                operation=_MAKING,
                resource=schedule.name,
                again=True,
            )
        if known is not None and known.state is v1.Schedule.State.PAUSED:
            self._wire.ask(
                self._client.resume_schedule,
                v1.ResumeScheduleRequest(name=known.name),
                operation=_MAKING,
                resource=schedule.name,
                again=False,
            )
        for other in there:
            if other is not known:  # names are not unique: two calls at once, or one whose answer was lost
                self._remove(other, schedule.name, operation=_MAKING)

    def list(self) -> Sequence[Schedule]:
        """Return all, by name."""
        return sorted((schedule for schedule, _ in self._of_ours()), key=lambda schedule: schedule.name)

    def drop(self, name: str) -> None:
        """Remove a schedule.

        Raises:
            NotFoundError: There is none.
        """
        if not (known := self._called(name)):
            raise no_schedule(PROVIDER, name)
        for one in known:
            self._remove(one, name, operation="pipelines.unschedule")

    @property
    def _client(self) -> v1.ScheduleServiceClient:
        return self._wire.client(v1.ScheduleServiceClient)

    def _called(self, name: str) -> Sequence[v1.Schedule]:
        return [found for schedule, found in self._of_ours() if schedule.name == name]

    def _of_ours(self) -> Sequence[tuple[Schedule, v1.Schedule]]:
        listed = self._wire.list(
            self._client.list_schedules,
            v1.ListSchedulesRequest(parent=self._wire.settings.parent),
            operation="pipelines.schedules",
            resource="",
        )
        return [(ours, one) for one in listed if (ours := self._in_force(one)) is not None]

    def _in_force(self, known: v1.Schedule) -> Schedule | None:
        labels = known.create_pipeline_job_request.pipeline_job.labels
        written = _CRON.fullmatch(known.cron)
        return self._kept.schedule(
            labels.get(SCHEDULE_LABEL, ""),
            labels.get(REQUEST_LABEL, ""),
            cron=written[2] if written else known.cron,
            timezone=(written and written[1]) or "UTC",
            paused=known.state is not v1.Schedule.State.ACTIVE,
            last_fired_at=moment(known.last_scheduled_run_response, "scheduled_run_time"),
        )

    def _remove(self, known: v1.Schedule, name: str, *, operation: str) -> None:
        begun = self._wire.ask(
            self._client.delete_schedule,
            v1.DeleteScheduleRequest(name=known.name),
            operation=operation,
            resource=name,
            again=False,
        )
        self._wire.finish(begun.operation, operation=operation, resource=name)
