"""Events over HTTP: an ASGI app that stores what it is sent before it answers.

CloudEvents 1.0 in binary, structured and batched mode, and the provider's own dialects. Nothing but ASGI is assumed, so
the app can be mounted in any framework or run by any server.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from cloudevents.core.bindings.http import HTTPMessage, from_binary
from cloudevents.core.exceptions import BaseCloudEventException
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from cloudmlops.domain.events import DriftDetected, Envelope, Event
from cloudmlops.errors import (
    AuthenticationError,
    CloudMLOpsError,
    InvalidRequestError,
    PermissionDeniedError,
    QuotaExceededError,
    UnavailableError,
)
from cloudmlops.ports.events import EventsPort, PushReply, PushRequest
from cloudmlops.services.delivery import envelopes
from cloudmlops.services.telemetry import span

Message = MutableMapping[str, Any]
AsgiApp = Callable[[Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]]

LONGEST_BODY_BYTES: Final = 10 * 1024 * 1024
"""The largest push that the vendors send is 10 MB (Pub/Sub); Event Grid stays below 1 MB."""

_STATUS: Final[tuple[tuple[type[CloudMLOpsError], int], ...]] = (
    (InvalidRequestError, 400),
    (AuthenticationError, 401),
    (PermissionDeniedError, 403),
    (QuotaExceededError, 507),
    (UnavailableError, 503),
    (CloudMLOpsError, 500),
)
"""The first row that matches counts; senders repeat what is answered with 5xx."""


class Receiver:
    """The ASGI app."""

    def __init__(self, port: EventsPort, *, accept: Callable[[Event], bool], now: Callable[[], datetime]) -> None:
        self._port = port
        self._accept = accept
        self._now = now

    async def __call__(
        self,
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        """Answer one request, or the server's start and stop."""
        if scope["type"] == "lifespan":
            await _live(receive, send)
            return
        if scope["type"] != "http":
            raise RuntimeError(f"events arrive over HTTP, not over {scope['type']}")
        if scope["method"] in {"GET", "HEAD"}:
            reply = _json_reply(200, {"status": "ok"})
        else:
            try:
                body = await _body(receive)
            except ConnectionError:
                return  # the sender hung up: nobody waits for an answer, and half an event is none
            if body is None:
                reply = _problem(413, f"the body is longer than {LONGEST_BODY_BYTES} bytes")
                await _answer(send, reply, method=scope["method"])
                return
            request = PushRequest(
                method=scope["method"],
                headers={name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]},
                query=scope.get("query_string", b"").decode("latin-1"),
                body=body,
                sender=(scope.get("client") or ("",))[0],
            )
            # In a thread: storing waits for the disk or the network, and other requests should not wait with it.
            reply = await asyncio.to_thread(self.answer, request)
        await _answer(send, reply, method=scope["method"])

    def answer(self, request: PushRequest) -> PushReply:
        """Store the events of one request, all or none, and say so; or say what is wrong with it."""
        try:
            with span("events.receive"):
                pushed = self._port.receive(request)
                if pushed is not None and not pushed.events:
                    return pushed
                if pushed is None and request.method != "POST":
                    return _problem(405, f"{request.method} is not how events are sent", {"allow": "POST"})
                received = parse(request, now=self._now()) if pushed is None else pushed.events
                try:
                    # All are read before the first is stored: a malformed one must not leave half a batch behind.
                    events = _events([self._port.normalise(envelope) for envelope in received])
                    new = sum([self._accept(event) for event in events])
                except (AuthenticationError, PermissionDeniedError) as error:
                    # Not the sender was refused but this receiver: who is answered 401 or 403 does not come again.
                    return _problem(500, str(error))
                return pushed or _json_reply(200, {"stored": new, "known": len(events) - new})
        except CloudMLOpsError as error:
            status = next(status for kind, status in _STATUS if isinstance(error, kind))
            return _problem(status, str(error), {"retry-after": "10"} if status in {503, 507} else {})


def parse(request: PushRequest, *, now: datetime) -> Sequence[Envelope]:
    """Read CloudEvents 1.0 in any of the three modes of its HTTP binding.

    Args:
        request: As it came.
        now: The time of an event that tells none.

    Raises:
        InvalidRequestError: It is none of these, or one of its events is malformed; the faults say which.
    """
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media == "application/cloudevents-batch+json":
        listed = envelopes.loaded(request.body)
        if not isinstance(listed, list):
            raise _malformed("a batch must be a JSON array of events")
        return _all(listed, now)
    if media == "application/cloudevents+json":
        return _all([envelopes.loaded(request.body)], now)
    if media.startswith("application/cloudevents"):
        raise _malformed(f"the format {media!r} is not supported; send application/cloudevents+json")
    if not any(name.startswith("ce-") for name in request.headers):
        raise _malformed("it has neither ce-… headers nor the content type application/cloudevents+json")
    if fault := _lacks_time(request.headers.get("ce-type"), request.headers.get("ce-time")):
        raise _malformed(fault)
    if request.body and JSONFormat.JSON_CONTENT_TYPE_PATTERN.match(media):
        envelopes.loaded(request.body)  # the library takes what says that it is JSON and is not for text
    try:
        message = HTTPMessage(headers={"ce-time": now.isoformat(), **request.headers}, body=request.body)
        return [_envelope(from_binary(message, JSONFormat(), CloudEvent))]
    except (BaseCloudEventException, ValueError, OverflowError, RecursionError) as error:
        raise _malformed(str(error)) from error


