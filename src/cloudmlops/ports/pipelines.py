"""What a provider supplies for pipelines."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Protocol

from cloudmlops.domain.runs import OutputRecord, RunMode, RunRecord, RunRequest
from cloudmlops.domain.schedules import Schedule


class PipelinesPort(Protocol):
    """The provider's part of pipelines."""

    def submit(self, request: RunRequest, mode: RunMode) -> RunRecord:
        """Start a run. The same id again is the same run: it is not started twice, and its record is returned.

        Raises:
            ConflictError: A run of that id has another pipeline or other parameters.
        """
        ...

    def get(self, run: str) -> RunRecord:
        """Return what is known of a run; `NotFoundError` when there is none."""
        ...

    def list(self, pipeline: str | None, limit: int) -> Sequence[RunRecord]:
        """Return runs, the newest first."""
        ...

    def wait(
        self, run: str, timeout: timedelta | None, *, seen: Callable[[RunRecord], None] | None = None
    ) -> RunRecord:
        """Return when the run has ended, or at the latest after `timeout`, whatever its state.

        Args:
            run: Its id.
            timeout: None is for ever.
            seen: Called with each look that is taken meanwhile, the last one too.
        """
        ...

    def log(self, run: str, step: str, attempt: int | None) -> str:
        """Return all that an attempt at a step printed; None is the last attempt."""
        ...

    @property
    def log_lag(self) -> timedelta:
        """After so long without anything new, what an attempt that has ended printed is taken to be all there."""
        ...

    def printed(self, run: str, step: str, attempt: int) -> Mapping[str, str]:
        """Return what each process of an attempt at a step has printed until now, by a name that stays."""
        ...

    def cancel(self, run: str) -> None:
        """Ask the run to end; what has ended stays as it is."""
        ...

    def resume(self, run: str, mode: RunMode) -> RunRecord:
        """Go on with a run that was interrupted, failed or was cancelled; what succeeded does not run again.

        Raises:
            ConflictError: The run is going on, or has succeeded.
        """
        ...

    def cached(self, keys: Sequence[str]) -> Mapping[str, Mapping[str, OutputRecord]]:
        """Return the outputs of earlier successes by their steps' keys; unknown ones are left out."""
        ...

    def readable(self, output: OutputRecord) -> OutputRecord:
        """Return an artifact's record with a path at which this process can read its files."""
        ...

    def announced(self, run: str) -> None:
        """Note that the end of the run has been published as an event."""
        ...

    def schedule(self, schedule: Schedule, request: RunRequest) -> None:
        """Run `request` at the schedule's times; replaces a schedule of that name."""
        ...

    def schedules(self) -> Sequence[Schedule]:
        """Return all schedules, by name."""
        ...

    def unschedule(self, name: str) -> None:
        """Remove a schedule; `NotFoundError` when there is none."""
        ...

    def run_schedules(self, stop: threading.Event, *, wait: bool, started: Callable[[], None]) -> None:
        """Start runs at their times until `stop` is set, where the provider does not do so by itself.

        Args:
            stop: Ends it.
            wait: When another process does so already, wait to take its place.
            started: Called when this process is the one.

        Raises:
            ConflictError: Another process does so already, and `wait` is False.
        """
        ...
