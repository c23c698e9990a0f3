"""Redis beside the emulated Azure: the same for a client whichever of the two answers."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest
from redis import Redis as Client
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, ResponseError

from cloudmlops.emulators.azure import azureml_emulator
from cloudmlops.emulators.azure.cloud import AzureCloud
from cloudmlops.emulators.azure.redis.service import Redis

from .conftest import Started, running

CLI = [sys.executable, "-c", "from cloudmlops.cli import main; main()"]
VARIABLE = "CLOUDMLOPS_AZUREML_REDIS_URL"


def client_of(redis: Redis, **options: Any) -> Client:
    return Client.from_url(redis.url, **options)


@pytest.mark.parametrize("protocol", [2, 3])
def test_clients_of_both_protocols_are_answered(redis: Redis, protocol: int) -> None:
    with client_of(redis, protocol=protocol) as client:
        assert client.ping()
        assert client.hset("h", mapping={b"\0\r\n": b"\xff\r\n$", "": ""}) == 2
        assert client.hgetall("h") == {b"\0\r\n": b"\xff\r\n$", b"": b""}
        assert client.hvals("h") == [b"\xff\r\n$", b""]
        assert client.get("absent") is None


def test_scripts_run_as_one_and_are_known_by_their_digest(redis: Redis) -> None:
    script = "local n = redis.call('INCR', KEYS[1]) return {n, ARGV[1], string.byte(ARGV[1], 1)}"
    with client_of(redis) as client:
        digest = client.script_load(script)
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(lambda _: client.evalsha(digest, 1, "count", b"\xff"), range(40)))
        assert sorted(one[0] for one in found) == list(range(1, 41))
        assert found[0][1:] == [b"\xff", 255]
        client.script_flush()
        with pytest.raises(NoScriptError):
            client.evalsha(digest, 1, "count", b"a")


def test_a_refusal_in_a_pipeline_lets_the_rest_be_answered_on_the_same_connection(redis: Redis) -> None:
    with client_of(redis, single_connection_client=True) as client:
        mine = client.client_id()
        with client.pipeline(transaction=False) as pipeline:
            answers = pipeline.set("text", "a").hvals("text").get("text").execute(raise_on_error=False)

        assert answers[0] is True
        assert isinstance(answers[1], ResponseError)
        assert str(answers[1]).startswith("WRONGTYPE Operation against a key holding the wrong kind of value")
        assert answers[2] == b"a"
        assert client.client_id() == mine


def test_what_is_larger_than_any_buffer_goes_through_whole(redis: Redis) -> None:
    large = os.urandom(3_000_000)
    with client_of(redis) as client:
        client.set("large", large)

        assert client.get("large") == large


def test_an_answer_is_lost_after_what_was_asked_for_is_done(redis: Redis) -> None:
    with client_of(redis, retry=None) as client:
        client.set("count", 1)
        redis.door.lose_answers(1)
        with pytest.raises(RedisConnectionError):
            client.execute_command("INCR", "count")

        assert client.get("count") == b"2"


def test_connections_are_dropped_when_a_test_wants_it(redis: Redis) -> None:
    with client_of(redis, single_connection_client=True) as client:
        client.ping()
        redis.door.drop()
        with pytest.raises(RedisConnectionError):
            list(iter(client.ping, False))


def servers() -> set[int]:
    """Return the processes of redis-server; other tests of this process may have some."""
    children = psutil.Process().children(recursive=True)
    return {child.pid for child in children if child.is_running() and child.name() == "redis-server"}


def test_it_starts_when_somebody_connects_and_ends_with_the_emulator(system: str) -> None:
    others = servers()
    with running() as redis:
        assert servers() == others
        assert not redis.door.used
        assert redis.described.startswith("redis-server ")
        assert system in redis.described
        with client_of(redis) as client:
            client.ping()
        assert len(servers() - others) == 1
        assert redis.door.used
    assert servers() == others


def test_what_it_holds_is_there_after_a_restart_with_the_same_state(system: str, tmp_path: Path) -> None:
    state, ports = tmp_path / ("long" * 40), list[int]()  # longer than the path of a Unix socket may be
    for turn in (1, 2):
        with running(state=state) as redis, client_of(redis) as client:
            assert client.incr("turns") == turn
            ports.append(redis.door.port)
    assert system
    assert ports[0] == ports[1], "what was deployed knows the address of the first one"


def test_another_port_is_taken_where_somebody_else_listens_now(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with running(state=tmp_path) as redis:
        before = redis.door.port
    assert caplog.messages == []
    with socket.create_server(("127.0.0.1", before)), running(state=tmp_path) as redis:
        assert redis.door.port != before
        (told,) = caplog.messages
        assert f"127.0.0.1:{before}" in told
        assert f"at port {redis.door.port} now" in told


def test_without_a_state_folder_nothing_is_kept(redis: Redis, started: Started) -> None:
    with client_of(redis) as client:
        client.set("kept", "here")
    with client_of(started()) as other:
        assert other.get("kept") is None


def test_a_system_without_redis_has_a_substitute_that_says_so(started: Started) -> None:
    redis = started(path="")

    assert "substitute" in redis.described
    assert "no redis-server on the PATH" in redis.described


def test_a_redis_that_does_not_start_tells_whoever_connects_why(started: Started, tmp_path: Path) -> None:
    program = tmp_path / "redis-server"
    program.write_text("#!/bin/sh\necho 'Bad directive or wrong number of arguments'\nexit 1\n")
    program.chmod(0o755)

    with client_of(started(path=str(tmp_path)), protocol=2) as client:
        for _ in range(2):
            with pytest.raises(ResponseError, match="did not start: Bad directive"):
                client.execute_command("PING")


def test_a_system_with_neither_tells_whoever_connects_what_to_install() -> None:
    script = """
