"""One HTTP/1.1 connection to a worker, kept open, one exchange at a time."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final, cast

import httptools

_HOP_BY_HOP: Final = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"transfer-encoding",
        b"te",
        b"trailer",
        b"upgrade",
        b"proxy-connection",
        b"content-length",
    }
)


@dataclass(frozen=True, slots=True)
class Reply:
    """What a worker answered."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


class NotSentError(ConnectionError):
    """The worker did not get the request: another may have it."""


class BrokenOffError(ConnectionError):
    """The worker ended after it had read the request: it may or may not have acted on it."""


class OverdueError(TimeoutError):
    """The worker did not answer in time: it may or may not act on the request yet."""


class Connection(asyncio.Protocol):
    """An open connection; `exchange` sends a request and waits for the answer."""

    def __init__(self) -> None:
        self._transport: asyncio.WriteTransport | None = None
        self._answer: asyncio.Future[Reply] | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._headers: list[tuple[bytes, bytes]] = []
        self._body: list[bytes] = []
        self._keep = True

    @classmethod
    async def open(cls, path: str) -> Connection:
        """Connect to the Unix socket at `path`; `NotSentError` when nobody answers there."""
        try:
            _, protocol = await asyncio.get_running_loop().create_unix_connection(cls, path)
        except OSError as error:
            raise NotSentError(str(error)) from error
        return protocol

    @property
    def usable(self) -> bool:
        """Whether another request can go over it."""
        return self._keep and self._transport is not None and not self._transport.is_closing()

    async def exchange(self, head: bytes, body: bytes) -> Reply:
        """Send a request and return the answer.

        Raises:
            NotSentError: The connection was closed before the worker had read the request.
            BrokenOffError: It closed before the answer was whole.
        """
        return await self.ask(head, body)

    def ask(self, head: bytes, body: bytes) -> asyncio.Future[Reply]:
        """Send a request; the future becomes the answer, or raises as `exchange` does."""
        self._answer = answer = asyncio.get_running_loop().create_future()
        if self._transport is None or self._transport.is_closing():
            self._fail(ConnectionResetError("it was closed before"))
            return answer
        self._transport.write(head + body if len(body) < 65_536 else head)
        if len(body) >= 65_536:
            self._transport.write(body)
        return answer

    def give_up(self) -> asyncio.Future[Reply]:
        """Let who waits for the answer wait no longer, but raise `OverdueError`; return what becomes of it later."""
        waiting, self._answer = self._answer, asyncio.get_running_loop().create_future()
        if waiting is not None:
            waiting.set_exception(OverdueError("the worker did not answer in time"))
        return self._answer

    def close(self) -> None:
        """Close it."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(exc)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(error)
            self.close()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser."""
        if (lowered := name.lower()) not in _HOP_BY_HOP:
            self._headers.append((lowered, value))

    def on_body(self, body: bytes) -> None:
        """Called by the parser."""
        self._body.append(body)

    def on_message_complete(self) -> None:
        """Called by the parser."""
        reply = Reply(self._parser.get_status_code(), self._headers, b"".join(self._body))
        self._keep = self._parser.should_keep_alive()
        self._parser = httptools.HttpResponseParser(self)
        self._headers, self._body = [], []
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(reply)
        self._answer = None

    def _fail(self, cause: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            # Linux resets a Unix socket whose other end closes with unread data (unix_release_sock in af_unix.c),
            # and the worker acts on whole requests only: a reset says that it did not act on this one.
            unread = isinstance(cause, ConnectionResetError | BrokenPipeError)
            kind = NotSentError if unread else BrokenOffError
            self._answer.set_exception(kind(f"the worker closed the connection: {cause}"))
        self._answer = None
