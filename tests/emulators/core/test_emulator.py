from __future__ import annotations

import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from cloudmlops.emulators.core.emulator import Emulator
from cloudmlops.emulators.core.faults import Fault, Refused


def running(process: int) -> bool:
    try:
        return psutil.Process(process).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def emulated_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("emulat")]


def test_close_leaves_no_thread_no_process_and_no_file(toys: Any, tmp_path: Path) -> None:
    cloud = toys.Toy()
    others = sorted(emulated_threads())  # the session may have an emulator for other tests
    with Emulator([cloud]) as emulator:
        emulator.clock.after(timedelta(hours=1), lambda: None)
        child = emulator.processes.start(
            [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)"],
            environment={},
            folder=tmp_path,
            log=tmp_path / "log",
        )
        private = Path(emulator.environment()["TOY_FOLDER"])
        scratch = emulator.state.folder
        httpx.put(f"{emulator.url}/toy/a", content=b"1", trust_env=False, verify=False)
        assert len(emulated_threads()) > len(others)

    assert cloud.notes.closed
    assert child.poll() is not None
    assert not psutil.pid_exists(child.pid)
    assert not private.exists()
    assert not scratch.exists()
    assert sorted(emulated_threads()) == others
    with pytest.raises(httpx.ConnectError):
        httpx.get(emulator.url, trust_env=False, verify=False)


def test_a_delayed_call_does_not_hold_up_the_close(toys: Any) -> None:
    answers: list[object] = []
    with Emulator([toys.Toy()]) as emulator:
        entered = threading.Event()
        emulator.faults.set(Fault(matching="*", before=entered.set))
        emulator.faults.set(Fault(matching="*", delay_seconds=600))

        def ask() -> None:
            try:
                answers.append(
                    httpx.get(f"{emulator.url}/toy/a", trust_env=False, timeout=60, verify=False).status_code
                )
            except httpx.TransportError as error:
                answers.append(type(error))

        asking = threading.Thread(target=ask)
        asking.start()
        assert entered.wait(20)
    asking.join(20)

    assert not asking.is_alive()
    assert len(answers) == 1


def test_two_emulators_live_in_one_process_and_know_nothing_of_each_other(toys: Any) -> None:
    with Emulator([toys.Toy()]) as one, Emulator([toys.Toy()]) as two:
        httpx.put(f"{one.url}/toy/a", content=b"1", trust_env=False, verify=False)
        two.clock.freeze(datetime(2030, 1, 1, tzinfo=UTC))

        assert one.address != two.address
        assert httpx.get(f"{one.url}/toy/a", trust_env=False, verify=False).status_code == 200
        assert httpx.get(f"{two.url}/toy/a", trust_env=False, verify=False).status_code == 404
        assert not one.clock.frozen
        assert len(one.calls.list()) == 2


def test_one_restarts_on_its_port_with_its_state(toys: Any, tmp_path: Path) -> None:
    with Emulator([toys.Toy()], state=tmp_path) as first:
        port = int(first.address.rpartition(":")[2])
        httpx.put(f"{first.url}/toy/a", content=b"kept", trust_env=False, verify=False)

    with Emulator([toys.Toy()], state=tmp_path, port=port) as second:
        assert second.address == f"127.0.0.1:{port}"
        assert httpx.get(f"{second.url}/toy/a", trust_env=False, verify=False).content == b"kept"


def test_a_port_that_is_taken_is_an_error_that_leaves_nothing(toys: Any) -> None:
    with Emulator([toys.Toy()]) as first:
        before = sorted(emulated_threads())
        port = int(first.address.rpartition(":")[2])

        with pytest.raises(OSError, match="in use"), Emulator([toys.Toy()], port=port):
            pass

        assert sorted(emulated_threads()) == before


