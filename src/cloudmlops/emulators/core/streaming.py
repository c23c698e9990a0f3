"""How an HTTP service is written whose bodies may be larger than memory: they are files on the way in and out."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import IO, Any, Final
from urllib.parse import parse_qsl

from starlette.concurrency import run_in_threadpool

from cloudmlops.emulators.core.calls import Dropped
from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.core.service import AsgiApp, Surroundings

_log: Final = logging.getLogger("cloudmlops.emulators")
_IN_MEMORY: Final = 1 << 20
"""A body up to this many bytes does not touch the disk before it is known what it is."""
PIECE: Final = 1 << 18
"""How many bytes are held at once while streaming."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StreamedRequest:
    """A request whose body has arrived."""

    method: str
    path: str
    """As it was sent, percent-encoded."""
    query: Mapping[str, str]
    """Percent-decoded; of a name that is given more than once, the last."""
    raw_query: str
    headers: Mapping[str, str]
    """Names in lower case."""
    body: IO[bytes]
    host: str

    def read(self) -> bytes:
        """Read the whole body; for what is small."""
        self.body.seek(0)
        return self.body.read()


@dataclass(frozen=True, kw_only=True, slots=True)
class StreamedAnswer:
    """What is sent back: `body`, or `length` bytes of an open file from where it stands, which is then closed."""

    status: int = 200
    body: bytes = b""
    file: IO[bytes] | None = None
    length: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)


Respond = Callable[[StreamedRequest, Callable[[], None]], StreamedAnswer]
"""Answers a request; the second is what cuts the client's connection."""


def streaming_app(
    surroundings: Surroundings, service: str, *, respond: Respond, failed: Callable[[Refused], StreamedAnswer]
) -> AsgiApp:
    """Make the ASGI application of a service.

    Args:
        surroundings: Of the emulator.
        service: Its name; its folder is where bodies wait that are too large for memory.
        respond: Answers in a thread of its own; what the service refuses it has written into its answer.
        failed: The service's form of a mistake of ours.
    """
    folder = surroundings.state.folder / service / "requests"
    folder.mkdir(parents=True, exist_ok=True)

    def answer(asked: StreamedRequest, client: tuple[str, int]) -> StreamedAnswer:
        try:
            return respond(asked, lambda: surroundings.drop(client))
        except Dropped:
            raise
        except Exception as error:  # noqa: BLE001 a mistake of ours, told to the client and the log
            _log.exception("%s: %s %s failed", service, asked.method, asked.path)
            return failed(Refused("INTERNAL", f"the emulator itself failed: {type(error).__name__}: {error}"))

    async def serve(scope: Any, receive: Any, send: Any) -> None:
        with tempfile.SpooledTemporaryFile(_IN_MEMORY, dir=str(folder)) as body:
            more = True
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return
                body.write(message.get("body", b""))
                more = message.get("more_body", False)
            body.seek(0)
            try:
                answered = await run_in_threadpool(answer, _asked(scope, body), tuple(scope["client"] or ("", 0)))
            except Dropped:
                return
        await _send(answered, send)

    return serve


def pieces_of(file: IO[bytes], count: int | None = None) -> Iterator[bytes]:
    """Read `count` bytes, or all that there are, in pieces."""
    left = count
    while left is None or left > 0:
        piece = file.read(PIECE if left is None else min(PIECE, left))
        if not piece:
            return
        if left is not None:
            left -= len(piece)
        yield piece


def _asked(scope: Mapping[str, Any], body: IO[bytes]) -> StreamedRequest:
    headers = {name.decode("latin-1").lower(): value.decode("utf-8", "replace") for name, value in scope["headers"]}
    raw_query = scope["query_string"].decode("latin-1")
    return StreamedRequest(
        method=scope["method"],
        path=scope["raw_path"].decode("latin-1"),
        query=dict(parse_qsl(raw_query, keep_blank_values=True)),
        raw_query=raw_query,
        headers=headers,
        body=body,
        host=headers.get("host", ""),
    )


async def _send(answer: StreamedAnswer, send: Any) -> None:
    length = answer.length if answer.file is not None else len(answer.body)
    headers = {"content-length": str(length), **answer.headers}
    encoded = [(name.lower().encode("latin-1"), value.encode()) for name, value in headers.items()]
    start = {"type": "http.response.start", "status": answer.status, "headers": encoded}
    if answer.file is None:
        await send(start)
        await send({"type": "http.response.body", "body": answer.body})
        return
    with answer.file as file:
        await send(start)
        for piece in pieces_of(file, answer.length):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
