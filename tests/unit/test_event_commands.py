"""`cloudmlops events …`, as people and scripts use it."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from cloudmlops.cli import main

EVENT = {
    "specversion": "1.0",
    "id": "m/1",
    "source": "local:///p",
    "type": "cloudmlops.model.registered",
    "time": "2026-01-01T12:00:00Z",
    "data": {"model": "m", "version": "1"},
}

HANDLERS = """
from pathlib import Path

from cloudmlops import ModelRegistered


def register(platform):
    @platform.events.on(ModelRegistered, handler="note")
    def note(event, ctx):
        with Path("handled").open("a") as file:
            file.write(f"{event.model}@{event.version}\\n")


def failing(platform):
    @platform.events.on(ModelRegistered, handler="fails", retries=0)
    def fails(event, ctx):
        if not Path("healed").exists():
            raise ValueError("not healed")


def nothing(platform):
    pass


def breaking(platform):
    import threading

    from cloudmlops.errors import UnexpectedReplyError

    note_that(platform)
    work, accept = platform.events._worker.work, platform.events.accept
    broken = threading.Event()

    def damaged(**options):
        if broken.is_set():
            raise UnexpectedReplyError("the inbox is damaged")
        return work(**options)

    def stored_when_nobody_works_any_more(event):
        broken.set()
        new = accept(event)
        for thread in threading.enumerate():
            if thread.name == "cloudmlops-events":
                thread.join()
        return new

    platform.events._worker.work = damaged
    platform.events.accept = stored_when_nobody_works_any_more


note_that = register
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working folder of the commands."""
    (tmp_path / "handlers.py").write_text(HANDLERS)
    (tmp_path / "cloudmlops.toml").write_text('target = "local://platform"\n')
    (tmp_path / "event.json").write_text(json.dumps(EVENT))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield tmp_path
    sys.modules.pop("handlers", None)


Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run `cloudmlops events WORDS` here; return its exit code, output and messages."""

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["cloudmlops", "events", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    return run


@pytest.fixture
def answer(command: Command) -> Callable[..., Any]:
    """Run a command for a script and return what it answered."""

    def ask(*words: str) -> object:
        code, out, told = command(*words, "--json")
        assert code == 0, told
        return json.loads(out)

    return ask


def test_a_published_event_is_listed_and_handled_once(project: Path, command: Command, answer: Any) -> None:
    for _ in range(2):
        command("publish", "event.json")

    (listed,) = answer("list", "--kind", "ModelRegistered")
    assert (listed["kind"], listed["about"]) == ("ModelRegistered", "m/1")
    assert answer("process", "handlers") == {"handled": 1, "dead_letters": 0}
    assert answer("process", "handlers:register") == {"handled": 0, "dead_letters": 0}
    assert (project / "handled").read_text() == "m@1\n"
    assert "Events: none" in command("list", "--since", "2030-01-01")[1]


def test_a_dead_letter_is_listed_with_its_traceback_and_can_be_retried(
    project: Path, command: Command, answer: Any
) -> None:
    command("publish", "event.json")
    assert answer("process", "handlers:failing") == {"handled": 0, "dead_letters": 1}

    (letter,) = answer("dead-letters")
    assert (letter["handler"], letter["error"], letter["message"]) == ("fails", "ValueError", "not healed")
    assert 'raise ValueError("not healed")' in command("dead-letters", "--traceback")[2]
    assert answer("dead-letters", "--handler", "other") == []

    (project / "healed").touch()
    assert answer("retry") == {"events": 1}
    assert answer("process", "handlers:failing") == {"handled": 1, "dead_letters": 0}


def test_a_replay_is_handled_by_the_next_process(project: Path, command: Command, answer: Any) -> None:
    command("publish", "event.json")
    answer("process", "handlers")

    assert answer("replay", "--since", "1h", "--handler", "note") == {"events": 1}
    assert answer("process", "handlers") == {"handled": 1, "dead_letters": 0}
    assert (project / "handled").read_text() == "m@1\n" * 2


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        pytest.param(["process", "missing"], 2, "the module 'missing' cannot be imported", id="no module"),
        pytest.param(["process", "handlers:gone"], 2, "handlers has no function 'gone'", id="no function"),
        pytest.param(["process", "handlers:nothing"], 2, "handlers:nothing registered no handler", id="no handler"),
        pytest.param(["list", "--kind", "Sunrise"], 2, "no kind of event is named 'Sunrise'", id="no kind"),
        pytest.param(["list", "--since", "yesterday"], 2, "nor an age such as 90m, 24h or 7d", id="no time"),
        pytest.param(["publish", "handlers.py"], 2, "handlers.py holds no CloudEvent", id="no event"),
        pytest.param(["replay", "--since", "1d", "--handler", "nobody"], 3, "no handler named 'nobody'", id="nobody"),
    ],
)
def test_a_wrong_command_is_told_why(command: Command, words: list[str], code: int, told: str) -> None:
    exit_code, _, message = command(*words)

    assert exit_code == code
    assert told in message


