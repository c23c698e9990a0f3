"""Asking an endpoint for predictions: a POST to its own scoring address, over kept connections."""

from __future__ import annotations

import http.client
import json
import select
import weakref
from base64 import b64encode
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import SplitResult, unquote, urlsplit

from cloudmlops.domain.endpoints import Scoring
from cloudmlops.errors import (
    AuthenticationError,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
    ServiceError,
    UnavailableError,
    UnexpectedReplyError,
)

_PROXY_PORT: Final = 80


class ScoringClient:
    """Sends instances to endpoints; threads may share it.

    Args:
        locate: Returns an endpoint's scoring address; asked once an endpoint, and again when it is not found there.
    """

    def __init__(self, locate: Callable[[str], Scoring]) -> None:
        self._locate = locate
        self._addresses: dict[str, Scoring] = {}
        self._idle: defaultdict[str, list[http.client.HTTPConnection]] = defaultdict(list)
        weakref.finalize(self, _close_all, self._idle)

    def predict(self, endpoint: str, instances: Sequence[Any]) -> list[Any]:
        """Return a prediction for each instance."""
        try:
            instances = _listed(endpoint, instances)
            body = _json(instances).encode()
        except (TypeError, ValueError) as error:
            raise InvalidRequestError(f"the instances for endpoint {endpoint!r} have no JSON form: {error}") from error
        scoring, (status, reply) = self._asked(endpoint, body)
        predictions = _predictions(endpoint, status, reply, refusal_hint=scoring.refusal_hint)
        if len(predictions) != len(instances):
            raise UnexpectedReplyError(
                f"endpoint {endpoint!r} answered {len(predictions)} predictions to {len(instances)} instances",
                hint="Its model must predict once for each row.",
                resource=endpoint,
            )
        return predictions

    def forget(self, endpoint: str) -> None:
        """Ask for the endpoint's address again next time."""
        self._addresses.pop(endpoint, None)

    def _asked(self, endpoint: str, body: bytes) -> tuple[Scoring, tuple[int, bytes]]:
        """Return what was asked where, and its answer's status and body."""
        scoring = self._addresses.get(endpoint)
        reply = self._post(endpoint, scoring, body) if scoring else None
        if scoring is None or reply is None:  # nothing was done: the endpoint may have been started again elsewhere
            self._addresses[endpoint] = scoring = self._locate(endpoint)
            reply = self._post(endpoint, scoring, body)
        if reply is not None and reply[0] == HTTPStatus.UNAUTHORIZED and scoring.renew is not None:
            scoring.renew()
            reply = self._post(endpoint, scoring, body)
        if reply is None:
            raise _unavailable(endpoint, f"nobody answers for it at {scoring.url}")
        return scoring, reply

    def _post(self, endpoint: str, scoring: Scoring, instances: bytes) -> tuple[int, bytes] | None:
        """Return status and body of the answer; None when the endpoint is not there."""
        parts = urlsplit(scoring.url)
        body = b'{"%s":%s}' % (scoring.key.encode(), instances)
        # Read before the connection is there: who may not have the token is refused, and no connection broke off.
        headers = {"content-type": "application/json", **scoring.headers}
        connection = self._connection(parts, timeout_s=scoring.timeout.total_seconds())
        try:
            connection.request("POST", parts.path, body, headers)
            response = connection.getresponse()
            read = response.read()
        except ConnectionRefusedError:
            return None
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise _unavailable(endpoint, f"the connection to {scoring.url} broke off: {error!r}") from error
        if response.will_close:
            connection.close()
        else:
            self._idle[parts.netloc].append(connection)
        status = _own_status(response, scoring.status_header)
        return None if status == HTTPStatus.MISDIRECTED_REQUEST else (status, read)

    def _connection(self, parts: SplitResult, *, timeout_s: float) -> http.client.HTTPConnection:
        idle = self._idle[parts.netloc]
        while idle:
            try:
                connection = idle.pop()
            except IndexError:  # another thread took it
                break
            if not _closed(connection):
                connection.sock.settimeout(timeout_s)
                return connection
            connection.close()
        if parts.scheme == "https":
            return _encrypted(parts, timeout_s=timeout_s)
        return http.client.HTTPConnection(parts.netloc, timeout=timeout_s)  # within this machine, or a network of ours


def _own_status(response: http.client.HTTPResponse, header: str) -> int:
    """Return the status that the server itself answered with."""
    told = response.headers.get(header, "") if header else ""
    return int(told) if told.isdecimal() else response.status


