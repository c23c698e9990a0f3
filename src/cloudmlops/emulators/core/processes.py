"""Programs that the emulated services start: steps, scoring servers. None outlives the emulator."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path


class Processes:
    """Started programs, each the leader of a group that is ended as one."""

    def __init__(self) -> None:
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._closed = False

    def start(
        self, command: Sequence[str], *, environment: Mapping[str, str], folder: Path, log: Path
    ) -> subprocess.Popen[bytes]:
        """Start a program; both its outputs are appended to `log`.

        Raises:
            OSError: There is no such program.
        """
        with self._lock:
            if self._closed:
                raise ChildProcessError("the emulator is closed")
            with log.open("ab") as output:
                process = subprocess.Popen(
                    command,
                    cwd=folder,
                    env=dict(environment),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            self._running.add(process)
            return process

    def wait(self, process: subprocess.Popen[bytes]) -> int:
        """Wait for its end; the rest of its group ends with it."""
        status = process.wait()
        self.end(process)
        return status

    def end(self, process: subprocess.Popen[bytes], *, grace_seconds: float = 0.0) -> None:
        """End a program and all that it started in its group; ended already is no error."""
        if grace_seconds and process.poll() is None:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(grace_seconds)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        with self._lock:
            self._running.discard(process)

    def close(self) -> None:
        """End all."""
        with self._lock:
            self._closed = True
            running = tuple(self._running)
        for process in running:
            self.end(process)
