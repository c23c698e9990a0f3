from __future__ import annotations

import gc
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import grpc
import httpx
import psutil
import pytest

from cloudmlops.emulators.core.emulator import Emulator
from cloudmlops.emulators.core.faults import Fault

PUT, GET = "/toy.v1.Notes/Put", "/toy.v1.Notes/Get"
RPC_CHILD = """
import sys, grpc
from google.protobuf.wrappers_pb2 import StringValue as S
channel = grpc.secure_channel("toy.example:443", grpc.ssl_channel_credentials())
call = channel.unary_unary(sys.argv[1], request_serializer=S.SerializeToString, response_deserializer=S.FromString)
try:
    print(call(S(value="a"), timeout=20).value)
except grpc.RpcError as error:
    print(error.code().name, error.details())
"""


def child(running: Any, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, env=running.emulator.environment(), capture_output=True, text=True, timeout=60, check=False
    )


def python(running: Any, program: str, *arguments: str) -> str:
    done = child(running, sys.executable, "-W", "error", "-c", program, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@contextmanager
def connected(running: Any) -> Iterator[socket.socket]:
    host, _, port = running.emulator.address.partition(":")
    with closing(socket.create_connection((host, int(port)), timeout=20)) as opened:
        yield opened


def test_grpc_and_http_answer_on_one_port(running: Any) -> None:
    assert running.rpc(PUT, "/toy/a") == "/toy/a"
    assert running.http.get("/toy/a").content == b"rpc"


def test_what_is_refused_over_grpc_carries_its_reason_and_when_to_ask_again(running: Any) -> None:
    from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
    from google.rpc.status_pb2 import Status

    with pytest.raises(grpc.RpcError) as raised:
        running.rpc(GET, "nothing")

    assert raised.value.code() is grpc.StatusCode.NOT_FOUND
    status = Status.FromString(dict(raised.value.trailing_metadata())["grpc-status-details-bin"])
    info, retry = ErrorInfo(), RetryInfo()
    assert status.details[0].Unpack(info)
    assert status.details[1].Unpack(retry)
    assert (info.reason, info.domain, retry.retry_delay.ToMilliseconds()) == ("noNote", "toy.example", 1500)


def test_a_method_that_is_not_emulated_is_unimplemented(running: Any) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        running.rpc("/toy.v1.Notes/Burn", "a")

    assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_a_path_that_is_not_emulated_names_itself(running: Any) -> None:
    answer = running.http.get("/nowhere/1")

    assert answer.status_code == 501
    assert "/nowhere/1 is not emulated" in answer.json()["error"]["message"]


def test_the_longest_path_wins_and_a_host_goes_before_paths(running: Any) -> None:
    assert running.http.get("/toy/x/other").text == "/toy/x/other"
    assert running.http.get("/toy/x/y").status_code == 404
    assert running.http.get("/toy/x/last").text == "/toy/x/last"
    assert running.http.get("/toy/x/last/y").status_code == 404
    assert running.http.get("/toy/x/y", headers={"host": "other.example"}).text == "/toy/x/y"
    assert running.http.put("/anything", headers={"host": "eu-toy.example"}).json() == {"kept": 0}


def test_requests_reaches_an_emulated_host_over_tls_and_no_other(running: Any) -> None:
    said = python(
        running,
        "import requests\n"
        "s = requests.Session()\n"
        "print(s.put('https://toy.example/a', data=b'12').json(), s.get('https://eu-toy.example/a').text)\n"
        "try: s.get('https://elsewhere.example/')\n"
        "except requests.exceptions.ProxyError as error: print('refused')\n"
        "print(s.get('http://plain.example/toy/a').status_code)",
    )

    assert said.split("\n") == ["{'kept': 2} 12", "refused", "403"]
    assert running.emulator.refused == {"elsewhere.example": 1, "plain.example": 1}


def test_httpx_reaches_an_emulated_host_over_tls(running: Any) -> None:
    program = "import httpx; print(httpx.put('https://toy.example/a', content=b'123').json())"

    assert python(running, program) == "{'kept': 3}"


def test_curl_reaches_an_emulated_host_over_tls_and_no_other(running: Any) -> None:
    done = child(running, "curl", "-sS", "-X", "PUT", "-d", "1234", "https://toy.example/a")
    refused = child(running, "curl", "-sS", "https://elsewhere.example/")

    assert done.stdout == '{"kept": 4}', done.stderr
    assert refused.returncode != 0
    assert running.emulator.refused == {"elsewhere.example": 1}


def test_a_grpc_child_reaches_an_emulated_host_over_tls(running: Any) -> None:
    assert python(running, RPC_CHILD, PUT) == "a"


def test_a_dropped_call_is_cut_through_the_redirect_too(running: Any) -> None:
    running.emulator.faults.set(Fault(matching="toy/*ut", drop=True, times=None))

    said = python(
        running,
        "import requests\n"
        "try: requests.put('https://toy.example/a', data=b'1')\n"
        "except requests.exceptions.ConnectionError as error: print('cut')",
    )

    assert said == "cut"
    over_grpc = python(running, RPC_CHILD, PUT)
    assert over_grpc.startswith("UNAVAILABLE")
    assert "the connection is cut" not in over_grpc
    assert running.cloud.notes.table.items() == []


def test_what_a_child_serves_to_itself_is_not_redirected(running: Any) -> None:
    program = (
        "import http.server, threading, urllib.request\n"
        "class H(http.server.BaseHTTPRequestHandler):\n"
        "    def do_GET(s): s.send_response(204); s.end_headers()\n"
        "    def log_message(s, *a): pass\n"
        "server = http.server.HTTPServer(('127.0.0.1', 0), H)\n"
        "threading.Thread(target=server.handle_request).start()\n"
        "print(urllib.request.urlopen(f'http://127.0.0.1:{server.server_port}/toy').status)\n"
        "server.server_close()"
    )

    assert python(running, program) == "204"


def test_a_certificate_is_for_its_host_alone(running: Any) -> None:
    environment = running.emulator.environment()
    context = ssl.create_default_context(cafile=environment["SSL_CERT_FILE"])
    with connected(running) as plain:
        plain.sendall(b"CONNECT toy.example:443 HTTP/1.1\r\nHost: toy.example:443\r\n\r\n")
        assert plain.recv(4096).startswith(b"HTTP/1.1 200")

        with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
            context.wrap_socket(plain, server_hostname="other.example")


@pytest.mark.parametrize(
    "sent",
    [
        b"GET",
        b"CONNECT ",
        b"CONNECT toy.example:443 HTTP/1.1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\n",
        b"PUT /toy/a HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n12",
        b"\x16\x03\x01\x02\x00",
    ],
    ids=["half a verb", "half a connect", "no hello", "half a preface", "half a body", "tls without connect"],
)
def test_a_client_that_vanishes_harms_nobody(running: Any, sent: bytes) -> None:
    with connected(running) as vanishing:
        vanishing.sendall(sent)

    assert running.http.get("/toy/a").status_code == 404
    assert running.rpc(PUT, "b") == "b"


def test_a_client_that_vanishes_before_its_answer_harms_nobody(running: Any) -> None:
    entered, left = threading.Event(), threading.Event()

    def wait() -> None:
        entered.set()
        left.wait(20)

    running.emulator.faults.set(Fault(matching="toy/notes.get", before=wait))
    with connected(running) as vanishing:
        vanishing.sendall(b"GET /toy/a HTTP/1.1\r\nhost: localhost\r\n\r\n")
        assert entered.wait(20)
    left.set()

    assert running.http.get("/toy/a").status_code == 404


def test_a_malformed_connect_is_refused_and_counted(running: Any) -> None:
    with connected(running) as client:
        client.sendall(b"CONNECT nonsense HTTP/1.1\r\n\r\n")

        assert client.recv(4096).startswith(b"HTTP/1.1 403")

    assert running.emulator.refused == {"CONNECT nonsense HTTP/1.1": 1}


def test_large_bodies_go_both_ways_whole(running: Any) -> None:
    large = bytes(range(256)) * 40_000

    assert running.http.put("/toy/large", content=large).json() == {"kept": len(large)}
    assert running.http.get("/toy/large").content == large


def test_many_clients_at_once_are_all_answered(running: Any) -> None:
    answers: list[int] = []

    def ask() -> None:
        with httpx.Client(base_url=running.emulator.url, trust_env=False, timeout=60, verify=False) as client:
            answers.extend(client.put(f"/toy/{n}", content=b"x").status_code for n in range(10))

    threads = [threading.Thread(target=ask) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert answers == [200] * 200


def test_it_listens_on_loopback_alone(running: Any) -> None:
    own = _listening()
    ports = {int(running.emulator.address.rpartition(":")[2]), *_ports_of(running)}

    assert ports <= own.keys()
    assert {own[port] for port in ports} == {"127.0.0.1"}


def _ports_of(running: Any) -> set[int]:
    front = running.emulator._front
    return {front.rpc_port, front.http_port}


def _listening() -> dict[int, str]:
    connections = psutil.Process().net_connections("tcp")
    # gRPC's socket shows its address in IPv6's way of writing one of IPv4.
    return {
        one.laddr.port: one.laddr.ip.removeprefix("::ffff:") for one in connections if one.status == psutil.CONN_LISTEN
    }


@pytest.mark.conformance(ci=True)
@pytest.mark.parametrize("sent", [b"", b"GET /-/emu", b"CONNECT toy.example:443 HTTP/1.1\r\n\r\n"])
def test_connections_that_come_as_an_emulator_ends_are_ended_with_it(
    sent: bytes, toys: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    forgotten: list[str] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda told: forgotten.append(str(told.exc_value)))

    for _ in range(20):
        with Emulator([toys.Toy()]) as emulator:
            host, _, port = emulator.address.partition(":")
            clients = [socket.create_connection((host, int(port)), timeout=20) for _ in range(3)]
            for client in clients:
                client.sendall(sent)
        for client in clients:
            with client, suppress(ConnectionResetError):
                while client.recv(4096):
                    pass
    gc.collect()

    assert forgotten == []


def test_what_is_written_is_sent_at_once_not_when_the_client_has_acknowledged_what_came_before(running: Any) -> None:
    with connected(running) as client:
        client.sendall(b"GET /toy/a HTTP/1.1\r\nhost: localhost\r\n\r\n")
        client.recv(1)
        ends = [one.fd for one in psutil.Process().net_connections("tcp") if one.raddr == client.getsockname()]

        assert [_sends_at_once(end) for end in ends] == [True]


def _sends_at_once(descriptor: int) -> bool:
    with closing(socket.fromfd(descriptor, socket.AF_INET, socket.SOCK_STREAM)) as copy:
        return bool(copy.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))


def test_an_emulator_ends_though_a_client_never_agrees_on_tls(toys: ModuleType) -> None:
    with Emulator([toys.Toy()]) as emulator:
        host, _, port = emulator.address.partition(":")
        client = socket.create_connection((host, int(port)), timeout=20)
        client.sendall(b"CONNECT toy.example:443 HTTP/1.1\r\n\r\n")
        assert client.recv(4096).startswith(b"HTTP/1.1 200")

    with client, suppress(ConnectionResetError):
        assert client.recv(4096) == b""


@pytest.mark.parametrize("asked", [b"toy.example:80", b"\xff\xfe.example:443", b"xn--\xff:443", b"nonsense"])
def test_what_cannot_be_reached_over_tls_is_refused_and_listed(running: Any, asked: bytes) -> None:
    with connected(running) as client:
        client.sendall(b"CONNECT " + asked + b" HTTP/1.1\r\n\r\n")

        assert client.recv(4096).startswith(b"HTTP/1.1 403 ")

    assert list(running.emulator.refused) == [f"CONNECT {asked.decode('latin-1')} HTTP/1.1"]


EXHAUSTED = """
import os, resource, socket, sys
sys.path.insert(0, sys.argv[1])
import toy
from cloudmlops.emulators.core.emulator import Emulator

with Emulator([toy.Toy()]) as emulator:
    host, _, port = emulator.address.partition(":")
    most = len(os.listdir("/proc/self/fd")) + 20
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    clients = [socket.socket() for _ in range(16)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    for client in clients:
        client.connect((host, int(port)))
        client.sendall(b"GET ")
    for client in clients:
        client.close()
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    import httpx
    print(httpx.get(emulator.url + "/-/emulator/status", trust_env=False, timeout=20).status_code)
"""


def test_connections_are_accepted_again_when_files_can_be_opened_again() -> None:
    done = subprocess.run(
        [sys.executable, "-c", EXHAUSTED, str(Path(__file__).parent)],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )

    assert done.stdout.strip() == "200", done.stderr  # that files ran out may be told there, by whoever met it
