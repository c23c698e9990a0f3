"""Events over HTTP: the three modes of CloudEvents 1.0, and what is said about anything else."""

import asyncio
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from cloudmlops import DriftDetected, ModelRegistered, Platform, UnknownEvent
from cloudmlops.domain.events import Envelope
from cloudmlops.errors import AuthenticationError, UnavailableError
from cloudmlops.ports.events import PushReply, PushRequest
from cloudmlops.providers.local.events import LocalEvents
from cloudmlops.services.delivery import receiving
from cloudmlops.services.delivery.receiving import Receiver

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
REGISTERED = {
    "specversion": "1.0",
    "id": "m/1",
    "source": "local:///p",
    "type": "cloudmlops.model.registered",
    "time": "2026-01-01T12:00:00Z",
    "data": {"Model": "m", "Version": 1},
}
DRIFT: dict[str, Any] = {
    **REGISTERED,
    "type": DriftDetected.kind,
    "data": {"subject": "s", "metric": "m", "value": 1, "threshold": 1},
}
BINARY = {"ce-id": "1", "ce-source": "s", "ce-type": "t", "ce-specversion": "1.0"}
EVENT = ModelRegistered(platform="local:///p", time=NOON, model="m", version="1")
STRUCTURED = {"content-type": "application/cloudevents+json; charset=utf-8"}
BATCH = {"content-type": "application/cloudevents-batch+json"}


def send(app: Any, method: str, headers: Mapping[str, str], body: bytes) -> httpx.Response:
    async def once() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://events") as client:
            return await client.request(method, "/any/path?q=1", headers=headers, content=body)

    return asyncio.run(once())


def post(platform: Platform, headers: Mapping[str, str], body: object) -> httpx.Response:
    return send(platform.events.asgi(), "POST", headers, body if isinstance(body, bytes) else json.dumps(body).encode())


def test_a_structured_event_is_stored(platform: Platform) -> None:
    reply = post(platform, STRUCTURED, REGISTERED)

    assert (reply.status_code, reply.json()) == (200, {"stored": 1, "known": 0})
    assert platform.events.list() == [EVENT]


def test_a_binary_event_is_stored(platform: Platform) -> None:
    headers = {f"CE-{name}": str(value) for name, value in REGISTERED.items() if name != "data"}

    reply = post(platform, {**headers, "content-type": "application/json"}, REGISTERED["data"])

    assert reply.status_code == 200
    assert platform.events.list() == [EVENT]


def test_a_batch_is_stored(platform: Platform) -> None:
    second = {**REGISTERED, "id": "m/2", "data": {"model": "m", "version": "2"}}

    reply = post(platform, BATCH, [REGISTERED, second, REGISTERED])

    assert reply.json() == {"stored": 2, "known": 1}
    assert [event.version for event in platform.events.list(kind=ModelRegistered)] == ["1", "2"]


def test_an_empty_batch_is_fine(platform: Platform) -> None:
    assert post(platform, BATCH, []).json() == {"stored": 0, "known": 0}


def test_a_redelivered_event_is_acknowledged_and_known(platform: Platform) -> None:
    post(platform, STRUCTURED, REGISTERED)

    assert post(platform, STRUCTURED, {**REGISTERED, "id": "another"}).json() == {"stored": 0, "known": 1}


def test_an_event_of_another_kind_is_kept_with_its_extensions(platform: Platform) -> None:
    sent = {
        "specversion": "1.0",
        "id": "7",
        "source": "//example.com",
        "type": "com.example.new",
        "methodname": "UploadModel",
        "data": {"a": [1, 2]},
    }

    assert post(platform, STRUCTURED, sent).status_code == 200

    (event,) = platform.events.list()
    assert isinstance(event, UnknownEvent)
    assert (event.type, event.source, event.id) == ("com.example.new", "//example.com", "7")
    assert (event.data, event.extensions) == ({"a": [1, 2]}, {"methodname": "UploadModel"})
    assert event.time.tzinfo is not None, "the time of arrival stands in"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param(b"plain text", {"value": "plain text"}, id="text"),
        pytest.param(b"\xff\xfe", {"value": "//4="}, id="bytes"),
        pytest.param(b"", {}, id="nothing"),
    ],
)
def test_any_payload_is_kept(platform: Platform, body: bytes, expected: dict[str, object]) -> None:
    headers = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "s", "ce-type": "t", "content-type": "text/plain"}

    assert post(platform, headers, body).status_code == 200

    (event,) = platform.events.list(kind=UnknownEvent)
    assert isinstance(event, UnknownEvent)
    assert event.data == expected


