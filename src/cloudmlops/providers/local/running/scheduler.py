"""Runs at their times: one process a platform, which holds a lease."""

from __future__ import annotations

import logging
import os
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cloudmlops.domain.schedules import Schedule
from cloudmlops.errors import ConflictError, InvalidRequestError
from cloudmlops.providers.local.running import leases
from cloudmlops.providers.local.running.leases import Lease

if TYPE_CHECKING:
    from cloudmlops.providers.local.pipelines import LocalPipelines

_log = logging.getLogger("cloudmlops.pipelines")

_LONGEST_WAIT: Final = timedelta(seconds=1)
"""Another process may add a schedule at any time."""
_MINUTE: Final = timedelta(minutes=1)


class Scheduler:
    """Looks for times that have come, and starts their runs."""

    def __init__(self, pipelines: LocalPipelines, lease: Lease) -> None:
        self._pipelines = pipelines
        self._lease: Lease | None = lease

    @classmethod
    def open(cls, pipelines: LocalPipelines, lease_file: Path, *, holder: str, wait: bool) -> Scheduler:
        """Take the platform's scheduler lease.

        Raises:
            ConflictError: Another scheduler holds it; the message says which.
        """
        if (lease := Lease.take(lease_file, holder=f"process {os.getpid()} {holder}", wait=wait)) is None:
            raise ConflictError(
                f"another scheduler is at work: {leases.holder(lease_file) or 'it has just stopped'}",
                hint="It starts the runs of all schedules of this platform. "
                "To stand by and take over when it stops: cloudmlops schedule run --wait.",
                provider="local",
                operation="pipelines.run_schedules",
            )
        return cls(pipelines, lease)

    def run(self, stop: threading.Event) -> None:
        """Start runs at their times until `stop` is set; then let go of the lease."""
        try:
            while not stop.is_set():
                self.tick()
                stop.wait(_LONGEST_WAIT.total_seconds())
        finally:
            self.close()

    def close(self) -> None:
        """Let another scheduler take over; a second time changes nothing."""
        if (lease := self._lease) is not None:
            self._lease = None
            lease.release()

    def tick(self) -> None:
        """Start what is due now; of several times missed, only the latest."""
        now = self._pipelines.now()
        for schedule in self._pipelines.schedules():
            try:
                latest = latest_time(schedule, now)
                if latest > max(schedule.created_at, schedule.last_fired_at or schedule.created_at):
                    self._pipelines.fire(schedule, latest)
            except Exception:  # noqa: BLE001 one that fails must not hold up the others
                _log.exception("the schedule %s cannot be followed; it is tried again", schedule.name)
        self._pipelines.start_fired()


def latest_time(schedule: Schedule, now: datetime) -> datetime:
    """Return the last time of the schedule that is not after `now`, in UTC."""
    from croniter import croniter

    # Strictly before the next minute is what croniter can say; that includes this minute.
    start = now.astimezone(ZoneInfo(schedule.timezone)).replace(second=0, microsecond=0) + _MINUTE
    found: datetime = croniter(schedule.cron, start).get_prev(datetime)
    return found.astimezone(UTC)


def check_schedule(schedule: Schedule) -> None:
    """Raise `InvalidRequestError`, listing what is wrong with a schedule's expression and time zone."""
    from croniter import croniter

    faults = []
    if len(schedule.cron.split()) != 5 or not croniter.is_valid(schedule.cron):
        faults.append(f"cron {schedule.cron!r} is not five fields: minute, hour, day of month, month, day of week")
    try:
        ZoneInfo(schedule.timezone)
    except (ZoneInfoNotFoundError, ValueError):
        faults.append(f"there is no time zone {schedule.timezone!r}; write it as in 'Europe/Zurich'")
    if faults:
        raise InvalidRequestError(f"schedule {schedule.name!r} cannot be kept", faults=faults)
