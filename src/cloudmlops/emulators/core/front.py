"""The one port: every connection is looked at once, then carried to the server that understands it.

CONNECT host:443   the sealed redirect: TLS under our own certificate for that host, then as below; others refused
PRI * HTTP/2.0     gRPC
anything else      HTTP/1.1
"""

from __future__ import annotations

import asyncio
import errno
import re
import socket
from collections import Counter
from collections.abc import Callable
from concurrent.futures import CancelledError
from typing import Final

from cloudmlops.emulators.core.authority import Authority

_CONNECT: Final = re.compile(rb"CONNECT ([^\s:]+):(\d+) HTTP/1\.[01]\r\n")
_PIECE: Final = 1 << 18
_LONGEST_HEAD: Final = 1 << 16
_PATIENCE_SECONDS: Final = 10
_BACKLOG: Final = 128
_PLAIN_PORT: Final = 80
"""Where no TLS is spoken; elsewhere it is, at 443 and at others."""
_EXHAUSTED: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
"""What the system lacks when no connection can be accepted for a while."""
_PAUSE_SECONDS: Final = 0.5


class Front:
    """Carries connections, and knows which of ours belongs to which of the client's, so that it can be cut."""

    def __init__(self, authority: Authority, *, speaks: Callable[[str], frozenset[str]]) -> None:
        """Prepare.

        Args:
            authority: Issues certificates for emulated hosts.
            speaks: Returns what a host speaks, of `rpc` and `http`; nothing for one that is not emulated.
        """
        self._authority = authority
        self._speaks = speaks
        self._carried: dict[tuple[str, int], asyncio.StreamWriter] = {}
        self._clients: set[asyncio.Task[None]] = set()
        self._listening: socket.socket | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self.refused: Counter[str] = Counter()
        """Hosts that were asked for and are not emulated, with how often."""
        self.rpc_port = 0
        self.http_port = 0
        self.port = 0

    async def start(self, host: str, port: int) -> None:
        """Listen; `port` 0 lets the system choose."""
        self._loop = asyncio.get_running_loop()
        self._listening = socket.create_server((host, port), backlog=_BACKLOG)
        self._listening.setblocking(False)
        self.port = self._listening.getsockname()[1]
        self._listen(self._loop, self._listening)

    async def stop(self) -> None:
        """Listen no more, cut all connections and see them ended."""
        if self._loop is None or self._listening is None:
            return
        self._loop.remove_reader(self._listening)
        self._listening.close()
        await asyncio.sleep(0)  # a task that is ended before it began would leave its connection open
        ending = tuple(self._clients)
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)
        await asyncio.sleep(0)  # what was cut is told so in the loop's next round

    def drop(self, peer: tuple[str, int]) -> None:
        """Cut the client's connection that a server sees under this address; for any thread but the front's own.

        It is cut when this returns: an answer that is given afterwards cannot overtake it.
        """
        if self._loop is None:
            return
        cutting = self._abort(peer)
        try:
            asyncio.run_coroutine_threadsafe(cutting, self._loop).result(_PATIENCE_SECONDS)
        except (RuntimeError, CancelledError):  # the front is closing, which cuts all
            cutting.close()

    def refuse(self, host: str) -> None:
        """Count a host that is not emulated."""
        self.refused[host] += 1

    async def _abort(self, peer: tuple[str, int]) -> None:
        if (writer := self._carried.get(peer)) is not None:
            writer.transport.abort()

    def _listen(self, loop: asyncio.AbstractEventLoop, listening: socket.socket) -> None:
        if listening.fileno() >= 0:
            loop.add_reader(listening, self._accept, loop, listening)

    def _accept(self, loop: asyncio.AbstractEventLoop, listening: socket.socket) -> None:
        """Accept what waits.

        Not by `asyncio.Server`: one that is closed just after it accepted a connection never closes the connection.
        """
        for _ in range(_BACKLOG):
            try:
                client, _address = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in _EXHAUSTED:
                    raise
                loop.remove_reader(listening)
                loop.call_later(_PAUSE_SECONDS, self._listen, loop, listening)
                return
            task = loop.create_task(self._serve_until_closed(client))
            self._clients.add(task)
            task.add_done_callback(self._clients.discard)

    async def _serve_until_closed(self, client: socket.socket) -> None:
        with client:
            try:
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                reader, writer = await _streams(client)
                try:
                    await self._serve(reader, writer)
                except BaseException:
                    # Nobody waits for its end: asyncio does not tell of it when TLS was not agreed on yet.
                    writer.transport.abort()
                    raise
                await _close(writer)
            except (OSError, EOFError, asyncio.LimitOverrunError):
                pass  # the client went away, or never spoke a protocol that we know

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = await reader.readexactly(4)
        if first == b"CONN":
            head = first + await reader.readuntil(b"\r\n\r\n")
            host, port = _asked_for(head)
            spoken = self._speaks(host) if port != _PLAIN_PORT else frozenset[str]()
            if not spoken:
                self.refuse(host if host and port != _PLAIN_PORT else head.split(b"\r\n")[0].decode("latin-1"))
                writer.write(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                await writer.drain()
                return
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await writer.drain()
            await writer.start_tls(self._authority.context(host, http2="rpc" in spoken))
            first = await reader.readexactly(4)
        await self._carry(first, reader, writer, self.rpc_port if first == b"PRI " else self.http_port)

    async def _carry(self, first: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
        peer, inner_reader, inner_writer = await self._connected(port, writer)
        try:
            inner_writer.write(first)
            await asyncio.gather(_pass_on(reader, inner_writer), _pass_on(inner_reader, writer))
        finally:
            del self._carried[peer]
            await _close(inner_writer)

    async def _connected(
        self, port: int, client: asyncio.StreamWriter
    ) -> tuple[tuple[str, int], asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect to a server of ours for a client, from an address that no carried connection has.

        The system gives one address to two connections if they lead to different ports.
        """
        alike: list[asyncio.StreamWriter] = []  # kept open meanwhile: their addresses are not given again
        try:
            while True:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                peer: tuple[str, int] = writer.get_extra_info("sockname")
                if self._carried.setdefault(peer, client) is client:
                    return peer, reader, writer
                alike.append(writer)
        finally:
            for writer in alike:
                await _close(writer)


def _asked_for(head: bytes) -> tuple[str, int]:
    """Return host and port of a CONNECT; an empty host where they cannot be read."""
    found = _CONNECT.match(head)
    try:
        return (found[1].decode("idna"), int(found[2])) if found else ("", 0)
    except UnicodeError:
        return "", 0


async def _streams(client: socket.socket) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Return the streams of an accepted connection, its server's end for TLS."""
    opened: asyncio.Future[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Future()
    reader = asyncio.StreamReader(limit=_LONGEST_HEAD)
    protocol = asyncio.StreamReaderProtocol(reader, lambda *streams: opened.set_result(streams))
    await asyncio.get_running_loop().connect_accepted_socket(lambda: protocol, client)
    return opened.result()


async def _close(writer: asyncio.StreamWriter) -> None:
    """Close a connection and see it closed; at once when nobody waits any more."""
    writer.close()
    try:
        await writer.wait_closed()
    except OSError:
        pass  # it was cut
    except asyncio.CancelledError:
        writer.transport.abort()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(_PIECE):
            writer.write(data)
            await writer.drain()
    finally:
        # One side's end is the other's: no protocol here leaves a connection half open.
        writer.close()
