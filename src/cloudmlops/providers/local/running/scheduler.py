"""Runs at their times: one process a platform, which holds a lease."""

from __future__ import annotations

import logging
import os
import threading
from bisect import bisect_left
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from cloudmlops.domain.schedules import Schedule
from cloudmlops.errors import ConflictError
from cloudmlops.providers.local.running import leases
from cloudmlops.providers.local.running.leases import Lease

if TYPE_CHECKING:
    from cloudmlops.providers.local.pipelines import LocalPipelines

_log = logging.getLogger("cloudmlops.pipelines")

_LONGEST_WAIT: Final = timedelta(seconds=1)
"""Another process may add a schedule at any time."""
_MINUTE: Final = timedelta(minutes=1)
_HOURS: Final = 24


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
    """Return the last time of the schedule that is not after `now`, in UTC.

    A schedule of every hour follows the clock: what the clock shows twice when summer time ends comes twice, what it
    leaves out when summer time begins does not come. One of other hours names times of the day, and each comes once:
    when the clock shows it first, or at the end of the gap that it lies in.
    """
    zone = ZoneInfo(schedule.timezone)
    local = now.astimezone(zone).replace(second=0, microsecond=0)
    starts = [local.replace(tzinfo=None, fold=0)]
    if local.fold:  # the clock has shown later times already
        starts.append(starts[0] + (_offset(local.replace(fold=0)) - _offset(local)))
    instants = _shown if _is_hourly(schedule.cron) else _once
    return max(_latest(schedule.cron, start, now, lambda shown: instants(shown, zone)) for start in starts)


def _latest(cron: str, start: datetime, now: datetime, instants: Callable[[datetime], Sequence[datetime]]) -> datetime:
    from croniter import croniter

    # Strictly before the next minute is what croniter can say; that includes this minute.
    times = croniter(cron, start + _MINUTE)
    while True:
        if past := [instant for instant in instants(times.get_prev(datetime)) if instant <= now]:
            return max(past)


def _is_hourly(cron: str) -> bool:
    from croniter import croniter

    hours = croniter.expand(cron)[0][1]
    return hours == ["*"] or len(set(hours)) == _HOURS


def _shown(shown: datetime, zone: ZoneInfo) -> list[datetime]:
    """Return when a clock in `zone` shows a time: once, twice or never; in UTC."""
    both = [shown.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)]
    return [
        instant for instant in dict.fromkeys(both) if instant.astimezone(zone).replace(tzinfo=None, fold=0) == shown
    ]


def _once(shown: datetime, zone: ZoneInfo) -> list[datetime]:
    """Return when a clock in `zone` first shows a time, or when the gap that leaves it out has ended; in UTC."""
    if found := _shown(shown, zone):
        return found[:1]
    # Reckoned with the zone's difference from UTC after the gap, and with that before it.
    before, after = sorted(shown.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    minutes = range((after - before) // _MINUTE)
    offset = _offset(after.astimezone(zone))
    ended = bisect_left(
        minutes, True, key=lambda minute: _offset((before + minute * _MINUTE).astimezone(zone)) == offset
    )
    return [before + ended * _MINUTE]


def _offset(at: datetime) -> timedelta:
    return at.utcoffset() or timedelta()