@contextmanager
def serving(project: Path, *words: str) -> Iterator[tuple[subprocess.Popen[str], http.client.HTTPConnection]]:
    program = [sys.executable, "-c", "from cloudmlops.cli import main; main()", "events", "serve", *words]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        [*program, "--port", "0", "--json"], cwd=project, stdout=subprocess.PIPE, text=True, env=environment
    ) as server:
        try:
            assert server.stdout is not None
            answered = ""
            while "}" not in answered:
                answered += (line := server.stdout.readline())
                assert line, "the server ended"
            address = urlsplit(json.loads(answered)["address"])
            connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=60)
            yield server, connection
            connection.close()
        finally:
            server.kill()


def test_serving_takes_events_over_http_and_handles_them_at_once(project: Path) -> None:
    with serving(project, "handlers") as (server, connection):
        connection.request("POST", "/", json.dumps(EVENT), {"content-type": "application/cloudevents+json"})
        reply = connection.getresponse()
        assert (reply.status, json.load(reply)) == (200, {"stored": 1, "known": 0})
        while not (project / "handled").exists():
            assert server.poll() is None

        server.send_signal(signal.SIGTERM)
        server.wait(timeout=60)

    assert (project / "handled").read_text() == "m@1\n"


def test_a_server_whose_worker_ends_unasked_ends_too_after_its_last_answer(project: Path) -> None:
    with serving(project, "handlers:breaking") as (server, connection):
        connection.request("POST", "/", json.dumps(EVENT), {"content-type": "application/cloudevents+json"})
        reply = connection.getresponse()
        assert (reply.status, json.load(reply)) == (200, {"stored": 1, "known": 0})
        connection.close()

        assert server.wait(timeout=60) != 0


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ('[{"id": 1}, {"source": 2, "data": "x"}]', "event 1: source must be text"),
        (
            '{"type": "t", "id": "1", "source": "s", "time": "2026-01-01T00:00:00Z", "data": "x"}',
            "data must be an object",
        ),
        ('"abc"', "event 0: it is a str, not a JSON object"),
    ],
    ids=["two", "data", "text"],
)
def test_what_is_no_event_is_never_published(command: Command, project: Path, written: str, told: str) -> None:
    (project / "wrong.json").write_text(written)

    code, _, message = command("publish", "wrong.json")

    assert code == 2
    assert told in message
    assert command("list")[0] == 0


def test_a_module_that_does_not_compile_is_told(command: Command, project: Path) -> None:
    (project / "unfinished.py").write_text("def (")

    code, _, message = command("process", "unfinished")

    assert code == 2
    assert "SyntaxError" in message


def test_a_port_in_use_is_told(command: Command) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        code, _, message = command("serve", "--port", str(port))

    assert code == 2
    assert f"the address 127.0.0.1:{port} cannot be used" in message
