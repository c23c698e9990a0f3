"""A container: one process that answers health checks and requests over HTTP, and what it wrote."""

from __future__ import annotations

import http.client
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cloudmlops.emulators.core.processes import Processes

LOOPBACK: Final = "127.0.0.1"
_LOOK_SECONDS: Final = 0.05
_HEALTH_SECONDS: Final = 2.0
_DYING_SECONDS: Final = 2.0
_OK: Final = 200


class Unavailable(Exception):  # noqa: N818 how a request ended, not a mistake of ours
    """No container answered."""


class TooSlow(Exception):  # noqa: N818 how a request ended, not a mistake of ours
    """The answer did not come in time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answered:
    """What a container answered."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    data: bytes


def free_port() -> int:
    """Return a port that nobody listens at."""
    with socket.socket() as asked:
        asked.bind((LOOPBACK, 0))
        port: int = asked.getsockname()[1]
        return port


class Container:
    """One process."""

    def __init__(
        self, processes: Processes, command: Sequence[str], *, environment: Mapping[str, str], folder: Path, log: Path
    ) -> None:
        """Start it.

        Args:
            processes: Of the emulator.
            command: With `{port}` for where it is to answer.
            environment: Its variables.
            folder: Its working folder.
            log: What it writes is appended to this file.

        Raises:
            OSError: There is no such program.
        """
        self._processes = processes
        self.port = free_port()
        filled = [part.replace("{port}", str(self.port)) for part in command]
        self._process: subprocess.Popen[bytes] = processes.start(
            filled, environment=environment, folder=folder, log=log
        )

    @property
    def runs(self) -> bool:
        """Whether the process lives."""
        return self._process.poll() is None

    def wait_ready(self, route: str, *, seconds: float) -> bool:
        """Wait until the route answers 200; False when the process ended before, or the time is over."""
        deadline = time.monotonic() + seconds
        while self.runs and time.monotonic() < deadline:
            if self._healthy(route):
                return True
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_LOOK_SECONDS)
        return False

    def exchange(self, method: str, path: str, body: bytes, headers: Mapping[str, str], *, seconds: float) -> Answered:
        """Send a request.

        Raises:
            TooSlow: No answer came in time.
            Unavailable: The process ended over it.
        """
        connection = http.client.HTTPConnection(LOOPBACK, self.port, timeout=seconds)
        try:
            connection.request(method, path, body, dict(headers))
            response = connection.getresponse()
            data = response.read()
        except TimeoutError as error:
            raise TooSlow from error
        except (OSError, http.client.HTTPException) as error:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_DYING_SECONDS)  # so that the next request does not go to one that is dying
            raise Unavailable from error
        finally:
            connection.close()
        told = {name.lower(): value for name, value in response.headers.items()}
        return Answered(status=response.status, headers=told, data=data)

    def stop(self) -> None:
        """End it; requests that it has are cut off."""
        self._processes.end(self._process)

    def _healthy(self, route: str) -> bool:
        connection = http.client.HTTPConnection(LOOPBACK, self.port, timeout=_HEALTH_SECONDS)
        try:
            connection.request("GET", route)
            return connection.getresponse().status == _OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
