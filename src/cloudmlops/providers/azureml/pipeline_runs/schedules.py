"""Schedules of Azure ML: each is called as ours, and its jobs say by tags which request they are of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cloudmlops.domain.schedules import Schedule
from cloudmlops.errors import ConflictError, NotFoundError
from cloudmlops.providers.azureml.errors import PROVIDER
from cloudmlops.providers.azureml.mapping import pipelines as mapping
from cloudmlops.providers.azureml.pipeline_runs.jobs import Jobs, loaded
from cloudmlops.providers.azureml.sdk import ml, quiet
from cloudmlops.providers.azureml.wire import Wire
from cloudmlops.providers.run_records import Kept

if TYPE_CHECKING:
    from azure.ai.ml.entities import JobSchedule


class Schedules:
    """The schedules of one workspace that this library made."""

    def __init__(self, wire: Wire, jobs: Jobs, kept: Kept) -> None:
        self._wire = wire
        self._jobs = jobs
        self._kept = kept

    def check_name(self, name: str) -> None:
        """Raise `ConflictError` when somebody else has a schedule of that name."""
        if self._kept.schedule(name) is None and self._find(name) is not None:
            raise ConflictError(
                f"the workspace has a schedule {name!r} that this library did not make",
                hint="Give another name, or remove it with platform.native.schedules.",
                provider=PROVIDER,
                operation="pipelines.schedule",
                resource=name,
            )

    def put(self, schedule: Schedule, zone: str, definition: Mapping[str, Any], *, folder: str = "") -> None:
        """Make a schedule, or change the one of that name.

        Args:
            schedule: What it is.
            zone: Its time zone, as Windows calls it.
            definition: Of its jobs, in the words of the YAML schema.
            folder: That its relative paths start at.
        """
        entities = ml().entities
        wanted = entities.JobSchedule(
            name=schedule.name,
            trigger=entities.CronTrigger(expression=schedule.cron, time_zone=zone),
            create_job=loaded(definition, folder),
            tags={mapping.PIPELINE_TAG: schedule.pipeline},
        )
        with quiet():
            self._wire.finish(
                lambda: self._wire.client.schedules.begin_create_or_update(wanted),
                operation="pipelines.schedule",
                resource=schedule.name,
            )

    def list(self) -> Sequence[Schedule]:
        """Return all, by name."""
        listed: Iterable[JobSchedule] = self._wire.list(
            lambda: self._wire.client.schedules.list(), operation="pipelines.schedules", resource=""
        )
        found = {str(one.name): known for one in listed if (known := self._kept.schedule(str(one.name))) is not None}
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
        if self._kept.schedule(name) is None or (known := self._find(name)) is None:
            raise NotFoundError(
                f"there is no schedule {name!r}",
                hint="List them with cloudmlops schedule list.",
                provider=PROVIDER,
                resource=name,
            )
        client = self._wire.client.schedules
        if known.is_enabled:
            self._wire.finish(lambda: client.begin_disable(name), operation="pipelines.unschedule", resource=name)
        self._wire.finish(lambda: client.begin_delete(name), operation="pipelines.unschedule", resource=name)
        self._kept.drop_schedule(name)

    def _find(self, name: str) -> Any:
        try:
            return self._wire.ask(
                lambda: self._wire.client.schedules.get(name), operation="pipelines.schedule", resource=name
            )
        except NotFoundError:
            return None
