"""Schedules of Vertex AI: each is called after ours, and its jobs say by labels which request they are of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from google.cloud import aiplatform_v1 as v1
from google.protobuf import field_mask_pb2

from cloudmlops.domain.schedules import Schedule
from cloudmlops.errors import NotFoundError
from cloudmlops.providers.run_records import Kept
from cloudmlops.providers.vertex.errors import PROVIDER
from cloudmlops.providers.vertex.mapping.pipelines import moment
from cloudmlops.providers.vertex.wire import Wire

_CHANGED = ("cron", "create_pipeline_job_request", "max_concurrent_run_count", "allow_queueing")


class Schedules:
    """The schedules of one project and location that this library made."""

    def __init__(self, wire: Wire, kept: Kept) -> None:
        self._wire = wire
        self._kept = kept

    def put(self, schedule: Schedule, job: v1.PipelineJob) -> None:
        """Make a schedule, or change the one of that name."""
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
        if (known := self._find(schedule.name)) is None:
            self._wire.ask(
                self._client.create_schedule,
                v1.CreateScheduleRequest(parent=self._wire.settings.parent, schedule=wanted),
                operation="pipelines.schedule",
                resource=schedule.name,
                again=False,
            )
            return
        wanted.name = known.name
        self._wire.ask(
            self._client.update_schedule,
            v1.UpdateScheduleRequest(schedule=wanted, update_mask=field_mask_pb2.FieldMask(paths=_CHANGED)),
            operation="pipelines.schedule",
            resource=schedule.name,
            again=True,
        )

    def list(self) -> Sequence[Schedule]:
        """Return all, by name."""
        found = []
        for known in self._listed(""):
            if (schedule := self._kept.schedule(known.display_name)) is not None:
                fired = moment(known.last_scheduled_run_response, "scheduled_run_time")
                found.append(replace(schedule, last_fired_at=fired))
        return sorted(found, key=lambda schedule: schedule.name)

    def drop(self, name: str) -> None:
        """Remove a schedule.

        Raises:
            NotFoundError: There is none.
        """
        if (known := self._find(name)) is None:
            raise NotFoundError(
                f"there is no schedule {name!r}",
                hint="List them with cloudmlops schedule list.",
                provider=PROVIDER,
                resource=name,
            )
        begun = self._wire.ask(
            self._client.delete_schedule,
            v1.DeleteScheduleRequest(name=known.name),
            operation="pipelines.unschedule",
            resource=name,
            again=False,
        )
        self._wire.finish(begun.operation, operation="pipelines.unschedule", resource=name)
        self._kept.drop_schedule(name)

    @property
    def _client(self) -> v1.ScheduleServiceClient:
        return self._wire.client(v1.ScheduleServiceClient)

    def _find(self, name: str) -> v1.Schedule | None:
        if self._kept.schedule(name) is None:
            return None  # one of that name may be there, but it is not ours
        return next(iter(self._listed(f'display_name="{name}"')), None)

    def _listed(self, wanted: str) -> Sequence[v1.Schedule]:
        request = v1.ListSchedulesRequest(parent=self._wire.settings.parent, filter=wanted)
        return tuple(
            self._wire.list(self._client.list_schedules, request, operation="pipelines.schedules", resource="")
        )