@pytest.mark.parametrize(
    ("headers", "body", "reason"),
    [
        pytest.param(STRUCTURED, b"{", "the body is not JSON", id="not json"),
        pytest.param(STRUCTURED, b"[]", "event 0 is not a JSON object", id="not an object"),
        pytest.param(STRUCTURED, {**REGISTERED, "id": ""}, "id: Attribute 'id' must not be None or empty", id="no id"),
        pytest.param(STRUCTURED, {**REGISTERED, "specversion": "0.3"}, "must be '1.0'", id="another version"),
        pytest.param(STRUCTURED, {**REGISTERED, "time": "yesterday"}, "event 0: ", id="no time"),
        pytest.param(STRUCTURED, {**REGISTERED, "time": "2026-01-01T12:00:00"}, "timezone aware", id="naive time"),
        pytest.param(STRUCTURED, {**REGISTERED, "time": 7}, "event 0: ", id="time is a number"),
        pytest.param(
            STRUCTURED, {**REGISTERED, "data": {"model": "m"}}, "version is missing", id="our kind, a field missing"
        ),
        pytest.param(BATCH, REGISTERED, "a batch must be a JSON array", id="batch of one, bare"),
        pytest.param({"content-type": "application/cloudevents+avro"}, b"x", "is not supported", id="avro"),
        pytest.param({"content-type": "application/json"}, {"a": 1}, "neither ce-… headers nor", id="no event at all"),
        pytest.param({"ce-id": "1"}, b"", "source: ", id="binary without source"),
        pytest.param(
            {"ce-id": "1", "ce-source": "s", "ce-type": "t", "ce-specversion": "1.0", "ce-time": "soon"},
            b"",
            "the request holds no well-formed CloudEvent",
            id="binary with a wrong time",
        ),
        pytest.param({**BINARY, "content-type": "application/json"}, b"{", "body is not JSON", id="binary, no JSON"),
        pytest.param(STRUCTURED, {**REGISTERED, "data": None, "data_base64": "_$"}, "event 0: ", id="no base64"),
        pytest.param(STRUCTURED, b"[" * 100_000, "nested too deeply", id="deep"),
        pytest.param(STRUCTURED, {**REGISTERED, "id": "\ud800"}, "no Unicode", id="half a surrogate pair"),
        pytest.param(STRUCTURED, {**REGISTERED, "time": "0001-01-01T00:00:00+10:00"}, "event 0: ", id="before time"),
        pytest.param(STRUCTURED, {**DRIFT, "time": None}, "time is missing; it is part of what", id="drift, no time"),
        pytest.param(
            {**BINARY, "ce-type": DriftDetected.kind}, b"", "time is missing; it is part of what", id="binary drift"
        ),
        pytest.param(
            STRUCTURED, {**DRIFT, "data": {**DRIFT["data"], "value": 10**400}}, "too large for a number", id="10**400"
        ),
    ],
)
def test_a_malformed_request_is_told_why(
    platform: Platform, headers: Mapping[str, str], body: object, reason: str
) -> None:
    reply = post(platform, headers, body)

    assert reply.status_code == 400
    assert reason in reply.json()["error"]
    assert platform.events.list() == []


def test_one_malformed_event_refuses_its_whole_batch(platform: Platform) -> None:
    reply = post(platform, BATCH, [REGISTERED, {"id": "2"}, 3])

    assert reply.status_code == 400
    assert "event 1: " in reply.json()["error"]
    assert "event 2 is not a JSON object" in reply.json()["error"]
    assert platform.events.list() == []


def test_only_post_sends_events_and_get_says_that_all_is_well(platform: Platform) -> None:
    app = platform.events.asgi()

    assert send(app, "GET", {}, b"").json() == {"status": "ok"}
    assert send(app, "HEAD", {}, b"").status_code == 200
    refused = send(app, "PUT", STRUCTURED, b"{}")
    assert (refused.status_code, refused.headers["allow"]) == (405, "POST")


def test_a_body_without_end_is_refused(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receiving, "LONGEST_BODY_BYTES", 10)

    assert post(platform, STRUCTURED, REGISTERED).status_code == 413


