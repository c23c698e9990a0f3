"""Settings of the Vertex AI provider: nothing malformed reaches the wire, and a target says all that was set."""

from __future__ import annotations

import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import trustme
from google.cloud.aiplatform.constants.base import SUPPORTED_REGIONS

from cloudmlops.errors import ConfigurationError
from cloudmlops.providers.vertex.locations import LOCATIONS, lies_in
from cloudmlops.providers.vertex.settings import VertexSettings
from cloudmlops.providers.vertex.wire import Wire

HERE = "vertex://my-project/europe-west4"
SECRET = "s3cr3t"


def read(query: str) -> VertexSettings:
    return VertexSettings.from_target(f"{HERE}?bucket=mine&{query}")


def made(**given: Any) -> VertexSettings:
    return VertexSettings(**{"project": "my-project", "location": "europe-west4", "bucket": "mine", **given})


@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:80",
        "localhost",
        "ftp://localhost",
        "",
        "http://",
        "http://:80",
        "http://localhost:port",
        "http://localhost:99999",
        "http://localhost/path",
        "http://localhost?a=b",
        "http://[::1",
    ],
)
def test_an_address_of_services_that_is_none_is_refused_before_anything_is_asked(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"api_url: .*such as http://127\.0\.0\.1:8080"):
        made(api_url=url)


@pytest.mark.parametrize("url", ["http://127.0.0.1:8080", "https://emulator.example.com", "http://[::1]:8080"])
@pytest.mark.parametrize("slash", ["", "/"])
def test_an_address_of_services_is_kept_without_its_slash(url: str, slash: str) -> None:
    assert made(api_url=url + slash).api_url == url


@pytest.mark.parametrize(
    "target", [f"{HERE}?bucket=mine&api_url=http://user:{SECRET}@localhost", f"vertex://u:{SECRET}@p/x"]
)
def test_credentials_in_an_address_are_refused_and_not_repeated(target: str) -> None:
    with pytest.raises(ConfigurationError, match="credentials") as caught:
        VertexSettings.from_target(target)
    assert SECRET not in str(caught.value)
    assert caught.value.__context__ is None


def test_grpc_to_an_https_address_is_encrypted() -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    began: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                began.append(connection.recv(3))

        serving = threading.Thread(target=answer)
        serving.start()
        channel = Wire(made(api_url=f"https://localhost:{server.getsockname()[1]}")).channel("unused")
        channel.subscribe(lambda _: None, try_to_connect=True)
        serving.join()
        channel.close()
    assert began[0][:2] == b"\x16\x03"  # a TLS handshake, and not HTTP/2 in the clear


def test_a_target_says_all_that_was_set_whatever_the_variables_say(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = made(
        transport="grpc",
        prefix="cloudmlops",
        api_url=None,
        as_of=None,
        topic="",
        timeout=timedelta(seconds=30, microseconds=123456),
    )
    for name, value in {
        "TRANSPORT": "rest",
        "PREFIX": "other",
        "API_URL": "http://localhost",
        "AS_OF": "2026-01-01T00:00:00Z",
        "TOPIC": "events",
        "TIMEOUT": "1",
    }.items():
        monkeypatch.setenv(f"CLOUDMLOPS_VERTEX_{name}", value)

    assert VertexSettings.from_target(settings.target) == settings


def test_a_target_carries_what_variables_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUDMLOPS_VERTEX_DATASET", "theirs")
    settings = made(as_of=datetime(2026, 1, 1, 0, 0, 0, 1, tzinfo=UTC), unlisted_location=True, prefix="a b/ü&=")
    monkeypatch.delenv("CLOUDMLOPS_VERTEX_DATASET")

    assert VertexSettings.from_target(settings.target) == settings
    assert settings.dataset == "theirs"


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("project=evil", "project: it stands before"),
        ("location=us-east1", "location: it stands before"),
        ("bucket=theirs", "bucket: it is given twice"),
        ("colour=red", "colour: there is no such setting"),
        ("_env_file=/tmp/other", "_env_file: there is no such setting"),
        ("topic=events#frag", "#: "),
        ("timeout=nan", "timeout: "),
        ("timeout=inf", "timeout: "),
        ("timeout=0", "timeout: "),
        ("as_of=2026-01-01", "as_of: "),
    ],
)
def test_what_a_query_cannot_mean_is_refused(query: str, told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        read(query)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("project", "X"),
        ("location", "nowhere"),
        ("location", "global"),
        ("bucket", "1.2.3.4"),
        ("bucket", "aaa..bbb"),
        ("bucket", "aaa-.bbb"),
        ("bucket", "google-x"),
        ("bucket", "goog-x"),
        ("bucket", "gs://mine"),
        ("bucket", "a" * 64),
        ("prefix", "../y"),
        ("prefix", "a//b"),
        ("prefix", "/a"),
        ("prefix", "a?b"),
        ("dataset", "has-dash"),
        ("dataset", ""),
        ("online_store", "Has-Dash"),
        ("online_store", "1st"),
        ("machine", ""),
        ("machine", "large"),
        ("image", " "),
        ("serving_image", "http://registry/image tag"),
        ("service_account", "nope"),
        ("push_account", "nope"),
        ("network", "zzz"),
        ("network", "projects/by-id/global/networks/vpc"),
        ("encryption_key", "zz"),
        ("topic", "a/b/c"),
        ("topic", "goog-topic"),
        ("subscription", "x y z"),
    ],
)
def test_a_malformed_name_is_told_with_the_setting(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"\b{name}: "):
        made(**{name: value})


