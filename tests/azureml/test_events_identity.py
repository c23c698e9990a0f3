"""Who may push: nobody from another machine unless something proves that Event Grid sends it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jwt
import pytest
from azure.core.exceptions import HttpResponseError
from azure.mgmt.eventgrid.models import StaticDeliveryAttributeMapping
from cryptography.hazmat.primitives.asymmetric import rsa

from cloudmlops import Platform
from cloudmlops.domain.events import ModelRegistered
from cloudmlops.emulators.azure.cloud import AzureCloud
from cloudmlops.emulators.azure.eventgrid.identity import APPLICATION
from cloudmlops.emulators.core.emulator import Emulator
from cloudmlops.emulators.core.faults import Fault, Refused
from cloudmlops.errors import AuthenticationError, ConfigurationError, PermissionDeniedError, UnavailableError
from cloudmlops.ports.events import EventsPort, PushRequest
from cloudmlops.providers.azureml.settings import AzureMLSettings
from cloudmlops.testing.contract.models import written_model

from .conftest import Opened
from .event_grid import PATIENCE, served, subscribe

Connected = Callable[..., Platform]
AUDIENCE = "api://cloudmlops-events"
KEY = "a-key-of-sixteen-or-more"
ELSEWHERE = "203.0.113.7"


def push(
    token: str = "", *, method: str = "POST", query: str = "", sender: str = ELSEWHERE, **headers: str
) -> PushRequest:
    given = {"content-type": "application/json", **{name.replace("_", "-"): value for name, value in headers.items()}}
    authorization = {"authorization": f"Bearer {token}"} if token else {}
    return PushRequest(method=method, headers=given | authorization, query=query, body=b"[]", sender=sender)


@pytest.fixture
def guarded(opened: Opened, cloud: AzureCloud) -> EventsPort:
    return opened(push_audience=AUDIENCE, push_tenant=cloud.tokens.directory.tenant).events


@pytest.fixture
def claims(cloud: AzureCloud) -> dict[str, Any]:
    now = int(datetime.now(UTC).timestamp())
    return {"aud": AUDIENCE, "iss": cloud.tokens.issuer, "iat": now, "exp": now + 600, "azp": APPLICATION}


@pytest.fixture
def signed(cloud: AzureCloud) -> Callable[[dict[str, Any]], str]:
    """Signs with Entra's own key."""
    name = str(cloud.tokens.public_keys()["keys"][0]["kid"])
    key = cloud.tokens._signing_key()
    return lambda claims: jwt.encode(claims, key, algorithm="RS256", headers={"kid": name})


def test_without_settings_only_this_machine_may_push(opened: Opened) -> None:
    events = opened().events

    for sender in ("127.0.0.1", "::1"):
        assert events.receive(push(sender=sender)) is not None
    for sender in (ELSEWHERE, "", "unix:"):
        with pytest.raises(AuthenticationError, match="from another machine") as caught:
            events.receive(push(sender=sender))
        assert "push_audience" in caught.value.hint
    for by_a_proxy in ({"x_forwarded_for": ELSEWHERE}, {"forwarded": f"for={ELSEWHERE}"}):
        with pytest.raises(AuthenticationError, match="from another machine"):
            events.receive(push(sender="127.0.0.1", **by_a_proxy))
    with pytest.raises(AuthenticationError):
        events.receive(push(method="OPTIONS", webhook_request_origin="eventgrid.azure.net"))


def test_something_else_may_authenticate_pushes(opened: Opened) -> None:
    assert opened(push_unproven="true").events.receive(push()) is not None


