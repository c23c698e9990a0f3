"""Requests and replies whose bodies are streamed: an object may be larger than memory."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import IO, Any, Final
from urllib.parse import parse_qsl

from starlette.concurrency import run_in_threadpool

from cloudmlops.emulators.core.calls import Dropped
from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.core.service import AsgiApp, Surroundings
from cloudmlops.emulators.google.storage.content import pieces_of

_IN_MEMORY: Final = 1 << 20
"""A body up to this many bytes does not touch the disk before it is known what it is."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """A request whose body has arrived."""

    method: str
    path: str
    """As it was sent, percent-encoded: an object's name may hold `%2F`."""
    query: Mapping[str, str]
    headers: Mapping[str, str]
    """Names in lower case."""
    body: IO[bytes]
    host: str
    scheme: str = "http"
    parameters: tuple[tuple[str, str], ...] = ()
    """The query, with what is repeated."""

    def all(self, name: str) -> list[str]:
        """Return all values of a repeated parameter."""
        return [value for key, value in self.parameters if key == name]

    def flag(self, name: str) -> bool:
        """Read a parameter that is true or false; clients write it in any case."""
        return self.query.get(name, "").lower() == "true"

    @property
    def base(self) -> str:
        """Where the client reaches this service: links in replies begin so."""
        return f"{'https' if self.host.endswith('.googleapis.com') else self.scheme}://{self.host}"

    def read(self) -> bytes:
        """Read the whole body; for what is small."""
        self.body.seek(0)
        return self.body.read()

    def json(self) -> dict[str, Any]:
        """Read the body as a JSON object; empty is an empty one."""
        try:
            content = json.loads(self.read() or b"{}")
        except ValueError as error:
            raise Refused("INVALID_ARGUMENT", f"Parse Error: {error}", reason="parseError") from error
        if not isinstance(content, dict):
            raise Refused("INVALID_ARGUMENT", "The body must be a JSON object.", reason="parseError")
        return content


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What is sent back: `body`, or `length` bytes of an open file, which is then closed."""

    status: int = 200
    body: bytes = b""
    file: IO[bytes] | None = None
    length: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)


Operation = Callable[[Asked], Answer]


def answer_json(content: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """Make an answer of JSON."""
    return Answer(
        status=status,
        body=json.dumps(content, ensure_ascii=False).encode(),
        headers={"content-type": "application/json; charset=UTF-8", **(headers or {})},
    )


def app(
    surroundings: Surroundings,
    service: str,
    *,
    respond: Callable[[Asked, Callable[[], None]], Answer],
) -> AsgiApp:
    """Make the ASGI application of `respond`, which also gets what cuts the client's connection."""
    folder = surroundings.state.folder / service / "requests"
    folder.mkdir(parents=True, exist_ok=True)

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
            client = tuple(scope["client"] or ("", 0))
            try:
                answer = await run_in_threadpool(respond, _asked(scope, body), lambda: surroundings.drop(client))
            except Dropped:
                return
        await _send(answer, send)

    return serve


def _asked(scope: Mapping[str, Any], body: IO[bytes]) -> Asked:
    headers = {name.decode("latin-1").lower(): value.decode("utf-8", "replace") for name, value in scope["headers"]}
    parameters = tuple(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
    return Asked(
        method=scope["method"],
        path=scope["raw_path"].decode("latin-1"),
        query=dict(parameters),
        parameters=parameters,
        headers=headers,
        body=body,
        host=headers.get("host", ""),
        scheme=scope.get("scheme", "http"),
    )


async def _send(answer: Answer, send: Any) -> None:
    length = answer.length if answer.file is not None else len(answer.body)
    headers = {"content-length": str(length), **answer.headers}
    encoded = [(name.lower().encode("latin-1"), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": answer.status, "headers": encoded})
    if answer.file is None:
        await send({"type": "http.response.body", "body": answer.body})
        return
    with answer.file as file:
        for piece in pieces_of(file, answer.length):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})