def test_when_storing_fails_the_sender_is_asked_to_come_again() -> None:
    def full(event: object) -> bool:
        raise UnavailableError("the object store does not answer")

    app = Receiver(Dialect(), accept=full, now=lambda: NOON)
    reply = send(app, "POST", STRUCTURED, json.dumps(REGISTERED).encode())

    assert (reply.status_code, reply.headers["retry-after"]) == (503, "10")
    assert "does not answer" in reply.json()["error"]


class Dialect(LocalEvents):
    """A provider with a handshake, a schema of its own, senders who must prove who they are, and its own kinds."""

    def __init__(self) -> None:
        self.rung = 0

    def receive(self, request: PushRequest) -> PushReply | None:
        if request.headers.get("x-secret") == "wrong":
            raise AuthenticationError("the token is not valid")
        if request.method == "OPTIONS":
            return PushReply(headers={"webhook-allowed-origin": request.headers["webhook-request-origin"]})
        if "x-vendor" in request.headers:
            read = json.loads(request.body)
            return PushReply(
                events=[Envelope(id=read["Id"], source="vendor", type="vendor.drift", time=NOON, data=read["Data"])],
                status=204,
            )
        return None

    def normalise(self, event: Envelope) -> Envelope:
        if event.type != "vendor.drift":
            return event
        data = {"subject": "s", "metric": event.data["Metric"], "value": 1, "threshold": 0}
        return Envelope(id=event.id, source=event.source, type=DriftDetected.kind, time=event.time, data=data)


def test_a_providers_own_dialect_and_kinds_become_ours() -> None:
    stored: list[object] = []
    app = Receiver(Dialect(), accept=lambda event: stored.append(event) is None, now=lambda: NOON)

    handshake = send(app, "OPTIONS", {"webhook-request-origin": "eventgrid.azure.net"}, b"")
    pushed = send(app, "POST", {"x-vendor": "1"}, b'{"Id": "1", "Data": {"Metric": "psi"}}')
    plain = send(app, "POST", STRUCTURED, json.dumps(REGISTERED).encode())
    refused = send(app, "POST", {"x-secret": "wrong", **STRUCTURED}, json.dumps(REGISTERED).encode())

    assert (handshake.status_code, handshake.headers["webhook-allowed-origin"]) == (200, "eventgrid.azure.net")
    assert pushed.status_code == 204
    assert plain.status_code == 200
    assert (refused.status_code, refused.json()) == (401, {"error": "the token is not valid"})
    drifted = DriftDetected(platform="vendor", time=NOON, subject="s", metric="psi", value=1.0, threshold=0.0)
    assert stored == [drifted, EVENT]


def test_the_app_follows_a_servers_start_and_stop(platform: Platform) -> None:
    incoming = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])
    sent: list[str] = []

    async def receive() -> Any:
        return next(incoming)

    async def reply(message: Any) -> None:
        sent.append(message["type"])

    asyncio.run(platform.events.asgi()({"type": "lifespan"}, receive, reply))

    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


def test_an_event_whose_sender_hangs_up_is_not_stored_and_welcome_again(platform: Platform) -> None:
    body = json.dumps({**REGISTERED, "type": "t", "data": "long"}).encode()
    messages = iter([{"type": "http.request", "body": body, "more_body": True}, {"type": "http.disconnect"}])
    sent: list[Any] = []

    async def receive() -> Any:
        return next(messages)

    async def answer(message: Any) -> None:
        sent.append(message)

    headers = [(name.encode(), value.encode()) for name, value in STRUCTURED.items()]
    scope = {"type": "http", "method": "POST", "headers": headers}
    asyncio.run(platform.events.asgi()(scope, receive, answer))

    assert (sent, platform.events.list()) == ([], [])
    assert post(platform, STRUCTURED, body).json() == {"stored": 1, "known": 0}


def test_an_attribute_that_is_null_is_not_there(platform: Platform) -> None:
    assert post(platform, STRUCTURED, {**REGISTERED, "time": None, "subject": None}).status_code == 200


def test_each_malformed_event_of_a_batch_is_told(platform: Platform) -> None:
    wrong = {**REGISTERED, "data": {}}

    reply = post(platform, BATCH, [wrong, REGISTERED, wrong])

    assert reply.status_code == 400
    for told in ("event 0 (cloudmlops.model.registered): model is missing", "event 2 (cloudmlops.model.registered)"):
        assert told in reply.json()["error"]
    assert platform.events.list() == []
