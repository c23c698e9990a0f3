"""When a pipeline runs by itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Schedule:
    """A pipeline with its parameters, and the times at which it runs."""

    name: str
    pipeline: str
    cron: str
    """Minute, hour, day of month, month, day of week."""
    timezone: str
    """In which the fields of `cron` are read, such as `Europe/Zurich`."""
    parameters: Mapping[str, object] = field(default_factory=dict)
    created_at: datetime
    """Time-zone aware, UTC; earlier times are not made up for."""
    last_fired_at: datetime | None = None
    """The latest time of the schedule for which a run was made."""
    paused: bool = False
    """Whether somebody has stopped it with a cloud's own tools; scheduling it anew resumes it."""


def scheduled_run_id(schedule: str, at: datetime) -> str:
    """Return the id of the run for one time of a schedule, so that two schedulers make one run."""
    return f"{schedule}-{at.astimezone(UTC):%Y%m%dt%H%M%Sz}"
