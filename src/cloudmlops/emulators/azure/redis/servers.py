"""What answers: the system's own redis-server, or where there is none, a substitute that speaks the same protocol."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from cloudmlops.emulators.azure.redis.door import LOOPBACK, Address

if TYPE_CHECKING:
    from cloudmlops.emulators.azure.redis.substitute import Substitute
    from cloudmlops.emulators.core.service import Surroundings

PROGRAM: Final = "redis-server"
_PONG: Final = b"+PONG"
_LONGEST_START_SECONDS: Final = 30.0
_LOOK_SECONDS: Final = 0.002


class Server(Protocol):
    """A Redis that can be started."""

    def described(self) -> str:
        """Say what it is, for a person."""
        ...

    def start(self) -> Address:
        """Start it; return where it is when it answers.

        Raises:
            OSError: It cannot be started.
        """
        ...

    def close(self) -> None:
        """Let go of what it needed."""
        ...


def server_of(surroundings: Surroundings) -> Server:
    """Return the system's redis-server when it is on the path, else the substitute."""
    program = shutil.which(PROGRAM)
    return SubstituteServer() if program is None else SystemServer(program, surroundings)


class SystemServer:
    """The system's redis-server as a process of its own, which ends with the emulator, also with a killed one."""

    def __init__(self, program: str, surroundings: Surroundings) -> None:
        self._program = program
        self._surroundings = surroundings
        self._private: tempfile.TemporaryDirectory[str] | None = None

    def described(self) -> str:
        told = subprocess.run([self._program, "--version"], capture_output=True, text=True, check=False).stdout
        version = next((word[2:] for word in told.split() if word.startswith("v=")), "of an unknown version")
        return f"redis-server {version} of this system ({self._program})"

    def start(self) -> Address:
        state = self._surroundings.state
        folder = state.folder / "redis"
        folder.mkdir(mode=0o700, exist_ok=True)
        # The path of a Unix socket is short, that of a state folder need not be.
        self._private = tempfile.TemporaryDirectory(prefix="cloudmlops-redis-")
        address = str(Path(self._private.name) / "redis.sock")
        log = folder / "redis.log"
        kept = ["--appendonly", "yes"] if state.durable else ["--appendonly", "no"]
        process = self._surroundings.processes.start(
            [self._program, "--port", "0", "--unixsocket", address, "--unixsocketperm", "700", "--save", "", *kept],
            environment={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C"},
            folder=folder,
            log=log,
        )
        ends = time.monotonic() + _LONGEST_START_SECONDS
        while not _answers(address):
            if process.poll() is not None or time.monotonic() > ends:
                self._surroundings.processes.end(process)
                said = log.read_text(errors="replace").strip().splitlines()
                raise OSError(errno.EIO, f"{self._program} did not start: {said[-1] if said else 'it said nothing'}")
            time.sleep(_LOOK_SECONDS)
        return address

    def close(self) -> None:
        """Remove its folder; its process ends with the emulator's others."""
        if self._private is not None:
            self._private.cleanup()


class SubstituteServer:
    """fakeredis in this process: the same protocol and the same Lua, without the speed, and nothing is kept."""

    def __init__(self) -> None:
        self._substitute: Substitute | None = None

    def described(self) -> str:
        return f"a substitute (fakeredis), for there is no {PROGRAM} on the PATH: slower, and it keeps nothing"

    def start(self) -> Address:
        try:
            from cloudmlops.emulators.azure.redis.substitute import Substitute
        except ImportError as error:
            raise OSError(
                errno.ENOENT,
                f"there is no {PROGRAM} on the PATH, and its substitute needs {error.name}: install either",
            ) from error
        self._substitute = Substitute(LOOPBACK)
        return self._substitute.address

    def close(self) -> None:
        if self._substitute is not None:
            self._substitute.close()


def _answers(address: str) -> bool:
    """Say whether commands are answered: a server that reads what it has kept says that it is loading."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(_LONGEST_START_SECONDS)
        try:
            client.connect(address)
            client.sendall(b"PING\r\n")
            return client.recv(len(_PONG)) == _PONG
        except (FileNotFoundError, ConnectionError, TimeoutError):
            return False
