"""How a plain HTTP service is written: routes to functions of a request, which return a reply or refuse."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qs

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from cloudmlops.emulators.core.calls import Dropped
from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.core.service import Surroundings

_log: Final = logging.getLogger("cloudmlops.emulators")


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """A request, read whole."""

    method: str
    path: str
    """Without the query, percent-decoded by the server's rules."""
    raw_path: str
    """As it was sent: an object's name may hold `%2F`."""
    query: Mapping[str, str]
    """Of a name that is given more than once, the last; see `values`."""
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    host: str
    raw_query: str = ""

    def values(self, name: str) -> list[str]:
        """Return all that is given under a name in the query."""
        return parse_qs(self.raw_query, keep_blank_values=True).get(name, [])

    def json(self) -> Any:
        """Read the body as JSON; empty is an empty object."""
        if not self.body:
            return {}
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise Refused("INVALID_ARGUMENT", f"Invalid JSON payload received. {error}", reason="parseError") from error


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What is sent back."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


def answer_json(content: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """Make an answer of JSON."""
    return Answer(
        status=status,
        body=json.dumps(content).encode(),
        headers={"content-type": "application/json; charset=UTF-8", **(headers or {})},
    )


Operation = Callable[[Asked], Answer]


def app(
    surroundings: Surroundings,
    service: str,
    *,
    find: Callable[[Asked], tuple[str, Operation]],
    refusal: Callable[[Refused], Answer],
    recorded: Callable[[Asked], Mapping[str, Any]] = lambda _: {},
) -> Any:
    """Make the ASGI application of a service.

    Args:
        surroundings: Of the emulator.
        service: Its name, in calls and faults.
        find: Returns the operation's name and function; raises `Refused` (UNIMPLEMENTED) for what is not emulated.
        refusal: The service's form of an error.
        recorded: What of a request is kept in the record of calls.
    """

    def respond(asked: Asked, client: tuple[str, int]) -> Answer:
        try:
            operation, act = find(asked)
            with surroundings.calls.answering(
                service,
                operation,
                transport="rest",
                drop=lambda: surroundings.drop(client),
                resource=asked.path,
                request=recorded(asked),
            ):
                return act(asked)
        except Refused as refused:
            return refusal(refused)
        except Dropped:
            raise
        except Exception as error:  # noqa: BLE001 a mistake of ours, told to the client and the log
            _log.exception("%s: %s %s failed", service, asked.method, asked.raw_path)
            return refusal(Refused("INTERNAL", f"the emulator itself failed: {type(error).__name__}: {error}"))

    async def serve(scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope, receive)
        try:
            body = await request.body()
        except ClientDisconnect:
            return
        asked = Asked(
            method=request.method,
            path=request.url.path,
            raw_path=scope["raw_path"].decode("ascii"),
            query=dict(request.query_params),
            headers=dict(request.headers),
            body=body,
            host=request.headers.get("host", ""),
            raw_query=scope["query_string"].decode("latin-1"),
        )
        try:
            answer = await run_in_threadpool(respond, asked, tuple(scope["client"]))
        except Dropped:
            return
        headers = {"content-length": str(len(answer.body)), **answer.headers}
        await Response(answer.body, status_code=answer.status, headers=headers)(scope, receive, send)

    return serve
