"""A container: one process that answers health checks and predictions over HTTP."""

from __future__ import annotations

import http.client
import os
import select
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Final

from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.core.processes import Processes
from cloudmlops.emulators.google.aiplatform.endpoints.launching import Launch

LOOPBACK: Final = "127.0.0.1"
_DYING_SECONDS: Final = 2.0
_LOOK_SECONDS: Final = 0.05
_HEALTH_SECONDS: Final = 2.0
_OK: Final = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class Answered:
    """What a container answered."""

    status: int
    content_type: str
    data: bytes


def free_port() -> int:
    """Return a port that nobody listens at."""
    with socket.socket() as asked:
        asked.bind((LOOPBACK, 0))
        port: int = asked.getsockname()[1]
        return port


class Container:
    """One process and the requests that it has."""

    def __init__(
        self, processes: Processes, launch: Launch, *, port: int, folder: Path, said: Callable[[str], None]
    ) -> None:
        """Start it.

        Args:
            processes: Of the emulator.
            launch: What to start.
            port: Where it answers, as its environment says.
            folder: Its working folder.
            said: Is told each line that it writes.

        Raises:
            Refused: There is no such program.
        """
        self.port = port
        self._processes = processes
        self._idle: list[http.client.HTTPConnection] = []
        pipe = folder / "output"
        os.mkfifo(pipe)
        output = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        os.set_blocking(output, True)
        try:
            self._process: subprocess.Popen[bytes] = processes.start(
                launch.command, environment=launch.environment, folder=folder, log=pipe
            )
        except OSError as error:
            os.close(output)
            raise Refused("FAILED_PRECONDITION", f"The container could not be started: {error}.") from error
        self._reader = Thread(target=_tell, args=(output, said), name="container-output", daemon=True)
        self._reader.start()

    @property
    def runs(self) -> bool:
        """Whether the process lives."""
        return self._process.poll() is None

    def wait_healthy(self, route: str, *, seconds: float) -> None:
        """Wait until the health route answers 200.

        Raises:
            Refused: The process ended before, or the time is over.
        """
        deadline = time.monotonic() + seconds
        while self.runs:
            if self._healthy(route):
                return
            if time.monotonic() > deadline:
                raise Refused(
                    "FAILED_PRECONDITION",
                    "Model server never became ready. Please validate that your model file or container configuration "
                    "are valid.",
                )
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_LOOK_SECONDS)
        self._reader.join()  # whoever reads the log because of this finds its end
        raise Refused("FAILED_PRECONDITION", "Model server exited unexpectedly.")

    def exchange(self, route: str, body: bytes, content_type: str, *, seconds: float) -> Answered:
        """Post a request.

        Raises:
            Refused: No answer came in time, or the process ended over it.
        """
        connection = self._connection(seconds)
        try:
            connection.request("POST", route, body, {"content-type": content_type or "application/json"})
            response = connection.getresponse()
            data = response.read()
        except TimeoutError as error:
            connection.close()
            raise Refused("DEADLINE_EXCEEDED", "The model server did not answer in time.") from error
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_DYING_SECONDS)  # so that the next request does not go to one that is dying
            raise Refused("UNAVAILABLE", "The model server closed the connection without an answer.") from error
        if response.will_close:
            connection.close()
        else:
            self._idle.append(connection)
        return Answered(
            status=response.status, content_type=response.headers.get("content-type", "application/json"), data=data
        )

    def stop(self) -> None:
        """End it; requests that it has are cut off."""
        while self._idle:
            self._idle.pop().close()
        self._processes.end(self._process)
        self._reader.join()

    def _healthy(self, route: str) -> bool:
        connection = http.client.HTTPConnection(LOOPBACK, self.port, timeout=_HEALTH_SECONDS)
        try:
            connection.request("GET", route)
            return connection.getresponse().status == _OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _connection(self, seconds: float) -> http.client.HTTPConnection:
        while self._idle:
            try:
                connection = self._idle.pop()
            except IndexError:  # another thread took it
                break
            if not _closed(connection):
                connection.sock.settimeout(seconds)
                return connection
            connection.close()
        return http.client.HTTPConnection(LOOPBACK, self.port, timeout=seconds)


def _closed(connection: http.client.HTTPConnection) -> bool:
    """Say whether the other side has closed an idle connection: then it is readable though nothing was asked."""
    if connection.sock is None:
        return True
    waiting = select.poll()
    waiting.register(connection.sock, select.POLLIN)
    return bool(waiting.poll(0))


def _tell(output: int, said: Callable[[str], None]) -> None:
    with open(output, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            said(line.rstrip("\n"))
