"""Services that are built at their first call, or beside the start."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from google.protobuf.wrappers_pb2 import StringValue

from cloudmlops.emulators.core.deferred import begun, deferred
from cloudmlops.emulators.core.emulator import Emulator
from cloudmlops.emulators.core.service import Service, Surroundings

PATIENCE = 20


@dataclass
class Slow:
    """A toy cloud whose first service is built late, and only when it is let."""

    toy: Any
    how: Callable[..., Service]
    failures: int = 0
    """So many attempts at building it fail."""
    let: threading.Event = field(default_factory=threading.Event)
    events: list[str] = field(default_factory=list)
    answers: Callable[[], bool] = lambda: False

    def services(self, surroundings: Surroundings) -> Sequence[Service]:
        notes, other = self.toy.services(surroundings)

        def build() -> Service:
            self.events.append("build")
            assert self.let.wait(PATIENCE)
            if self.failures:
                self.failures -= 1
                raise LookupError("a package is missing")
            return replace(
                notes,
                resume=lambda: self.events.append(f"resume, {'answering' if self.answers() else 'deaf'}"),
                close=lambda: self.events.append("close"),
            )

        slow = self.how("toy", build, hosts=notes.hosts, paths=notes.paths, methods=("/toy.v1.",))
        return [slow, other]

    def environment(self, folder: Path) -> Mapping[str, str | None]:
        return {}

    def reset(self) -> None:
        return


@pytest.fixture
def slow(toys: Any) -> Callable[..., Slow]:
    def make(how: Callable[..., Service], **fields: Any) -> Slow:
        return Slow(toy=toys.Toy(), how=how, **fields)

    return make


@pytest.fixture
def beside() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as threads:
        yield threads


def put(emulator: Emulator) -> int:
    return httpx.put(f"{emulator.url}/toy/a", content=b"1", trust_env=False, timeout=PATIENCE, verify=False).status_code


def put_by_rpc(emulator: Emulator) -> str:
    with grpc.insecure_channel(emulator.address, [("grpc.enable_http_proxy", 0)]) as channel:
        call = channel.unary_unary(
            "/toy.v1.Notes/Put",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=StringValue.FromString,
        )
        return str(call(StringValue(value="b"), timeout=PATIENCE, wait_for_ready=True).value)


def ended(emulator: Emulator) -> None:
    emulator.__exit__(None, None, None)


def test_a_deferred_service_is_built_at_its_first_call_once_and_closed(slow: Any, beside: ThreadPoolExecutor) -> None:
    cloud = slow(deferred)
    cloud.let.set()
    with Emulator([cloud]) as emulator:
        assert cloud.events == []
        answers = [beside.submit(put, emulator), beside.submit(put, emulator), beside.submit(put_by_rpc, emulator)]

        assert [answer.result(PATIENCE) for answer in answers] == [200, 200, "b"]
        assert cloud.events[0] == "build"
        assert cloud.events.count("build") == 1
    assert cloud.events[-1] == "close"


def test_a_deferred_service_that_nobody_asks_is_never_built(slow: Any) -> None:
    cloud = slow(deferred)
    with Emulator([cloud]) as emulator:
        assert httpx.get(f"{emulator.url}/toy/x/other", trust_env=False, verify=False).status_code == 200

    assert cloud.events == []


def test_while_one_is_built_beside_the_start_the_others_answer_and_its_own_calls_wait(
    slow: Any, beside: ThreadPoolExecutor
) -> None:
    cloud = slow(begun)
    emulator = Emulator([cloud])
    emulator.begin()
    early = [beside.submit(put, emulator), beside.submit(put_by_rpc, emulator)]

    assert httpx.get(f"{emulator.url}/toy/x/other", trust_env=False, verify=False).status_code == 200
    assert cloud.events == ["build"]
    assert not any(call.done() for call in early)
    cloud.let.set()

    assert [call.result(PATIENCE) for call in early] == [200, "b"]
    emulator.ready()
    assert cloud.events.count("build") == 1
    ended(emulator)


def test_ready_waits_until_it_is_built(slow: Any, beside: ThreadPoolExecutor) -> None:
    cloud = slow(begun)
    emulator = Emulator([cloud])
    emulator.begin()
    ready = beside.submit(emulator.ready)

    assert not ready.done()
    cloud.let.set()
    ready.result(PATIENCE)

    assert put(emulator) == 200
    ended(emulator)


def test_what_went_wrong_with_the_building_is_told_to_who_waits_for_it(slow: Any) -> None:
    cloud = slow(begun, failures=2)
    cloud.let.set()

    with pytest.raises(LookupError, match="a package is missing"), Emulator([cloud]):
        pass

    assert cloud.events == ["build", "build"]


def test_a_building_that_failed_is_tried_again_by_the_next_call(slow: Any) -> None:
    cloud = slow(begun, failures=1)
    cloud.let.set()
    with Emulator([cloud]) as emulator:
        assert put(emulator) == 200

    assert cloud.events == ["build", "build", "resume, deaf", "close"]


@pytest.mark.parametrize("how", [begun, deferred])
def test_what_an_earlier_emulator_left_is_gone_on_with_once_when_all_answer(slow: Any, how: Any) -> None:
    cloud = slow(how)
    emulator = Emulator([cloud])
    cloud.answers = lambda: httpx.get(f"{emulator.url}/toy/x/other", trust_env=False, verify=False).status_code == 200
    cloud.let.set()
    emulator.begin()

    assert put(emulator) == 200
    emulator.ready()

    assert cloud.events == ["build", "resume, answering"]
    ended(emulator)


def test_an_emulator_that_is_ended_while_a_service_is_built_waits_for_that_and_closes_it(
    slow: Any, beside: ThreadPoolExecutor
) -> None:
    cloud = slow(begun)
    emulator = Emulator([cloud])
    emulator.begin()
    end = beside.submit(ended, emulator)

    cloud.let.set()
    end.result(PATIENCE)

    assert cloud.events[0] == "build"
    assert cloud.events[-1] == "close"


def test_a_service_that_is_built_otherwise_than_was_told_is_a_mistake(toys: Any) -> None:
    class Other(Slow):
        def services(self, surroundings: Surroundings) -> Sequence[Service]:
            notes, _ = self.toy.services(surroundings)
            return [begun("toy", lambda: notes, hosts=("elsewhere.example",), paths=notes.paths)]

    cloud = Other(toy=toys.Toy(), how=begun)

    with (
        pytest.raises(RuntimeError, match=r"toy answers at .*toy\.example.*, and not at .*elsewhere\.example"),
        Emulator([cloud]),
    ):
        pass


def test_a_service_without_http_is_no_address_for_it(toys: Any) -> None:
    class Rpc(Slow):
        def services(self, surroundings: Surroundings) -> Sequence[Service]:
            notes, other = self.toy.services(surroundings)
            alone = replace(notes, paths=(), http=None)
            return [begun("toy", lambda: alone, hosts=notes.hosts, methods=("/toy.v1.",)), other]

    with Emulator([Rpc(toy=toys.Toy(), how=begun)]) as emulator:
        assert put_by_rpc(emulator) == "b"
        assert httpx.get(f"{emulator.url}/toy/x/other", trust_env=False, verify=False).status_code == 200
