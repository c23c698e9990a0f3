"""Programs that the emulated services start: steps, scoring servers. None outlives the emulator, also a killed one."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from cloudmlops.emulators.core import guardian


class Processes:
    """Started programs, each the leader of a group that is ended as one."""

    def __init__(self) -> None:
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._closed = False
        self.mark: Final = f"CLOUDMLOPS_EMULATED_{secrets.token_hex(8)}"
        """Variable by which the guardian knows what was started here."""
        self._guardian: subprocess.Popen[bytes] | None = None

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
            self._guard()
            with log.open("ab") as output:
                process = subprocess.Popen(
                    command,
                    cwd=folder,
                    env={**environment, self.mark: guardian.PROGRAM},
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            self._running.add(process)
            self._tell(f"+{process.pid}")
            return process

    def accompany(self, command: Sequence[str], *, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        """Start a command beside the emulator, in its group and at its terminal; it ends if the emulator is killed.

        When the emulator ends in good order, the command goes on: whoever started it has waited for it, or ends it.

        Raises:
            OSError: There is no such program.
        """
        with self._lock:
            self._guard()
            process = subprocess.Popen(command, env={**environment, self.mark: guardian.COMMAND})
            self._tell(f"={process.pid}")
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
            if process in self._running:
                self._running.discard(process)
                self._tell(f"-{process.pid}")

    def close(self) -> None:
        """End all."""
        with self._lock:
            self._closed = True
            running = tuple(self._running)
        for process in running:
            self.end(process)
        with self._lock:
            if self._guardian is not None:
                self._tell("done")
                self._dismiss(self._guardian)
                self._guardian = None

    def _guard(self) -> None:
        """Have a guardian; one that somebody has killed has a successor."""
        if self._guardian is not None and self._guardian.poll() is None:
            return
        if self._guardian is not None:
            self._dismiss(self._guardian)
        self._guardian = subprocess.Popen(
            [sys.executable, "-I", "-S", guardian.__file__, self.mark],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # what a terminal sends to the emulator is not for it
        )
        for process in self._running:
            self._tell(f"+{process.pid}")

    def _tell(self, line: str) -> None:
        if self._guardian is not None and self._guardian.stdin is not None:
            with contextlib.suppress(BrokenPipeError):  # it was killed: the next start makes another
                self._guardian.stdin.write(f"{line}\n".encode())
                self._guardian.stdin.flush()

    def _dismiss(self, former: subprocess.Popen[bytes]) -> None:
        if former.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                former.stdin.close()
        former.wait()
