"""How what a job does is ended from outside."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from cloudmlops.emulators.core.service import Surroundings


class Canceled(Exception):  # noqa: N818 how a job ended, not a mistake of ours
    """It was asked to end."""


class Stop:
    """Ends processes and pauses of a job, and of all jobs below it."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._surroundings = surroundings
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._pauses: set[threading.Event] = set()
        self._below: list[Stop] = []
        self.asked = threading.Event()

    def below(self) -> Stop:
        """Return a stop of its own for a part, which ends with the whole."""
        inner = Stop(self._surroundings)
        with self._lock:
            self._below.append(inner)
            if self.asked.is_set():
                inner.ask()
        return inner

    def ask(self) -> None:
        """End what runs, and let nothing else begin."""
        with self._lock:
            self.asked.set()
            running, below = tuple(self._running), tuple(self._below)
            for pause in self._pauses:
                pause.set()
        for inner in below:
            inner.ask()
        for process in running:
            self._surroundings.processes.end(process)

    def start(
        self, command: Sequence[str], *, environment: Mapping[str, str], folder: Path, log: Path
    ) -> subprocess.Popen[bytes]:
        """Start a process.

        Raises:
            Canceled: It was asked to end before.
            OSError: There is no such program.
        """
        with self._lock:
            if self.asked.is_set():
                raise Canceled
            process = self._surroundings.processes.start(command, environment=environment, folder=folder, log=log)
            self._running.add(process)
            return process

    def ended(self, process: subprocess.Popen[bytes]) -> None:
        """Forget a process that has ended."""
        with self._lock:
            self._running.discard(process)

    def pause(self, delay: timedelta) -> None:
        """Wait for a while by the emulator's clock.

        Raises:
            Canceled: It was asked to end.
        """
        if delay:
            with self.waited() as over:
                timer = self._surroundings.clock.after(delay, over)
            timer.cancel()
        self.check()

    @contextmanager
    def waited(self) -> Iterator[Callable[[], None]]:
        """Wait, at the end of the block, until what it is given was called.

        Raises:
            Canceled: It was asked to end.
        """
        over = threading.Event()
        yield over.set
        with self._lock:
            self._pauses.add(over)
            if self.asked.is_set():
                over.set()
        over.wait()
        with self._lock:
            self._pauses.discard(over)
        self.check()

    def check(self) -> None:
        """Raise `Canceled` if it was asked to end."""
        if self.asked.is_set():
            raise Canceled
