"""What the client makes of instances and of an endpoint's answer; a server of the standard library answers."""

from __future__ import annotations

import json
import threading
from base64 import b64encode
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, ClassVar

import pytest

from cloudmlops.domain.endpoints import Scoring
from cloudmlops.errors import (
    AuthenticationError,
    InvalidRequestError,
    PermissionDeniedError,
    UnavailableError,
    UnexpectedReplyError,
)
from cloudmlops.services.scoring import ScoringClient


class Echo(BaseHTTPRequestHandler):
    """Predicts each instance as itself."""

    def do_POST(self) -> None:
        instances = json.loads(self.rfile.read(int(self.headers["content-length"])))["instances"]
        self.answer(200, {"predictions": instances})

    def answer(self, status: int, value: object) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_request(self, *_: object) -> None:
        """Say nothing."""


class Short(Echo):
    """Predicts nothing of what it is asked."""

    def do_POST(self) -> None:
        self.answer(200, {"predictions": []})


class Guarded(Echo):
    """Lets in who knows its key, which is another one after each refusal."""

    key: ClassVar[int] = 1

    def do_POST(self) -> None:
        if self.headers["authorization"] == str(Guarded.key):
            super().do_POST()
            return
        self.rfile.read(int(self.headers["content-length"]))
        self.answer(401, "no")


class Fronted(Echo):
    """A front door that answers with a status of its own, and tells the server's in a header."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        body = json.dumps({"error": {"message": "bad: rows", "faults": []}}).encode()
        self.send_response(424)
        self.send_header("x-own-status", "400")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def client(request: pytest.FixtureRequest) -> Iterator[ScoringClient]:
    with HTTPServer(("127.0.0.1", 0), getattr(request, "param", Echo)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield ScoringClient(lambda endpoint: Scoring(url=f"http://127.0.0.1:{server.server_port}/predict"))
        server.shutdown()
        thread.join()


def test_a_value_that_is_not_a_number_is_sent_as_missing(client: ScoringClient) -> None:
    import numpy as np

    instances: list[Any] = [[float("nan"), 1.5], {"x": np.array([np.nan, 2])}, np.float32("nan")]

    assert client.predict("scaling", instances) == [[None, 1.5], {"x": [None, 2.0]}, None]


class Proxy(BaseHTTPRequestHandler):
    """Notes where it is asked to lead, and leads nowhere."""

    asked: ClassVar[list[tuple[str, str | None]]] = []

    def do_CONNECT(self) -> None:
        self.asked.append((self.path, self.headers["proxy-authorization"]))
        self.send_error(403, "not you")

    def log_request(self, *_: object) -> None:
        """Say nothing."""

    log_error = log_request


def test_an_endpoint_elsewhere_is_asked_by_way_of_the_proxy_that_the_environment_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    client = ScoringClient(lambda _: Scoring(url="https://scoring.example/v1/churn:predict"))
    with HTTPServer(("127.0.0.1", 0), Proxy) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            monkeypatch.setenv("HTTPS_PROXY", f"http://me:s%40crt@127.0.0.1:{server.server_port}")
            with pytest.raises(UnavailableError, match="403"):
                client.predict("churn", [1])
        finally:
            server.shutdown()
            thread.join()

    assert Proxy.asked == [("scoring.example:443", f"Basic {b64encode(b'me:s@crt').decode()}")]


def test_an_infinite_value_is_refused_before_it_is_sent(client: ScoringClient) -> None:
    with pytest.raises(InvalidRequestError, match="-Infinity is no number in JSON"):
        client.predict("scaling", [[float("-inf"), float("nan")]])


def test_a_table_is_sent_row_by_row(client: ScoringClient) -> None:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

    columns = {"distance": [500.0, None], "origin": ["JFK", "SFO"]}
    rows = [{"distance": 500.0, "origin": "JFK"}, {"distance": None, "origin": "SFO"}]

    for table in (pd.DataFrame(columns), pl.DataFrame(columns), pa.table(columns)):
        assert client.predict("scaling", table) == rows


def test_one_instance_without_a_list_is_refused(client: ScoringClient) -> None:
    with pytest.raises(InvalidRequestError, match=r"are one dict, not a list(?s:.*)\[instance\]"):
        client.predict("scaling", {"distance": 500.0})  # type: ignore[arg-type]


@pytest.mark.parametrize("client", [Short], indirect=True)
def test_fewer_predictions_than_instances_are_noticed(client: ScoringClient) -> None:
    with pytest.raises(UnexpectedReplyError, match="0 predictions to 2 instances"):
        client.predict("scaling", [[1], [2]])


@pytest.fixture
def served(request: pytest.FixtureRequest) -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), request.param) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/predict"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("served", [Guarded], indirect=True)
def test_who_is_refused_renews_what_he_shows_and_asks_once_more(served: str) -> None:
    shown = {"authorization": "0"}
    renewed: list[str] = []

    def renew(to: str) -> None:
        renewed.append(to)
        shown["authorization"] = to

    right = ScoringClient(lambda _: Scoring(url=served, headers=shown, renew=lambda: renew("1")))
    assert right.predict("scaling", [1]) == [1]
    assert right.predict("scaling", [2]) == [2]
    assert renewed == ["1"]

    shown["authorization"] = "0"
    wrong = ScoringClient(
        lambda _: Scoring(url=served, headers=shown, renew=lambda: renew("2"), refusal_hint="Ask Ada.")
    )
    with pytest.raises(AuthenticationError, match="Ask Ada"):
        wrong.predict("scaling", [1])
    assert renewed == ["1", "2"]


@pytest.mark.parametrize("served", [Fronted], indirect=True)
def test_the_servers_own_status_counts_where_a_front_door_tells_it(served: str) -> None:
    with pytest.raises(UnavailableError, match="it answered 424"):
        ScoringClient(lambda _: Scoring(url=served)).predict("scaling", [1])
    with pytest.raises(InvalidRequestError, match="refused the input"):
        ScoringClient(lambda _: Scoring(url=served, status_header="x-own-status")).predict("scaling", [1])


@pytest.mark.parametrize("served", [Echo], indirect=True)
def test_who_gets_nothing_to_show_is_told_so_and_not_that_a_connection_broke(served: str) -> None:
    class Denied(Mapping[str, str]):
        def __getitem__(self, name: str) -> str:
            raise PermissionDeniedError("no key for you")

        def __iter__(self) -> Iterator[str]:
            return iter(("authorization",))

        def __len__(self) -> int:
            return 1

    with pytest.raises(PermissionDeniedError, match="no key for you"):
        ScoringClient(lambda _: Scoring(url=served, headers=Denied())).predict("scaling", [1])
