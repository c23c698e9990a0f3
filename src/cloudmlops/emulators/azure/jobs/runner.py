"""The jobs that go on: one thread each, ended by a cancel and with the emulator."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Final

from cloudmlops.emulators.azure.jobs.runs import TERMINAL, Run, Runs
from cloudmlops.emulators.azure.jobs.stopping import Stop
from cloudmlops.emulators.core.service import Surroundings

_PATIENCE_SECONDS: Final = 30.0
_log: Final = logging.getLogger("cloudmlops.emulators")


class Runner:
    """Carries jobs out."""

    def __init__(self, surroundings: Surroundings, runs: Runs) -> None:
        self._surroundings = surroundings
        self._runs = runs
        self._running: dict[tuple[str, str], tuple[threading.Thread, Stop]] = {}
        self._lock = threading.Lock()
        self._closed = False

    def start(self, run: Run, work: Callable[[Stop], None]) -> None:
        """Begin a job.

        Args:
            run: Of the job.
            work: Does it; it tells the run how it goes, to its end.
        """
        stop, key = Stop(self._surroundings), (run.workspace.lower(), run.name.lower())

        def carry() -> None:
            try:
                work(stop)
            except Exception as error:  # noqa: BLE001 a mistake of ours, told to the client and the log
                if not self._surroundings.clock.stopped:
                    _log.exception("the job %s failed", run.name)
                    self._runs.move(run, "Failed", error=f"the emulator itself failed: {type(error).__name__}: {error}")
            finally:
                with self._lock:
                    self._running.pop(key, None)

        thread = threading.Thread(target=carry, name=f"job-{run.name}", daemon=True)
        with self._lock:
            if not self._closed:
                self._running[key] = (thread, stop)
                thread.start()

    def cancel(self, run: Run) -> None:
        """Ask a job to end; one that has ended stays as it is."""
        with self._lock:
            running = self._running.get((run.workspace.lower(), run.name.lower()))
        if running is not None and run.status not in TERMINAL:
            self._runs.move(run, "CancelRequested")
            running[1].ask()

    def close(self) -> None:
        """End all that goes on."""
        with self._lock:
            self._closed = True
            running = tuple(self._running.values())
        for thread, stop in running:
            stop.ask()
            thread.join(_PATIENCE_SECONDS)