import sys
sys.modules["fakeredis"] = None
from redis import Redis
from conftest import running
with running(path="") as redis, Redis.from_url(redis.url, protocol=2) as client:
    try:
        client.execute_command("PING")
    except Exception as error:
        print(error)
"""
    told = subprocess.run(
        [sys.executable, "-c", script], cwd=Path(__file__).parent, capture_output=True, text=True, check=True
    ).stdout
    assert "no redis-server on the PATH, and its substitute needs fakeredis: install either" in told


def test_the_emulated_azure_tells_a_child_where_it_is_and_does_not_start_it() -> None:
    before = servers()
    with azureml_emulator() as emulator:
        redis = emulator.cloud(AzureCloud).redis
        assert emulator.environment()[VARIABLE] == redis.url
        assert emulator.status()["services"]["redis"] == []
        assert not redis.door.used
        assert servers() == before


def test_the_command_line_says_which_redis_a_command_has_used() -> None:
    script = f"import os, redis; print(redis.Redis.from_url(os.environ['{VARIABLE}']).ping())"
    used = subprocess.run(
        [*CLI, "emulate", "azureml", "--", sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert used.stdout == "True\n"
    expected = "redis-server " if shutil.which("redis-server") else "a substitute"
    assert f"Redis was {expected}" in used.stderr
    unused = subprocess.run(
        [*CLI, "emulate", "azureml", "--", sys.executable, "-c", ""], capture_output=True, text=True, check=True
    )
    assert "Redis" not in unused.stderr


def test_a_killed_emulator_takes_its_redis_with_it(system: str) -> None:
    with subprocess.Popen([*CLI, "emulate", "azureml", "--json"], stdout=subprocess.PIPE, text=True) as emulator:
        assert emulator.stdout is not None
        described, _ = json.JSONDecoder().raw_decode(_until_brace(emulator.stdout))
        assert system in described["redis"]
        with Client.from_url(described["environment"][VARIABLE]) as client:
            server = psutil.Process(client.info("server")["process_id"])
        emulator.send_signal(signal.SIGKILL)
        emulator.wait()
        psutil.wait_procs([server])
        assert not server.is_running()


def _until_brace(output: Any) -> str:
    """Read a JSON object that is written over several lines."""
    lines: list[str] = []
    while not lines or lines[-1] != "}\n":
        lines.append(output.readline())
        assert lines[-1], "the emulator has ended"
    return "".join(lines)