def test_a_key_lets_pushes_pass(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUDMLOPS_AZUREML_PUSH_KEY", KEY)
    events = opened().events

    assert events.receive(push(query=f"key={KEY}")) is not None
    assert events.receive(push(x_cloudmlops_key=KEY)) is not None
    for wrong in (push(), push(query="key=other"), push(x_cloudmlops_key=""), push(KEY), push(sender="127.0.0.1")):
        with pytest.raises(AuthenticationError, match="does not have the key"):
            events.receive(wrong)


def test_a_key_is_in_no_target_and_in_no_message(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUDMLOPS_AZUREML_PUSH_KEY", KEY)
    settings = opened().settings

    assert KEY not in settings.target
    assert KEY not in repr(settings)
    with pytest.raises(ConfigurationError, match="CLOUDMLOPS_AZUREML_PUSH_KEY") as caught:
        AzureMLSettings.from_target(f"{settings.address}?push_key={KEY}")
    assert KEY not in str(caught.value)
    monkeypatch.setenv("CLOUDMLOPS_AZUREML_PUSH_KEY", "short")
    with pytest.raises(ConfigurationError, match="16 characters"):
        AzureMLSettings.from_target(settings.address)


def test_a_token_of_event_grid_lets_pushes_pass(
    guarded: EventsPort, claims: dict[str, Any], signed: Callable[[dict[str, Any]], str], azureml_emulator: Emulator
) -> None:
    for _ in range(3):
        assert guarded.receive(push(signed(claims))) is not None
    assert len(azureml_emulator.calls.list("entra/keys")) == 1  # kept, for each push needs them


def test_a_push_without_a_token_is_refused(guarded: EventsPort) -> None:
    for request in (push(), push("abc"), push("a.b.c"), push(query=f"key={KEY}"), push(sender="127.0.0.1")):
        with pytest.raises(AuthenticationError, match="does not prove who sends it"):
            guarded.receive(request)


@pytest.mark.parametrize(
    "wrong",
    [
        {"aud": "api://another"},
        {"iss": "https://login.microsoftonline.com/another/v2.0"},
        {"iss": "https://example.com"},
        {"exp": 1},
        {"azp": "11111111-1111-1111-1111-111111111111"},
        {"azp": None, "appid": "11111111-1111-1111-1111-111111111111"},
    ],
)
def test_a_token_for_others_or_of_others_is_refused(
    guarded: EventsPort, claims: dict[str, Any], signed: Callable[[dict[str, Any]], str], wrong: dict[str, Any]
) -> None:
    with pytest.raises((AuthenticationError, PermissionDeniedError)):
        guarded.receive(push(signed({**claims, **wrong})))


@pytest.mark.parametrize("missing", ["aud", "iss", "exp", "azp"])
def test_a_token_that_does_not_say_what_is_to_be_verified_is_refused(
    guarded: EventsPort, claims: dict[str, Any], signed: Callable[[dict[str, Any]], str], missing: str
) -> None:
    del claims[missing]
    with pytest.raises((AuthenticationError, PermissionDeniedError)):
        guarded.receive(push(signed(claims)))


def test_a_token_that_entra_did_not_sign_is_refused(
    guarded: EventsPort, claims: dict[str, Any], cloud: AzureCloud
) -> None:
    own = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    known = str(cloud.tokens.public_keys()["keys"][0]["kid"])
    forged = [jwt.encode(claims, own, algorithm="RS256", headers={"kid": kid}) for kid in (known, "unknown")]
    forged.append(jwt.encode(claims, None, algorithm="none", headers={"kid": known}))
    forged.append(jwt.encode(claims, "guessed-by-somebody-who-hopes-for-it", algorithm="HS256", headers={"kid": known}))

    for token in forged:
        with pytest.raises(AuthenticationError, match="does not prove who sends it"):
            guarded.receive(push(token))


def test_names_of_unknown_keys_do_not_let_entra_be_asked_each_time(
    guarded: EventsPort, claims: dict[str, Any], azureml_emulator: Emulator
) -> None:
    own = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    for number in range(5):
        with pytest.raises(AuthenticationError, match="a key that Entra does not know"):
            guarded.receive(push(jwt.encode(claims, own, algorithm="RS256", headers={"kid": f"unknown-{number}"})))

    assert len(azureml_emulator.calls.list("entra/keys")) == 1


def test_while_entra_does_not_answer_the_sender_is_to_come_again(
    opened: Opened,
    cloud: AzureCloud,
    azureml_emulator: Emulator,
    claims: dict[str, Any],
    signed: Callable[[dict[str, Any]], str],
) -> None:
    events = opened(push_audience=AUDIENCE, push_tenant=cloud.tokens.directory.tenant, timeout="1").events
    azureml_emulator.faults.set(Fault(matching="entra/keys", times=None, refused=Refused("UNAVAILABLE", "later")))

    with pytest.raises(UnavailableError):
        events.receive(push(signed(claims)))
    azureml_emulator.faults.clear()
    assert events.receive(push(signed(claims))) is not None


def test_audience_and_tenant_are_given_together(opened: Opened) -> None:
    with pytest.raises(ConfigurationError, match="push_audience and push_tenant go together"):
        opened(push_audience=AUDIENCE)


def test_cloud_events_handshake_is_agreed_to_with_known_origins_only(opened: Opened) -> None:
    events = opened(push_origins="eventgrid.azure.net,eventgrid.azure.us", push_unproven="true").events

    for origin in ("eventgrid.azure.net", "EventGrid.azure.us"):
        asked = push(method="OPTIONS", webhook_request_origin=origin, webhook_request_rate="120")
        agreed = events.receive(asked)
        assert agreed is not None
        assert (agreed.status, agreed.events) == (200, ())
        assert agreed.headers == {"webhook-allowed-origin": origin, "webhook-allowed-rate": "120"}
    odd = events.receive(
        push(method="OPTIONS", webhook_request_origin="eventgrid.azure.net", webhook_request_rate="x;")
    )
    assert odd is not None
    assert odd.headers["webhook-allowed-rate"] == "*", "nothing that a stranger wrote is said again"
    with pytest.raises(PermissionDeniedError, match=r"'example\.com' may not send events here"):
        events.receive(push(method="OPTIONS", webhook_request_origin="example.com"))


def test_what_the_receiver_itself_may_not_do_does_not_keep_event_grid_from_coming_again(
    connected: Connected,
) -> None:
    receiver: Any = connected("reader", push_unproven="true").events.asgi()  # who may not write to the store
    event = {"specversion": "1.0", "id": "7", "source": "/s", "type": "com.example.new", "time": "2026-01-31T12:00:00Z"}

    answered = receiver.answer(replace(push(), body=json.dumps([event]).encode()))
    forged: Any = connected().events.asgi()
    refused = forged.answer(replace(push(), body=json.dumps([event]).encode()))

    assert answered.status == 500, answered.body
    assert refused.status == 401


def test_event_grids_own_handshake_is_answered_with_its_code(opened: Opened) -> None:
    event = {
        "id": "1",
        "topic": "/x",
        "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent",
        "eventTime": "2026-01-31T12:00:00Z",
        "data": {"validationCode": "512d38b6", "validationUrl": "https://rp-westeurope.eventgrid.azure.net/x"},
    }
    request = PushRequest(
        method="POST",
        headers={"content-type": "application/json; charset=utf-8", "aeg-event-type": "SubscriptionValidation"},
        query="",
        body=json.dumps([event]).encode(),
        sender="127.0.0.1",
    )
    answered = opened().events.receive(request)

    assert answered is not None
    assert json.loads(answered.body) == {"validationResponse": "512d38b6"}
    assert answered.events == ()


@pytest.mark.parametrize(
    ("schema", "proof"),
    [
        ("EventGridSchema", "token"),
        pytest.param("EventGridSchema", "query", marks=pytest.mark.conformance),
        pytest.param("EventGridSchema", "header", marks=pytest.mark.conformance),
        pytest.param("CloudEventSchemaV1_0", "token", marks=pytest.mark.conformance),
        ("CloudEventSchemaV1_0", "query"),
        ("CloudEventSchemaV1_0", "header"),
    ],
)
def test_event_grid_proves_itself_in_handshake_and_delivery(
    connected: Connected,
    cloud: AzureCloud,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    schema: str,
    proof: str,
) -> None:
    tenant = cloud.tokens.directory.tenant
    if proof == "token":
        platform = connected(reporter="event-grid", push_audience=AUDIENCE, push_tenant=tenant)
        webhook: dict[str, Any] = {
            "azure_active_directory_tenant_id": tenant,
            "azure_active_directory_application_id_or_uri": AUDIENCE,
        }
    else:
        monkeypatch.setenv("CLOUDMLOPS_AZUREML_PUSH_KEY", KEY)
        platform = connected(reporter="event-grid")
        header = StaticDeliveryAttributeMapping(name="x-cloudmlops-key", value=KEY, is_secret=True)
        webhook = {"delivery_attribute_mappings": [header]} if proof == "header" else {}
    with served(platform) as url:
        address = f"{url}?key={KEY}" if proof == "query" else url
        made = subscribe(platform, address, event_delivery_schema=schema, webhook=webhook)
        platform.models.register("churn", written_model(tmp_path / "model"))
        assert cloud.event_grid.deliveries.settle(PATIENCE)

    assert made.provisioning_state == "Succeeded"
    assert [event.model for event in platform.events.list(kind=ModelRegistered)] == ["churn"]


def test_a_subscription_without_the_key_is_not_agreed_to(connected: Connected, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUDMLOPS_AZUREML_PUSH_KEY", KEY)
    platform = connected()
    with served(platform) as url, pytest.raises(HttpResponseError, match="response code 401"):
        subscribe(platform, url)