def test_the_environment_seals_a_child(toys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEADS_PAST", "to the world")
    monkeypatch.setenv("no_proxy", "everything")
    monkeypatch.setenv("OWN", "kept")
    with Emulator([toys.Toy()]) as emulator:
        environment = emulator.environment()

    assert "LEADS_PAST" not in environment
    assert environment["OWN"] == "kept"
    assert environment["HTTPS_PROXY"] == environment["https_proxy"] == environment["grpc_proxy"] == emulator.url
    assert set(environment["no_proxy"].split(",")) == {"127.0.0.1", "localhost", "::1"}


def test_reset_undoes_what_a_test_has_set_and_keeps_what_is_held(toys: Any) -> None:
    cloud = toys.Toy()
    with Emulator([cloud]) as emulator:
        httpx.put(f"{emulator.url}/toy/a", content=b"1", trust_env=False, verify=False)
        emulator.faults.set(Fault(matching="*", times=None, refused=Refused("INTERNAL", "no")))
        emulator.clock.freeze(datetime(2030, 1, 1, tzinfo=UTC))

        emulator.reset()

        assert emulator.calls.list() == []
        assert not emulator.clock.frozen
        assert cloud.resets == 1
        assert httpx.get(f"{emulator.url}/toy/a", trust_env=False, verify=False).content == b"1"
        assert emulator.cloud(toys.Toy) is cloud
        with pytest.raises(LookupError, match="int is not emulated here"):
            emulator.cloud(int)


def test_a_program_ends_with_all_that_it_started(toys: Any, tmp_path: Path) -> None:
    program = "import subprocess, sys; p = subprocess.Popen(['sleep', '600']); print(p.pid, flush=True)"
    with Emulator([toys.Toy()]) as emulator:
        log = tmp_path / "log"
        process = emulator.processes.start([sys.executable, "-c", program], environment={}, folder=tmp_path, log=log)

        assert emulator.processes.wait(process) == 0

        grandchild = int(log.read_text())
        deadline = time.monotonic() + 20
        while running(grandchild) and time.monotonic() < deadline:
            threading.Event().wait(0.01)
        assert not running(grandchild)


def test_over_http_the_clock_is_moved_and_faults_are_set(running: Any) -> None:
    control = "/-/emulator"

    assert running.http.post(f"{control}/clock", json={"freeze": "2026-01-01T00:00:00Z"}).status_code == 200
    assert running.http.post(f"{control}/clock", json={"advance_seconds": 90}).status_code == 200
    status = running.http.get(f"{control}/status").json()
    assert status["time"] == "2026-01-01T00:01:30+00:00"
    assert status["services"] == {"toy": ["toy.example", "*-toy.example"], "other": ["other.example"]}

    fault = {"matching": "toy/notes.get", "status": "ABORTED", "message": "mine", "first": 2, "times": None}
    assert running.http.post(f"{control}/faults", json=fault).status_code == 200
    answers = [running.http.get("/toy/a").status_code for _ in range(3)]
    assert answers == [404, 409, 409]
    assert running.http.post(f"{control}/faults", json={"clear": True}).status_code == 200
    assert running.http.get("/toy/a").status_code == 404
    called = running.http.get(f"{control}/calls", params={"matching": "notes.get"}).json()
    assert [call["status"] for call in called] == ["NOT_FOUND", "ABORTED", "ABORTED", "NOT_FOUND"]
    assert running.http.post(f"{control}/clock", json={"resume": True}).status_code == 200
    assert not running.emulator.clock.frozen


@pytest.mark.parametrize(
    ("path", "asked", "said"),
    [
        ("clock", {"go_back": 3}, "unknown: go_back"),
        ("clock", {"freeze": "2026-01-01"}, "no time zone"),
        ("clock", {"advance_seconds": -1}, "does not go back"),
        ("clock", [], "object is wanted"),
        ("faults", {"matching": "*", "status": "TEAPOT"}, "'TEAPOT' is no code"),
        ("faults", {"matching": "*", "often": 1}, "unknown: often"),
        ("faults", {"status": "INTERNAL"}, "matching"),
        ("faults", {"matching": 5, "status": "INTERNAL"}, "5 is not str"),
        ("faults", {"matching": "*", "status": "INTERNAL", "times": "2"}, "'2' is not int"),
        ("faults", {"matching": "*", "drop": "no"}, "'no' is not bool"),
        ("faults", {"matching": "*"}, "without effect"),
        ("faults", {"matching": "*", "delay_seconds": -1}, "-1 is not a time"),
        ("faults", {"matching": "*", "status": "ABORTED", "retry_after_seconds": -1}, "-1 is not a time"),
        ("faults", {"matching": "*", "status": "ABORTED", "reason": 5}, "5 is not str"),
        ("faults", {"matching": "*", "drop": True, "reason": "stockout"}, "without a status there is no reason"),
        ("clock", {"advance_seconds": 1e20}, "too large"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_cannot_be_controlled_is_said(running: Any, path: str, asked: object, said: str) -> None:
    answer = running.http.post(f"/-/emulator/{path}", json=asked)

    assert answer.status_code == 400
    assert said in answer.json()["error"]


def test_a_web_page_does_not_control_an_emulator(running: Any) -> None:
    sent = {"origin": "https://evil.example", "content-type": "text/plain"}
    answer = running.http.post("/-/emulator/clock", content=b'{"freeze": null}', headers=sent)

    assert answer.status_code == 403
    assert not running.emulator.clock.frozen


def test_the_control_is_not_on_emulated_hosts(running: Any) -> None:
    answer = running.http.get("/-/emulator/status", headers={"host": "toy.example"})

    assert answer.status_code == 404
    assert answer.json()["code"] == "NOT_FOUND"