def _events(received: Sequence[Envelope]) -> list[Event]:
    """Read what the envelopes hold; with several of them, the faults say which one is meant."""
    if len(received) == 1:
        return [envelopes.to_event(received[0])]
    events: list[Event] = []
    faults: list[str] = []
    for place, envelope in enumerate(received):
        try:
            events.append(envelopes.to_event(envelope))
        except InvalidRequestError as error:
            faults += [f"event {place} ({envelope.type}): {fault}" for fault in error.faults]
    if faults:
        raise InvalidRequestError(
            "the batch holds malformed events; none of it was stored",
            hint="Send the fields that docs/events.md lists for each type.",
            faults=faults,
        )
    return events


def _all(listed: Sequence[object], now: datetime) -> list[Envelope]:
    read: list[Envelope] = []
    faults: list[str] = []
    for place, written in enumerate(listed):
        if not isinstance(written, dict):
            faults.append(f"event {place} is not a JSON object")
            continue
        given = {name: value for name, value in written.items() if value is not None}
        if fault := _lacks_time(given.get("type"), given.get("time")):
            faults.append(f"event {place}: {fault}")
            continue
        try:
            if "data_base64" in given:
                base64.b64decode(given["data_base64"], validate=True)  # the library skips letters that are none of it
            # The time is set here, else the library makes up one of its own.
            read.append(_envelope(JSONFormat().read(CloudEvent, json.dumps({"time": now.isoformat(), **given}))))
        except (BaseCloudEventException, ValueError, TypeError, AttributeError, OverflowError) as error:
            faults.append(f"event {place}: {error}")
    if faults:
        raise _malformed(*faults)
    return read


def _lacks_time(type_: object, time: object) -> str | None:
    """Say that an event needs the time that it does not have: told twice, it would be two events."""
    if type_ == DriftDetected.kind and time is None:
        return f"time is missing; it is part of what {DriftDetected.kind} means"
    return None


def _envelope(event: Any) -> Envelope:
    known = {"id", "source", "type", "time", "subject", "specversion", "datacontenttype", "dataschema"}
    attributes = event.get_attributes()
    return Envelope(
        id=attributes["id"],
        source=attributes["source"],
        type=attributes["type"],
        time=attributes["time"].astimezone(UTC),
        subject=attributes.get("subject", ""),
        data=_payload(event.get_data()),
        extensions={name: str(value) for name, value in attributes.items() if name not in known},
    )


def _payload(data: object) -> Mapping[str, object]:
    if isinstance(data, Mapping):
        return data
    if data is None:
        return {}
    return {"value": base64.b64encode(data).decode("ascii") if isinstance(data, bytes) else data}


def _malformed(*faults: str) -> InvalidRequestError:
    return InvalidRequestError(
        "the request holds no well-formed CloudEvent 1.0",
        hint="Send binary, structured or batched mode as in CloudEvents 1.0, HTTP protocol binding.",
        faults=faults,
    )


async def _body(receive: Callable[[], Awaitable[Message]]) -> bytes | None:
    """Return the whole body; None when it is too long; `ConnectionError` when the sender hung up before its end."""
    parts: list[bytes] = []
    length = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionError("the sender hung up")
        parts.append(message.get("body", b""))
        length += len(parts[-1])
        if length > LONGEST_BODY_BYTES:
            return None
        if not message.get("more_body", False):
            return b"".join(parts)


async def _answer(send: Callable[[Message], Awaitable[None]], reply: PushReply, *, method: str) -> None:
    headers = {"content-length": str(len(reply.body)), **reply.headers}
    await send(
        {
            "type": "http.response.start",
            "status": reply.status,
            "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()],
        }
    )
    await send({"type": "http.response.body", "body": b"" if method == "HEAD" else reply.body})


async def _live(receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


def _json_reply(status: int, content: Mapping[str, object], headers: Mapping[str, str] | None = None) -> PushReply:
    return PushReply(
        status=status,
        headers={"content-type": "application/json", **(headers or {})},
        body=json.dumps(content).encode(),
    )


def _problem(status: int, reason: str, headers: Mapping[str, str] | None = None) -> PushReply:
    return _json_reply(status, {"error": reason}, headers)
