"""Asking an endpoint for predictions: a POST to its own scoring address, over kept connections."""

from __future__ import annotations

import http.client
import json
import select
import threading
from collections.abc import Callable, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from cloudmlops.domain.endpoints import Scoring
from cloudmlops.errors import InvalidRequestError, UnavailableError, UnexpectedReplyError

_TIMEOUT_S: Final = 60.0


class ScoringClient:
    """Sends instances to endpoints. Threads may share it: each has connections of its own.

    Args:
        locate: Returns an endpoint's scoring address; asked once an endpoint, and again when nobody answers there.
    """

    def __init__(self, locate: Callable[[str], Scoring]) -> None:
        self._locate = locate
        self._addresses: dict[str, Scoring] = {}
        self._connections = threading.local()

    def predict(self, endpoint: str, instances: Sequence[Any]) -> list[Any]:
        """Return a prediction for each instance."""
        scoring = self._addresses.get(endpoint) or self._located(endpoint)
        body = json.dumps({scoring.key: list(instances)}, default=str).encode()
        try:
            status, reply = self._post(scoring, body)
        except ConnectionRefusedError:  # nothing was sent: the endpoint may have been started again elsewhere
            scoring = self._located(endpoint)
            try:
                status, reply = self._post(scoring, body)
            except OSError as error:
                raise _unavailable(endpoint, f"nobody answers at {scoring.url}: {error}") from error
        except (OSError, http.client.HTTPException) as error:
            raise _unavailable(endpoint, f"the connection to {scoring.url} broke off: {error!r}") from error
        return _predictions(endpoint, status, reply)

    def forget(self, endpoint: str) -> None:
        """Ask for the endpoint's address again next time."""
        self._addresses.pop(endpoint, None)

    def _located(self, endpoint: str) -> Scoring:
        self._addresses[endpoint] = scoring = self._locate(endpoint)
        return scoring

    def _post(self, scoring: Scoring, body: bytes) -> tuple[int, bytes]:
        parts = urlsplit(scoring.url)
        kept: dict[str, http.client.HTTPConnection] = self._connections.__dict__.setdefault("kept", {})
        connection = kept.pop(parts.netloc, None)
        if connection is not None and _closed(connection):
            connection.close()
            connection = None
        if connection is None:
            kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
            connection = kind(parts.netloc, timeout=_TIMEOUT_S)
        try:
            connection.request("POST", parts.path, body, {"content-type": "application/json", **scoring.headers})
            response = connection.getresponse()
            read = response.read()
        except BaseException:
            connection.close()
            raise
        if response.will_close:
            connection.close()
        else:
            kept[parts.netloc] = connection
        return response.status, read


def _closed(connection: http.client.HTTPConnection) -> bool:
    """Say whether the other side has closed an idle connection: then it is readable though nothing was asked."""
    if connection.sock is None:
        return True
    waiting = select.poll()
    waiting.register(connection.sock, select.POLLIN)
    return bool(waiting.poll(0))


def _predictions(endpoint: str, status: int, reply: bytes) -> list[Any]:
    try:
        answer = json.loads(reply)
    except ValueError:
        answer = reply.decode(errors="replace")[:500]
    if status == 200:
        predictions = answer.get("predictions") if isinstance(answer, dict) else answer
        if isinstance(predictions, list):
            return predictions
        raise UnexpectedReplyError(f"endpoint {endpoint!r} answered without predictions: {answer!r}", resource=endpoint)
    error = answer.get("error", answer) if isinstance(answer, dict) else answer
    reason = error.get("reason", str(error)) if isinstance(error, dict) else str(error)
    if status in (400, 413, 415, 422):
        listed = error.get("faults", []) if isinstance(error, dict) else []
        head = reason.partition(": ")[0] if listed else reason
        raise InvalidRequestError(f"endpoint {endpoint!r} refused the input: {head}", faults=map(_fault, listed))
    raise _unavailable(endpoint, f"it answered {status}: {reason}", retryable=status in (429, 502, 503, 504))


def _fault(fault: dict[str, Any]) -> str:
    where = [f"{part} {fault[part]!r}" for part in ("row", "column") if fault.get(part) is not None]
    return f"{', '.join(where) or 'the body'}: expected {fault['expected']}, got {fault['got']}"


def _unavailable(endpoint: str, reason: str, *, retryable: bool = True) -> UnavailableError:
    return UnavailableError(
        f"endpoint {endpoint!r} gave no prediction: {reason}",
        hint="Try again in a moment."
        if retryable
        else f"Read the log: cloudmlops endpoints logs {endpoint} DEPLOYMENT",
        operation="endpoints.predict",
        resource=endpoint,
        retryable=retryable,
    )
