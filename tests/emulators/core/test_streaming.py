from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import httpx
import pytest

from cloudmlops.emulators.core.emulator import Emulator
from cloudmlops.emulators.core.service import Service, Surroundings
from cloudmlops.emulators.core.streaming import StreamedAnswer, StreamedRequest, pieces_of, streaming_app

LARGE = bytes(range(256)) * 20_000


class Echo:
    """A cloud whose one service sends back what it is sent."""

    def services(self, surroundings: Surroundings) -> Sequence[Service]:
        self.requests = surroundings.state.folder / "echo" / "requests"
        http = streaming_app(
            surroundings,
            "echo",
            respond=lambda asked, drop: self.respond(asked),
            failed=lambda refused: StreamedAnswer(status=500, body=refused.message.encode()),
        )
        return [Service(name="echo", hosts=("echo.example",), paths=("/",), http=http)]

    def respond(self, asked: StreamedRequest) -> StreamedAnswer:
        if "fail" in asked.query:
            raise ZeroDivisionError("on purpose")
        headers = {"asked": f"{asked.method} {asked.path} {asked.raw_query} {asked.headers.get('named', '')}"}
        if "whole" in asked.query:
            return StreamedAnswer(status=201, body=asked.read(), headers=headers)
        file = io.BytesIO(asked.read())
        file.seek(1)
        return StreamedAnswer(file=file, length=int(asked.query["length"]), headers=headers)

    def environment(self, folder: Path) -> Mapping[str, str | None]:
        return {}

    def reset(self) -> None:
        """Nothing was set."""


@pytest.fixture
def echo() -> Iterator[tuple[Echo, httpx.Client]]:
    cloud = Echo()
    with Emulator([cloud]) as emulator, httpx.Client(base_url=emulator.url, trust_env=False, verify=False) as client:
        yield cloud, client


def test_a_body_goes_in_and_out_however_large_it_is(echo: tuple[Echo, httpx.Client]) -> None:
    cloud, client = echo
    answer = client.put("/a%2Fb", params={"length": len(LARGE) - 1}, content=LARGE, headers={"Named": "x"})
    assert answer.status_code == 200
    assert answer.content == LARGE[1:]
    assert answer.headers["asked"] == f"PUT /a%2Fb length={len(LARGE) - 1} x"
    assert list(cloud.requests.iterdir()) == []


def test_a_part_of_a_file_is_sent_from_where_it_stands(echo: tuple[Echo, httpx.Client]) -> None:
    _, client = echo
    answer = client.put("/a", params={"length": 3}, content=b"0123456")
    assert (answer.content, answer.headers["content-length"]) == (b"123", "3")


def test_what_is_small_is_sent_whole(echo: tuple[Echo, httpx.Client]) -> None:
    _, client = echo
    answer = client.post("/a", params={"whole": ""}, content=b"")
    assert (answer.status_code, answer.content) == (201, b"")


def test_a_mistake_of_ours_is_told_in_the_services_form(
    echo: tuple[Echo, httpx.Client], caplog: pytest.LogCaptureFixture
) -> None:
    _, client = echo
    answer = client.get("/a", params={"fail": ""})
    assert (answer.status_code, answer.text) == (500, "the emulator itself failed: ZeroDivisionError: on purpose")
    assert "echo: GET /a failed" in caplog.text


def test_pieces_end_with_the_count_or_with_the_file() -> None:
    assert b"".join(pieces_of(io.BytesIO(b"0123"), 2)) == b"01"
    assert b"".join(pieces_of(io.BytesIO(b"0123"), 9)) == b"0123"
    assert b"".join(pieces_of(io.BytesIO(LARGE))) == LARGE
    assert list(pieces_of(io.BytesIO(b"0123"), 0)) == []
