"""Who asks Redis: tokens of Entra over TLS, renewed before they end, and told to nobody else."""

from __future__ import annotations

import pickle
import shutil
import socket
import subprocess
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme
from redis import Redis as Client
from redis.exceptions import ConnectionError as RedisConnectionError

from cloudmlops import FeatureView
from cloudmlops.emulators.azure.cloud import AzureCloud
from cloudmlops.emulators.azure.redis.service import Redis
from cloudmlops.emulators.core.emulator import Emulator
from cloudmlops.emulators.core.faults import Fault, Refused
from cloudmlops.errors import AuthenticationError, PermissionDeniedError, QuotaExceededError, ServiceError
from cloudmlops.providers.azureml.backends import AzureMLBackends
from cloudmlops.providers.azureml.credentials import caller
from cloudmlops.providers.azureml.feature_store.online import OnlineStore
from cloudmlops.providers.azureml.feature_store.redis_tokens import SCOPE
from cloudmlops.providers.azureml.mapping.access import WRITING_REDIS, Where

from .conftest import Opened
from .online_gate import Gate
from .online_rows import HOUR, START, row, view_of, written

COMMANDS = WRITING_REDIS
"""All that is needed beside AUTH, as docs/azureml.md lists it."""


@pytest.fixture
def view() -> FeatureView:
    return view_of({"number": int})