@pytest.mark.parametrize(
    "given",
    [
        {"project": "example.com:my-project"},
        {"project": "1234567"},
        {"bucket": "files.example.com"},
        {"bucket": "a_b-c.d"},
        {"prefix": ""},
        {"prefix": "team/cloudmlops"},
        {"topic": "projects/other/topics/events"},
        {"subscription": "projects/other/subscriptions/mine"},
        {"machine": "ct5lp-hightpu-4t"},
        {"image": "europe-west4-docker.pkg.dev/p/steps/image@sha256:00ff"},
    ],
)
def test_what_google_allows_is_taken(given: dict[str, str]) -> None:
    assert made(**given).model_dump(include=set(given)) == given


def test_all_faults_are_told_at_once_those_of_two_settings_too() -> None:
    key = "projects/p/locations/us-east1/keyRings/r/cryptoKeys/k"
    query = f"transport=x&endpoints=private&push_audience=a&encryption_key={key}&prefix=//&frob=1&bucket=mine"
    with pytest.raises(ConfigurationError) as caught:
        VertexSettings.from_target(f"vertex://X/europe-west99?bucket=Z&{query}")

    for name in ("project", "unlisted_location", "bucket", "transport", "prefix", "network", "push_account", "frob"):
        assert f"{name}: " in caught.value.message
    assert "encryption_key: the key is not in europe-west99" in caught.value.message


def test_the_constructor_tells_faults_as_a_target_does() -> None:
    with pytest.raises(ConfigurationError, match="bucket: Field required") as caught:
        VertexSettings(project="X", location="europe-west4", topic=f"https://u:{SECRET}@x")
    assert "project: 'X'" in caught.value.message
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("location", ["mars-north1", "europe-west99"])
def test_a_location_that_is_not_known_is_refused_with_the_ways_out(location: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"unlisted_location: .*{location}.*; true takes it"):
        VertexSettings.from_target(f"vertex://my-project/{location}?bucket=mine")


def test_a_location_that_google_opens_later_is_taken_on_demand() -> None:
    found = VertexSettings.from_target("vertex://my-project/mars-north1?bucket=mine&unlisted_location=true")
    assert found.location == "mars-north1"


def test_what_was_mistyped_is_guessed() -> None:
    with pytest.raises(ConfigurationError, match="perhaps europe-west4"):
        made(location="eurpe-west4")


def test_every_location_of_the_sdk_is_known() -> None:
    assert SUPPORTED_REGIONS - {"global"} <= LOCATIONS


@pytest.mark.parametrize(
    ("bucket", "parts", "inside"),
    [
        ("EUROPE-WEST4", (), True),
        ("EU", (), True),
        ("EUR4", (), True),
        ("EU", ("EUROPE-NORTH1", "EUROPE-WEST4"), True),
        ("EUROPE-WEST1", (), False),
        ("US", (), False),
        ("ASIA1", (), False),
    ],
)
def test_a_bucket_is_in_a_region_or_around_it(bucket: str, parts: tuple[str, ...], inside: bool) -> None:
    assert lies_in(bucket, parts, "europe-west4") is inside
