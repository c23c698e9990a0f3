"""Schedules of Azure ML: each is called as ours, and tags say which request its jobs are of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from cloudmlops.domain.schedules import Schedule
from cloudmlops.errors import ConflictError, NotFoundError
from cloudmlops.ports.clock import Clock
from cloudmlops.providers.azureml.errors import PROVIDER
from cloudmlops.providers.azureml.mapping import pipelines as mapping
from cloudmlops.providers.azureml.mapping.time_zones import iana_zone
from cloudmlops.providers.azureml.pipeline_runs.jobs import WorkspaceJobs, loaded
from cloudmlops.providers.azureml.sdk import ml, quiet
from cloudmlops.providers.azureml.wire import Wire
from cloudmlops.providers.run_records import Kept
from cloudmlops.providers.run_refusals import no_schedule

if TYPE_CHECKING:
    from azure.ai.ml.entities import JobSchedule


class Schedules:
    """The schedules of one workspace that this library made."""

    def __init__(self, wire: Wire, jobs: WorkspaceJobs, kept: Kept, clock: Clock) -> None:
        self._wire = wire
        self._jobs = jobs
        self._kept = kept
        self._clock = clock

    def check_name(self, name: str) -> None:
        """Raise `ConflictError` when somebody else has a schedule of that name."""
        if (found := self._find(name)) is not None and self._in_force(found) is None:
            raise ConflictError(
                f"the workspace has a schedule {name!r} that this library did not make",
                hint="Give another name, or remove it with platform.native.schedules.",
                provider=PROVIDER,
                operation="pipelines.schedule",
                resource=name,
            )

    def put(self, schedule: Schedule, zone: str, mark: str, definition: Mapping[str, Any], *, folder: str = "") -> None:
        """Make a schedule, or change the one of that name, which then is in force again.

        Args:
            schedule: What it is.
            zone: Its time zone, as Windows calls it.
            mark: Of its request.
            definition: Of its jobs, in the words of the YAML schema.
            folder: That its relative paths start at.
        """
        entities = ml().entities
        wanted = entities.JobSchedule(
            name=schedule.name,
            trigger=entities.CronTrigger(expression=schedule.cron, time_zone=zone),
            create_job=loaded(definition, folder),
            tags={
                mapping.PIPELINE_TAG: schedule.pipeline,
                mapping.REQUEST_TAG: mark,
                mapping.ZONE_TAG: schedule.timezone,
            },
            is_enabled=True,
        )
        with quiet():
            self._wire.settle(
                partial(self._wire.client.schedules.begin_create_or_update, wanted),
                operation="pipelines.schedule",
                resource=schedule.name,
            )

    def list(self) -> Sequence[Schedule]:
        """Return all, by name, also those that are disabled."""
        listed: Iterable[JobSchedule] = self._wire.list(
            lambda: self._wire.client.schedules.list(list_view_type=ml().constants.ListViewType.ALL),
            operation="pipelines.schedules",
            resource="",
        )
        found = {ours.name: ours for one in listed if (ours := self._in_force(one)) is not None}
        waiting = set(found)
        for job in self._jobs.of_ours() if found else ():
            name = mapping.tags(job).get(mapping.SCHEDULE_TAG, "")
            if name in waiting:
                waiting.remove(name)
                found[name] = replace(found[name], last_fired_at=mapping.created(job))
            if not waiting:
                break
        return [found[name] for name in sorted(found)]

    def drop(self, name: str) -> None:
        """Remove a schedule, which must be disabled before.

        Raises:
            NotFoundError: There is none.
        """
        if (found := self._find(name)) is None or (known := self._in_force(found)) is None:
            raise no_schedule(PROVIDER, name)
        client = self._wire.client.schedules
        if not known.paused:
            self._wire.settle(partial(client.begin_disable, name), operation="pipelines.unschedule", resource=name)
        self._wire.settle(partial(client.begin_delete, name), operation="pipelines.unschedule", resource=name)

    def _in_force(self, found: Any) -> Schedule | None:
        tags, trigger = found.tags or {}, found.trigger
        zone = str(trigger.time_zone) if trigger is not None else ""
        return self._kept.schedule(
            str(found.name),
            tags.get(mapping.REQUEST_TAG, ""),
            cron=mapping.times(trigger),
            timezone=iana_zone(zone, tags.get(mapping.ZONE_TAG, ""), self._clock.now()),
            paused=not found.is_enabled,
        )

    def _find(self, name: str) -> Any:
        try:
            return self._wire.ask(
                lambda: self._wire.client.schedules.get(name), operation="pipelines.schedule", resource=name
            )
        except NotFoundError:
            return None
