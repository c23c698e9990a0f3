"""A port of loopback whose server is started by the first who knocks."""

from __future__ import annotations

import asyncio
import logging
import re
import socket
import threading
from collections.abc import Callable
from typing import Final, cast

import uvloop

_log: Final = logging.getLogger("cloudmlops.emulators")
_COMMAND: Final = re.compile(rb"^\*\d+\r\n\$", re.MULTILINE)
LOOPBACK: Final = "127.0.0.1"
Address = str | tuple[str, int]
"""Of a server: the path of a Unix socket, or host and port."""


def _listening(port: int) -> socket.socket:
    try:
        return socket.create_server((LOOPBACK, port))
    except OSError:
        if not port:
            raise
    found = socket.create_server((LOOPBACK, 0))
    _log.warning(
        "redis: %s:%d, where the emulator with this state had its Redis, is taken by another program. It is at port %d "
        "now: deployments of before do not find it. End that program and start the emulator again, or deploy anew.",
        LOOPBACK,
        port,
        found.getsockname()[1],
    )
    return found


class Door:
    """Hands bytes on, both ways, between whoever connects and a server; and loses answers when a test wants it."""

    def __init__(self, open_server: Callable[[], Address], *, port: int = 0) -> None:
        """Listen.

        Args:
            open_server: Starts the server and returns where it is; called once, in a thread, when somebody connects. An
                `OSError` of it is told to whoever connects.
            port: Where to listen if nobody else does; 0 is wherever the system chooses.
        """
        self._open_server = open_server
        self._socket = _listening(port)
        self.port: int = self._socket.getsockname()[1]
        self.used = False
        """Whether somebody has connected."""
        self._lost = 0
        self._near: set[_Side] = set()
        self._opening: asyncio.Future[Address] | None = None
        self._loop = uvloop.new_event_loop()
        self._stopping = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="redis-door", daemon=True)
        self._thread.start()

    def lose_answers(self, count: int) -> None:
        """Cut the next connections that get an answer, so many, before it reaches them: what they asked for is done."""
        self._lost = count

    def drop(self) -> None:
        """Cut all connections."""
        self._loop.call_soon_threadsafe(self._drop)

    def close(self) -> None:
        """Let nobody in any more, and cut all connections."""
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        server = await self._loop.create_server(lambda: _Near(self), sock=self._socket)
        await self._stopping.wait()
        server.close()
        self._drop()
        await asyncio.sleep(0)  # what was cut is told so in the loop's next round

    def _drop(self) -> None:
        for side in list(self._near):
            side.cut()

    async def connect(self, near: _Near) -> None:
        """Join a client to the server, which is started if it was not."""
        self.used = True
        if self._opening is None:
            self._opening = asyncio.ensure_future(self._loop.run_in_executor(None, self._open_server))
        try:
            address = await asyncio.shield(self._opening)
            far = _Far(self, near)
            if isinstance(address, str):
                await self._loop.create_unix_connection(lambda: far, address)
            else:
                await self._loop.create_connection(lambda: far, *address)
        except OSError as error:
            near.refuse(str(error))
        else:
            near.join(far)

    def enter(self, side: _Side) -> None:
        """Know a client."""
        self._near.add(side)

    def leave(self, side: _Side) -> None:
        """Forget a client."""
        self._near.discard(side)

    def loses(self) -> bool:
        """Say whether an answer is to be lost, which is then done."""
        if self._lost:
            self._lost -= 1
            return True
        return False


class _Side(asyncio.Protocol):
    """One end of a connection that is handed on; each reads only as fast as the other writes."""

    def __init__(self, door: Door) -> None:
        self.door = door
        self.transport: asyncio.Transport | None = None
        self.other: _Side | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's own are no asyncio.Transport

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 the other end is cut, whatever it was
        if self.other is not None:
            self.other.cut()

    def pause_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.resume_reading()

    def write(self, data: bytes) -> None:
        if self.transport is not None:
            self.transport.write(data)

    def cut(self) -> None:
        if self.transport is not None:
            self.transport.close()


class _Near(_Side):
    """A client's end."""

    def __init__(self, door: Door) -> None:
        super().__init__(door)
        self._early: list[bytes] = []
        self._refusal = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.door.enter(self)
        self._joining = asyncio.ensure_future(self.door.connect(self))

    def connection_lost(self, exc: Exception | None) -> None:
        self.door.leave(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refusal:
            self.write(self._refusal * len(_COMMAND.findall(data)))
        elif self.other is None:
            self._early.append(data)
        else:
            self.other.write(data)

    def join(self, far: _Far) -> None:
        self.other = far
        if self.transport is None or self.transport.is_closing():
            far.cut()
        else:
            far.write(b"".join(self._early))

    def refuse(self, why: str) -> None:
        """Answer every command with why there is no server, in Redis's own form."""
        self._refusal = b"-ERR %s\r\n" % " ".join(why.split()).encode()
        self.data_received(b"".join(self._early))


class _Far(_Side):
    """The server's end."""

    def __init__(self, door: Door, near: _Near) -> None:
        super().__init__(door)
        self.other: _Side | None = near

    def data_received(self, data: bytes) -> None:
        if self.other is None:
            return
        if self.door.loses():
            self.other.cut()
        else:
            self.other.write(data)
