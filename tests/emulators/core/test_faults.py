from __future__ import annotations

from dataclasses import replace
from typing import Any

import grpc
import httpx
import pytest

from cloudmlops.emulators.core.faults import Fault, Faults, Refused

PUT, GET = "/toy.v1.Notes/Put", "/toy.v1.Notes/Get"
UNAVAILABLE = Refused("UNAVAILABLE", "try later")


@pytest.mark.parametrize(
    ("first", "times", "wrong"),
    [(1, 1, [1]), (2, 1, [2]), (2, 2, [2, 3]), (3, None, [3, 4, 5])],
    ids=["the first", "the second", "two from the second", "all from the third"],
)
def test_the_calls_that_were_asked_for_go_wrong_and_no_others(first: int, times: int | None, wrong: list[int]) -> None:
    faults = Faults()
    faults.set(Fault(matching="toy/*.put", first=first, times=times, refused=UNAVAILABLE))

    gone_wrong = [n for n in range(1, 6) if faults.due("toy/notes.put") or faults.due("toy/notes.get")]

    assert gone_wrong == wrong


def test_cleared_faults_are_gone() -> None:
    faults = Faults()
    faults.set(Fault(matching="*", times=None, drop=True))

    faults.clear()

    assert faults.due("toy/notes.put") == []


def test_a_status_is_answered_over_http_and_nothing_is_done(running: Any) -> None:
    running.emulator.faults.set(Fault(matching="toy/notes.put", refused=UNAVAILABLE))

    refused = running.http.put("/toy/a", content=b"1")

    assert (refused.status_code, refused.json()["code"]) == (503, "UNAVAILABLE")
    assert running.http.get("/toy/a").status_code == 404
    assert running.http.put("/toy/a", content=b"1").status_code == 200


def test_a_status_is_answered_over_grpc_with_its_details(running: Any) -> None:
    running.emulator.faults.set(Fault(matching="toy/Notes.Put", refused=Refused("RESOURCE_EXHAUSTED", "too much")))

    with pytest.raises(grpc.RpcError) as raised:
        running.rpc(PUT, "a")

    assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert raised.value.details() == "too much"
    assert running.cloud.notes.table.get("a") is None


def test_a_delay_makes_an_impatient_client_give_up(running: Any) -> None:
    running.emulator.faults.set(Fault(matching="toy/notes.get", delay_seconds=30))

    with pytest.raises(httpx.ReadTimeout):
        running.http.get("/toy/a", timeout=0.2)


def test_a_concurrent_writer_comes_before_the_call(running: Any) -> None:
    running.http.put("/toy/a", content=b"old")
    running.emulator.faults.set(
        Fault(matching="toy/notes.get", before=lambda: running.cloud.notes.table.put("/toy/a", b"meanwhile"))
    )

    assert running.http.get("/toy/a").content == b"meanwhile"


def test_a_dropped_connection_is_cut_over_http_and_nothing_is_done(running: Any) -> None:
    running.emulator.faults.set(Fault(matching="toy/notes.put", drop=True))

    with pytest.raises(httpx.RemoteProtocolError, match="disconnected"):
        running.http.put("/toy/a", content=b"1")

    assert running.cloud.notes.table.get("/toy/a") is None
    assert running.emulator.calls.list("notes.put")[0].status == "DROPPED"
    assert running.http.put("/toy/a", content=b"1").status_code == 200


def test_a_dropped_connection_is_cut_over_grpc_and_nothing_is_done(running: Any) -> None:
    running.rpc(PUT, "before")
    running.emulator.faults.set(Fault(matching="toy/Notes.Put", drop=True))

    with pytest.raises(grpc.RpcError) as raised:
        running.rpc(PUT, "a")

    assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
    assert "the connection is cut" not in raised.value.details(), "an answer overtook the cut"
    assert running.cloud.notes.table.get("a") is None
    with grpc.insecure_channel(running.emulator.address, [("grpc.enable_http_proxy", 0)]) as another:
        # The first one may still take the connection that was cut for good.
        assert replace(running, channel=another).rpc(PUT, "a") == "a"


def test_a_lost_response_is_done_and_then_cut_over_http(running: Any) -> None:
    running.emulator.faults.set(Fault(matching="toy/notes.put", lose_response=True))

    with pytest.raises(httpx.RemoteProtocolError):
        running.http.put("/toy/a", content=b"1")

    assert running.http.get("/toy/a").content == b"1"


def test_a_lost_response_is_done_and_then_cut_over_grpc(running: Any) -> None:
    running.emulator.faults.set(Fault(matching="toy/Notes.Put", lose_response=True))

    with pytest.raises(grpc.RpcError) as raised:
        running.rpc(PUT, "a")

    assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
    assert running.cloud.notes.table.get("a") == b"rpc"


def test_other_connections_live_on_when_one_is_cut(running: Any) -> None:
    running.emulator.faults.set(Fault(matching="toy/notes.put", drop=True))
    with httpx.Client(base_url=running.emulator.url, trust_env=False, verify=False) as other:
        running.http.get("/toy/a")
        with pytest.raises(httpx.RemoteProtocolError):
            other.put("/toy/b", content=b"1")

        assert running.http.get("/toy/a").status_code == 404
        assert running.rpc(PUT, "still") == "still"


def test_a_mistake_of_the_emulator_is_an_answer_and_a_log_entry(running: Any, caplog: pytest.LogCaptureFixture) -> None:
    answer = running.http.delete("/toy/a")

    assert answer.status_code == 500
    assert "ZeroDivisionError" in answer.json()["message"]
    assert "ZeroDivisionError" in caplog.text
    assert running.emulator.calls.list("notes.break")[0].status == "INTERNAL"


def test_calls_are_recorded_with_what_became_of_them(running: Any) -> None:
    running.http.put("/toy/a", content=b"1")
    running.http.get("/toy/b")
    running.rpc(PUT, "c")

    calls = running.emulator.calls.list("toy/")

    assert [(call.name, call.transport, call.resource, call.status) for call in calls] == [
        ("toy/notes.put", "rest", "/toy/a", "OK"),
        ("toy/notes.get", "rest", "/toy/b", "NOT_FOUND"),
        ("toy/Notes.Put", "grpc", "c", "OK"),
    ]
    assert calls[2].request in ("c", {"value": "c"})
