"""The server's routes, as one raw ASGI application: a framework would cost more than a small model's prediction."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

import orjson

from cloudmlops.serving.dialects import Input, read_azure, read_mlflow, read_vertex
from cloudmlops.serving.problems import ProblemError, shown
from cloudmlops.serving.scoring import Scorer, dumps, plain

_log = logging.getLogger("cloudmlops.serving")

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_JSON: Final = (b"content-type", b"application/json")


class App:
    """Health and predictions over HTTP.

    Args:
        scorer: The model.
        predict_route: Vertex AI's `AIP_PREDICT_ROUTE`.
        health_route: Vertex AI's `AIP_HEALTH_ROUTE`; `/healthz` answers too.
        body_limit: The largest body, in bytes.
    """

    def __init__(
        self,
        scorer: Scorer,
        *,
        predict_route: str = "/predict",
        health_route: str = "/healthz",
        body_limit: int = 64 * 1024 * 1024,
    ) -> None:
        self._scorer = scorer
        self._body_limit = body_limit
        self._health = {"/healthz", health_route}
        self._score: dict[str, tuple[Callable[[Any], Input], bool]] = {
            predict_route: (read_vertex, False),
            "/invocations": (read_mlflow, False),
            "/score": (read_azure, True),
        }

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            raise ProblemError(501, f"this server answers http, not {scope['type']}")
        try:
            body = await self._answer(scope, receive)
        except ProblemError as problem:
            extra = [(name.encode(), value.encode()) for name, value in problem.headers.items()]
            await _send(send, problem.status, dumps(problem.plain()), extra)
        except _GoneError:
            return
        except Exception:  # noqa: BLE001 the last resort of a server: logged whole, answered with 500
            _log.exception("%s %s failed", scope["method"], scope["path"])
            await _send(send, 500, dumps(ProblemError(500, "the server failed; its log says why").plain()), [])
        else:
            await _send(send, 200, body, [])

    async def _answer(self, scope: Message, receive: Receive) -> bytes:
        path = scope["path"]
        if (route := self._score.get(path)) is not None:
            _check_method(scope, "POST")
            read, bare = route
            raw = await self._body(scope, receive)
            explain = b"explain_features=1" in scope["query_string"].split(b"&")
            try:
                parsed = orjson.loads(raw)
            except orjson.JSONDecodeError as error:
                raise ProblemError(
                    400, f"the body is not JSON: {error}", hint=f"It begins with {shown(raw[:40])}."
                ) from error
            predictions, statuses = await self._scorer.score(read(parsed), explain=explain)
            answer = plain(predictions)
            if bare and statuses is None:
                # Azure ML's own MLflow deployments answer with the predictions alone.
                return dumps(answer)
            return dumps({"predictions": answer} | ({"features": statuses} if statuses is not None else {}))
        if path in self._health:
            _check_method(scope, "GET", "HEAD")
            return b'{"status":"ok"}'
        known = ", ".join([*self._score, *sorted(self._health)])
        raise ProblemError(404, f"there is nothing at {path}", hint=f"Known: {known}.")

    async def _body(self, scope: Message, receive: Receive) -> bytes:
        kind = length = b""
        for name, value in scope["headers"]:
            if name == b"content-type":
                kind = value
            elif name == b"content-length":
                length = value
            elif name == b"content-encoding" and value.lower() != b"identity":
                raise ProblemError(
                    415,
                    f"the body is encoded as {value.decode('latin-1')!r}; this server reads it as it is",
                    hint="Send it without the header Content-Encoding, not compressed.",
                    headers={"accept-encoding": "identity"},
                )
        media = kind.partition(b";")[0].strip().lower()
        if media and media != b"application/json" and not media.endswith(b"+json"):
            raise ProblemError(
                415,
                f"the body's type is {media.decode('latin-1')!r}; this server reads JSON",
                hint="Send it with the header Content-Type: application/json.",
            )
        self._check_size(int(length or 0))
        message = await receive()
        if not message.get("more_body") and message["type"] == "http.request":
            self._check_size(len(message["body"]))
            whole: bytes = message["body"]
            return whole
        parts, size = [], 0
        while True:
            if message["type"] == "http.disconnect":
                raise _GoneError
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            self._check_size(size)
            if not message.get("more_body"):
                return b"".join(parts)
            message = await receive()

    def _check_size(self, size: int) -> None:
        if size > self._body_limit:
            raise ProblemError(
                413,
                f"the body is larger than {self._body_limit} bytes",
                hint="Send fewer rows a request, or use endpoints.predict_batch.",
                headers={"connection": "close"},
            )


class _GoneError(Exception):
    """The client left before its request was whole."""


def _check_method(scope: Message, *allowed: str) -> None:
    if scope["method"] not in allowed:
        raise ProblemError(
            405,
            f"{scope['path']} answers {' and '.join(allowed)}, not {scope['method']}",
            headers={"allow": ", ".join(allowed)},
        )


async def _send(send: Send, status: int, body: bytes, extra: list[tuple[bytes, bytes]]) -> None:
    headers = [_JSON, (b"content-length", b"%d" % len(body)), *extra]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
