from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any

import httpx
import pytest

from cloudmlops.emulators.core.emulator import Emulator
from cloudmlops.emulators.google.cloud import GoogleCloud

_numbers = count(1)


@dataclass
class Google:
    """The session's emulator with a project of the test's own, and a client that speaks to any host of Google's."""

    emulator: Emulator
    cloud: GoogleCloud
    project: str
    http: httpx.Client

    def ask(self, verb: str, url: str, sent: object = None, *, token: str | None = None) -> httpx.Response:
        host, _, path = url.removeprefix("https://").partition("/")
        headers = {"host": host, **({"authorization": f"Bearer {token}"} if token else {})}
        return self.http.request(verb, f"/{path}", json=sent, headers=headers)

    def wait_until(self, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 20
        while not holds():
            assert time.monotonic() < deadline, "it did not come to be"
            threading.Event().wait(0.005)

    def token(self, principal: str) -> str:
        return self.cloud.tokens.issue(principal, ["https://www.googleapis.com/auth/cloud-platform"])


@pytest.fixture
def google(vertex_emulator: Emulator) -> Iterator[Google]:
    with httpx.Client(base_url=vertex_emulator.url, trust_env=False, timeout=20, verify=False) as http:
        yield Google(vertex_emulator, vertex_emulator.cloud(GoogleCloud), f"project-{next(_numbers)}", http)


@dataclass
class Target:
    """Takes what is pushed, and answers what it is told to."""

    url: str = ""
    answers: list[int] = field(default_factory=list)
    """Statuses to answer one after the other; then 204."""
    taken: list[tuple[Mapping[str, str], Any]] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def wait(self, number: int) -> list[tuple[Mapping[str, str], Any]]:
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.taken) >= number, 20), f"{len(self.taken)} of {number}"
        return self.taken


@pytest.fixture
def target() -> Iterator[Target]:
    made = Target()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            with made.changed:
                status = made.answers.pop(0) if made.answers else 204
                made.taken.append(({key.lower(): value for key, value in self.headers.items()}, json.loads(body)))
                self.send_response(status)
                self.send_header("content-length", "0")
                self.end_headers()
                made.changed.notify_all()

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.url = f"http://127.0.0.1:{server.server_port}/events"
    serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    serving.start()
    yield made
    server.shutdown()
    serving.join()
    server.server_close()