def _encrypted(parts: SplitResult, *, timeout_s: float) -> http.client.HTTPSConnection:
    """Return a connection that goes by way of the environment's proxy (`HTTPS_PROXY`, `NO_PROXY`), if it has one."""
    from urllib.request import getproxies, proxy_bypass  # here, because endpoints on this machine need none of it

    given = getproxies().get("https")
    if not given or proxy_bypass(parts.netloc):
        return http.client.HTTPSConnection(parts.netloc, timeout=timeout_s)
    proxy = urlsplit(given if "://" in given else f"http://{given}")
    connection = http.client.HTTPSConnection(proxy.hostname or "", proxy.port or _PROXY_PORT, timeout=timeout_s)
    headers = {}
    if proxy.username is not None:
        known = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
        headers["proxy-authorization"] = f"Basic {b64encode(known.encode()).decode('ascii')}"
    connection.set_tunnel(parts.hostname or "", parts.port, headers)
    return connection


def _close_all(idle: Mapping[str, list[http.client.HTTPConnection]]) -> None:
    for connections in idle.values():
        for connection in connections:
            connection.close()


def _listed(endpoint: str, instances: Any) -> list[Any]:
    """Return instances as a list; a table's are its rows."""
    for rows, arguments in (("to_pylist", ()), ("to_dicts", ()), ("to_dict", ("records",))):
        if hasattr(instances, "columns") and hasattr(instances, rows):
            return [*getattr(instances, rows)(*arguments)]
    if isinstance(instances, Mapping | str | bytes):
        raise InvalidRequestError(
            f"the instances for endpoint {endpoint!r} are one {type(instances).__name__}, not a list of instances",
            hint="Put a single instance in a list: [instance].",
        )
    return [*instances]


def _json(instances: list[Any]) -> str:
    """Return the instances as JSON; NaN, which it lacks, becomes null."""
    try:
        return json.dumps(instances, default=_plain, allow_nan=False)
    except ValueError:
        return json.dumps(json.loads(json.dumps(instances, default=_plain), parse_constant=_missing))


def _missing(constant: str) -> None:
    if constant != "NaN":
        raise ValueError(f"{constant} is no number in JSON")


def _plain(value: object) -> object:
    """Return a value that JSON does not know, such as a time or a number of numpy's, as one that it does."""
    if isinstance(value, date):
        return value.isoformat()
    for method in ("tolist", "item"):
        if hasattr(value, method):
            return getattr(value, method)()
    raise TypeError(f"{value!r} is a {type(value).__name__}")


def _closed(connection: http.client.HTTPConnection) -> bool:
    """Say whether the other side has closed an idle connection: then it is readable though nothing was asked."""
    if connection.sock is None:
        return True
    waiting = select.poll()
    waiting.register(connection.sock, select.POLLIN)
    return bool(waiting.poll(0))


_REFUSALS: Final[Mapping[int, type[ServiceError]]] = {
    HTTPStatus.UNAUTHORIZED: AuthenticationError,
    HTTPStatus.FORBIDDEN: PermissionDeniedError,
}


def _predictions(endpoint: str, status: int, reply: bytes, *, refusal_hint: str) -> list[Any]:
    try:
        answer = json.loads(reply)
    except ValueError:
        answer = reply.decode(errors="replace")[:500]
    if status == 200:
        predictions = answer.get("predictions") if isinstance(answer, dict) else answer
        if isinstance(predictions, list):
            return predictions
        raise UnexpectedReplyError(f"endpoint {endpoint!r} answered without predictions: {answer!r}", resource=endpoint)
    error = _error(answer)
    reason = str(error.get("reason") or error.get("message") or error) if isinstance(error, dict) else str(error)
    if status in (400, 413, 415, 422):
        listed = error.get("faults", []) if isinstance(error, dict) else []
        head = reason.partition(": ")[0] if listed else reason
        raise InvalidRequestError(f"endpoint {endpoint!r} refused the input: {head}", faults=map(_fault, listed))
    if status in _REFUSALS:
        raise _REFUSALS[status](
            f"endpoint {endpoint!r} gave no prediction: {reason}",
            hint=refusal_hint or "Check who is calling, and that they may ask the endpoint for predictions.",
            operation="endpoints.predict",
            resource=endpoint,
        )
    if status == HTTPStatus.NOT_FOUND:
        raise NotFoundError(
            f"endpoint {endpoint!r} gave no prediction: {reason}",
            hint="Deploy a version to it first.",
            operation="endpoints.predict",
            resource=endpoint,
        )
    raise _unavailable(endpoint, f"it answered {status}: {reason}", retryable=status in (429, 502, 503, 504))


def _error(answer: Any) -> Any:
    """Return what an answer says is wrong; a service before the server may have wrapped the server's own words."""
    error = answer.get("error", answer) if isinstance(answer, dict) else answer
    if isinstance(error, dict) and isinstance(message := error.get("message"), str) and message.startswith("{"):
        try:
            return _error(json.loads(message))
        except ValueError:
            return error
    return error


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