@pytest.fixture
def gate(cloud: AzureCloud, redis: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    owner = cloud.tokens.directory.by_name("owner").object_id
    opened = Gate(cloud.tokens, redis.url, tmp_path, user=owner)
    monkeypatch.setenv("SSL_CERT_FILE", str(opened.bundle))
    yield opened
    opened.close()


Stores = Callable[..., OnlineStore]


@pytest.fixture
def stores(opened: Opened) -> Iterator[Stores]:
    kept: list[OnlineStore] = []

    def store(url: str, who: str = "owner") -> OnlineStore:
        kept.append(OnlineStore(opened(who, redis_url=url).wire))
        return kept[-1]

    yield store
    for one in kept:
        one.close()


def test_rows_are_written_and_read_over_tls_with_a_token(gate: Gate, stores: Stores, view: FeatureView) -> None:
    store = stores(gate.url)
    written(store, view, ("a", row(START, 1)))

    assert store.reader(view)(["a"]) == [[row(START, 1)]]
    assert len(gate.tokens()) == 1


def test_a_token_is_renewed_before_it_ends_on_the_connection_that_is_there(
    gate: Gate, stores: Stores, view: FeatureView, cloud: AzureCloud
) -> None:
    cloud.tokens.lifetime_seconds = 3
    store = stores(gate.url)
    written(store, view, ("a", row(START, 1)))
    reader = store.reader(view)
    while not any(len(caller.tokens) > 2 for caller in gate.callers):
        assert reader(["a"]) == [[row(START, 1)]]
        with gate.changed:
            gate.changed.wait(0.05)


def test_a_connection_that_ended_with_its_token_has_a_successor(
    gate: Gate, stores: Stores, view: FeatureView, cloud: AzureCloud
) -> None:
    cloud.tokens.lifetime_seconds = 2
    store = stores(gate.url)
    written(store, view, ("a", row(START, 1)))
    with gate.changed:
        assert gate.changed.wait_for(lambda: gate.callers[0].ended, timeout=60)

    assert store.reader(view)(["a"]) == [[row(START, 1)]]
    assert len(gate.callers) >= 2


def test_a_token_that_the_service_finds_too_old_is_renewed_once(
    gate: Gate, stores: Stores, view: FeatureView, cloud: AzureCloud
) -> None:
    store = stores(gate.url)
    written(store, view, ("a", row(START, 1)))
    cloud.tokens.expire()
    gate.callers[0].cut()

    assert store.reader(view)(["a"]) == [[row(START, 1)]]
    assert len(gate.tokens()) == 2


def test_who_has_no_access_policy_is_told_so_and_the_token_is_not(
    gate: Gate, stores: Stores, view: FeatureView, as_somebody: Callable[[str], None]
) -> None:
    store = stores(gate.url, "worker")
    as_somebody("worker")

    with pytest.raises(AuthenticationError, match="access policy") as caught:
        store.reader(view)(["a"])

    told = "".join(traceback.format_exception(caught.value)) + repr(pickle.dumps(caught.value)) + repr(vars(store))
    assert "eyJ" not in told, "a token of Entra begins so"
    assert caught.value.retryable is False


def test_entra_that_gives_no_token_is_our_error(
    gate: Gate, stores: Stores, view: FeatureView, azureml_emulator: Emulator
) -> None:
    store = stores(gate.url)
    refused = Refused("UNAUTHENTICATED", "AADSTS7000215: Invalid client secret provided.", reason="invalid_client")
    azureml_emulator.faults.set(Fault(matching="entra/token", times=None, refused=refused))

    with pytest.raises(AuthenticationError, match="DefaultAzureCredential") as caught:
        store.reader(view)(["a"])
    assert caught.value.operation == "features.online"
    assert gate.callers == []


def test_a_certificate_of_somebody_unknown_or_of_another_name_is_not_trusted(
    cloud: AzureCloud, redis: Redis, stores: Stores, view: FeatureView, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Gate(cloud.tokens, redis.url, tmp_path, user="anybody", name="elsewhere.example")
    for trusted in (other.bundle, None):
        if trusted is not None:
            monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
        else:
            monkeypatch.undo()
        with pytest.raises(ServiceError, match="certificate") as caught:
            stores(other.url).reader(view)(["a"])
        assert not caught.value.retryable
    assert other.callers == []
    other.close()


class Server:
    """The system's redis-server with TLS alone, and users with rights."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, bundle: Path) -> None:
        self.process = process
        self.url = f"rediss://localhost:{port}"
        self.bundle = bundle
        self.admin = Client(host="localhost", port=port, ssl=True, ssl_ca_certs=str(bundle), protocol=2)

    def let(self, user: str, token: str, *commands: str) -> None:
        rights = [f"+{command}" for command in commands]
        self.admin.execute_command("ACL", "SETUSER", user, "reset", "on", f">{token}", "~cloudmlops:*", *rights)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("the system has no redis-server: TLS and users of its own are not tested")
    authority = trustme.CA()
    bundle, cert, key = (tmp_path / name for name in ("authority.pem", "cert.pem", "key.pem"))
    authority.cert_pem.write_to_path(str(bundle))
    issued = authority.issue_cert("localhost")
    issued.cert_chain_pems[0].write_to_path(str(cert))
    issued.private_key_pem.write_to_path(str(key))
    port = _free_port()
    options = {
        "port": "0",
        "tls-port": str(port),
        "tls-cert-file": str(cert),
        "tls-key-file": str(key),
        "tls-ca-cert-file": str(bundle),
        "tls-auth-clients": "no",
        "bind": "127.0.0.1",
        "save": "",
    }
    with subprocess.Popen(
        [program, *(word for name, value in options.items() for word in (f"--{name}", value))],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
    ) as process:
        started = Server(process, port, bundle)
        while not _answers(started):
            assert process.poll() is None, "redis-server has ended"
        monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
        yield started
        started.admin.close()
        process.kill()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
    return port


def _answers(server: Server) -> bool:
    try:
        return bool(server.admin.ping())
    except RedisConnectionError:
        return False


@pytest.fixture
def token(opened: Opened, server: Server) -> tuple[OnlineStore, str, str]:
    """A store at the server, and whose token it uses."""
    wire = opened(redis_url=server.url).wire
    return OnlineStore(wire), caller(wire.credential.get_token(SCOPE).token).id, wire.credential.get_token(SCOPE).token


def test_a_user_of_redis_needs_only_the_commands_that_are_documented(
    token: tuple[OnlineStore, str, str], server: Server
) -> None:
    store, user, password = token
    server.let(user, password, *COMMANDS)
    for nulls in ("row", "last_value"):
        view = view_of({"number": int, "text": str}, nulls=nulls, ttl=HOUR)
        written(store, view, ("a", row(START, 1, None)), ("a", row(START - HOUR, 0, "x")))
        written(store, view, ("a", row(START + HOUR, 2, "y")))
        assert store.reader(view)(["a"]) == [[row(START + HOUR, 2, "y")]]
        written(store, view, ("b", row(START, 1, "z")), instead=True)
        assert store.reader(view)(["a", "b"]) == [(), [row(START, 1, "z")]]
    store.close()


def test_the_commands_are_those_of_the_documentation() -> None:
    page = (Path(__file__).parents[2] / "docs" / "azureml.md").read_text()

    assert " ".join(f"+{command}" for command in COMMANDS) in page


def test_a_user_without_rights_is_told_and_nothing_is_changed(
    token: tuple[OnlineStore, str, str], server: Server, view: FeatureView
) -> None:
    store, user, password = token
    server.let(user, password, *COMMANDS)
    written(store, view, ("a", row(START, 1)))
    server.let(user, password, *(command for command in COMMANDS if command not in ("hdel", "incrby")))

    for instead in (False, True):
        with pytest.raises(PermissionDeniedError, match="data access policy") as caught:
            written(store, view, ("a", row(START + HOUR, 2)), instead=instead)
        assert not caught.value.retryable
    assert store.reader(view)(["a"])[0][0].values in ((1,), (2,)), "one row, the former or the new one"
    store.close()


def asked(platform: AzureMLBackends, *verbs: str) -> dict[str, tuple[str, str]]:
    """Return what is told to be missing of Redis, on what, and why that is not known."""
    access = platform.access
    wanted = {one for verb in verbs for one in access.permissions[verb] if one.scope == Where.REDIS}
    return {one.name: (lack.resource, lack.unknown) for one, lack in access.lacking(wanted).items()}


def test_what_redis_lets_the_caller_do_is_asked_of_redis_and_changes_nothing(opened: Opened, server: Server) -> None:
    platform = opened(redis_url=server.url)
    password = platform.wire.credential.get_token(SCOPE).token
    user = caller(password).id
    reads, writes = ("features.online", "features.reader"), ("features.materialize", "features.push")
    server.let(user, password, *COMMANDS, "multi", "discard")
    assert asked(platform, *reads, *writes) == {}

    server.let(user, password, "hvals", "get", "eval", "multi", "discard")
    assert asked(platform, *reads) == {}
    missing = asked(platform, *writes)
    assert set(missing) == {f"+{one}" for one in COMMANDS} - {"+hvals", "+get", "+eval"}
    assert set(missing.values()) == {("localhost", "")}
    assert server.admin.keys("*") == []
    assert asked(platform, "features.apply") == {}


def test_what_redis_does_not_say_is_told_as_not_known(opened: Opened, server: Server) -> None:
    platform = opened(redis_url=server.url)
    password = platform.wire.credential.get_token(SCOPE).token
    user = caller(password).id
    server.let(user, password, *COMMANDS)
    told = asked(platform, "features.online")
    assert set(told) == {"+get", "+hvals"}
    assert all("multi" in unknown for _, unknown in told.values())

    server.let(user, "another token", *COMMANDS)
    assert asked(platform, "features.online") == dict.fromkeys(("+get", "+hvals"), ("localhost", ""))


def test_a_full_redis_keeps_what_it_has(token: tuple[OnlineStore, str, str], server: Server, view: FeatureView) -> None:
    store, user, password = token
    server.let(user, password, *COMMANDS)
    written(store, view, ("a", row(START, 1)))
    server.admin.config_set("maxmemory", "1")

    with pytest.raises(QuotaExceededError, match="memory"):
        written(store, view, ("a", row(START + HOUR, 2)), ("b", row(START, 2)))
    assert store.reader(view)(["a", "b"]) == [[row(START, 1)], ()]
    server.admin.config_set("maxmemory", "0")
    written(store, view, ("a", row(START + HOUR, 2)))
    assert store.reader(view)(["a"]) == [[row(START + HOUR, 2)]]
    store.close()
