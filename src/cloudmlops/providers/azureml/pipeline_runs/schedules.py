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
from cloudmlops.providers.azureml.mapping import schedules as times
from cloudmlops.providers.azureml.mapping.time_zones import iana_zone, windows_zone
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

    def faults(self, schedule: Schedule) -> Sequence[str]:
        """List what Azure ML cannot say of a schedule's times."""
        found = times.faults(schedule.cron)
        if windows_zone(schedule.timezone, self._clock.now()) is None:
            found.append(
                f"Azure ML has no time zone whose clocks show the same as those of {schedule.timezone}; "
                "write the times in UTC"
            )
        return found

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

    def put(self, schedule: Schedule, mark: str, definition: Mapping[str, Any], *, folder: str = "") -> None:
        """Make a schedule, or change the one of that name, which then is in force again.

        Args:
            schedule: What it is; it has no `faults`.
            mark: Of its request.
            definition: Of its jobs, in the words of the YAML schema.
            folder: That its relative paths start at.
        """
        entities = ml().entities
        trigger = self._trigger(schedule)
        told = "" if times.expression(trigger, "") == schedule.cron else schedule.cron
        wanted = entities.JobSchedule(
            name=schedule.name,
            trigger=trigger,
            create_job=loaded(definition, folder),
            tags={
                mapping.PIPELINE_TAG: schedule.pipeline,
                mapping.REQUEST_TAG: mark,
                mapping.ZONE_TAG: schedule.timezone,
                **({times.CRON_TAG: told} if told else {}),
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
        """Return all, by name, also those that are disabled; of the jobs of each, one page is asked for."""
        listed: Iterable[JobSchedule] = self._wire.list(
            lambda: self._wire.client.schedules.list(list_view_type=ml().constants.ListViewType.ALL),
            operation="pipelines.schedules",
            resource="",
        )
        with quiet():
            found = {ours.name: ours for one in listed if (ours := self._in_force(one)) is not None}
        for name in found:
            if (job := self._jobs.newest_with(mapping.schedule_key(name))) is not None:
                found[name] = replace(found[name], last_fired_at=mapping.created(job))
        return [found[name] for name in sorted(found)]

    def drop(self, name: str) -> None:
        """Remove a schedule, which must be disabled before.

        Raises:
            NotFoundError: There is none.
        """
        if (found := self._find(name)) is None or (known := self._in_force(found)) is None:
            raise no_schedule(PROVIDER, name)
        client = self._wire.client.schedules
        with quiet():
            if not known.paused:
                self._wire.settle(partial(client.begin_disable, name), operation="pipelines.unschedule", resource=name)
            self._wire.settle(partial(client.begin_delete, name), operation="pipelines.unschedule", resource=name)

    def _trigger(self, schedule: Schedule) -> Any:
        entities, when = ml().entities, times.times(schedule.cron)
        begins = {
            "start_time": times.start(schedule),
            "time_zone": windows_zone(schedule.timezone, self._clock.now()),
        }
        if when.cron:
            return entities.CronTrigger(expression=when.cron, **begins)
        pattern = entities.RecurrencePattern(
            hours=list(when.hours), minutes=list(when.minutes), month_days=list(when.month_days)
        )
        return entities.RecurrenceTrigger(frequency="month", interval=1, schedule=pattern, **begins)

    def _in_force(self, found: Any) -> Schedule | None:
        tags, trigger = found.tags or {}, found.trigger
        zone = str(trigger.time_zone) if trigger is not None else ""
        return self._kept.schedule(
            str(found.name),
            tags.get(mapping.REQUEST_TAG, ""),
            cron=times.expression(trigger, tags.get(times.CRON_TAG, "")),
            timezone=iana_zone(zone, tags.get(mapping.ZONE_TAG, ""), self._clock.now()),
            paused=not found.is_enabled,
        )

    def _find(self, name: str) -> Any:
        try:
            with quiet():
                return self._wire.ask(
                    lambda: self._wire.client.schedules.get(name), operation="pipelines.schedule", resource=name
                )
        except NotFoundError:
            return None
