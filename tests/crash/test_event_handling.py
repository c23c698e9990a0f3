"""SIGKILL at any moment of storing and handling events: nothing is lost, and effects happen once."""

import http.client
import json
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cloudmlops import DriftDetected, Event, RunCompleted, UnknownEvent, connect

WORKER = Path(__file__).with_name("event_worker.py")
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def drift(number: int) -> DriftDetected:
    return DriftDetected(platform="p", time=NOON, subject="s", metric=f"m{number}", value=1.0, threshold=0.5)


def run(number: int) -> RunCompleted:
    return RunCompleted(platform="p", time=NOON, pipeline="p", run=f"r{number}")


@contextmanager
def worker(target: str, notes: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, str(WORKER), target, str(notes), *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
            yield child
        finally:
            child.kill()


def finish(target: str, notes: Path) -> int:
    with worker(target, notes) as child:
        handled, _ = child.communicate("go\n", timeout=120)
        assert child.returncode == 0
        return int(handled)


def kill_again_and_again(tmp_path: Path, *, kills: int, events: int) -> None:
    target, notes = f"local://{tmp_path / 'platform'}", tmp_path / "notes"
    chance = random.Random(events)
    with connect(target) as platform:
        for number in range(events):
            platform.events.publish(drift(number))
            platform.events.publish(run(number))

        for _ in range(kills):
            with worker(target, notes, "until-killed"):
                # How far it comes is left to chance; the test waits for nothing here.
                time.sleep(chance.uniform(0, 0.04))
        finish(target, notes)

        assert finish(target, notes) == 0, "after that nothing is left"
        done = Counter(tuple(line.split()[:3]) for line in notes.read_text().splitlines())
        for number in range(events):
            assert done["begin", "report", f"m{number}"] >= 1, "handled at least once"
            assert done["end", "report", f"m{number}"] >= 1
            assert done["begin", "fails", f"r{number}"] >= 2
        reports = [event for event in platform.events.list(kind=UnknownEvent) if isinstance(event, UnknownEvent)]
        effects = Counter(str(report.data["of"]) for report in reports)
        assert effects == Counter(f"m{number}" for number in range(events)), "its effect happens exactly once"
        letters = platform.events.dead_letters()
        assert Counter(letter.event.meaning[0] for letter in letters) == Counter(f"r{n}" for n in range(events))
        assert {letter.error for letter in letters} == {"ValueError"}


def test_a_worker_killed_at_random_loses_no_event_and_doubles_no_effect(tmp_path: Path) -> None:
    kill_again_and_again(tmp_path, kills=8, events=48)


@pytest.mark.conformance
@pytest.mark.timeout(1800)
def test_a_worker_killed_a_thousand_times_loses_no_event_and_doubles_no_effect(tmp_path: Path) -> None:
    kill_again_and_again(tmp_path, kills=1000, events=4000)


def test_two_workers_never_handle_the_same_event(tmp_path: Path) -> None:
    target, notes = f"local://{tmp_path / 'platform'}", tmp_path / "notes"
    with connect(target) as platform:
        for number in range(80):
            platform.events.publish(drift(number))

        with worker(target, notes, "together") as one, worker(target, notes, "together") as two:
            for child in (one, two):
                assert child.stdin is not None
                child.stdin.write("go\n")
                child.stdin.flush()
            handled = [int(child.communicate(timeout=120)[0]) for child in (one, two)]

        lines = [line.split() for line in notes.read_text().splitlines()]
        assert sum(handled) == 80
        assert Counter(name for word, _, name, *_ in lines if word == "begin") == Counter(f"m{n}" for n in range(80))
        assert len({process for *_, process in lines}) == 2, "both took part"
        assert finish(target, notes) == 0


def test_a_worker_takes_over_from_one_that_was_killed(tmp_path: Path) -> None:
    target, notes = f"local://{tmp_path / 'platform'}", tmp_path / "notes"
    program = f"""
from cloudmlops import DriftDetected, connect
import os, signal
with connect({target!r}) as platform:
    @platform.events.on(DriftDetected, handler="report")
    def report(event, ctx):
        os.kill(os.getpid(), signal.SIGKILL)
    platform.events.process()
"""
    with connect(target) as platform:
        platform.events.publish(drift(1))
        subprocess.run([sys.executable, "-c", program], check=False)

        assert finish(target, notes) == 1

    assert "begin report m1 2" in notes.read_text()


def test_an_event_is_stored_before_its_sender_is_told(tmp_path: Path) -> None:
    target = f"local://{tmp_path}"
    program = f"""
import json, os, signal, sys, uvicorn, socket
from cloudmlops import connect
platform = connect({target!r})
app = platform.events.asgi()
async def dies_before_it_answers(scope, receive, send):
    async def die(message):
        if message["type"] == "http.response.start":
            os.kill(os.getpid(), signal.SIGKILL)
        await send(message)
    await app(scope, receive, die)
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
uvicorn.Server(uvicorn.Config(dies_before_it_answers, log_level="warning")).run(sockets=[listener])
"""
    sent = {"specversion": "1.0", "id": "1", "source": "s", "type": "t", "data": {}}
    headers = {"content-type": "application/cloudevents+json"}
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        connection = http.client.HTTPConnection("127.0.0.1", int(server.stdout.readline()), timeout=60)
        connection.request("POST", "/", json.dumps(sent), headers)
        with pytest.raises((ConnectionError, http.client.HTTPException)):
            connection.getresponse()
        connection.close()

    with connect(target) as platform:
        (stored,) = platform.events.list()
        assert isinstance(stored, UnknownEvent)
        assert platform.events.accept(stored) is False, "the redelivery is the same event"
        assert len(platform.events.list()) == 1


def acknowledged_then_killed(target: str, *, after: int) -> list[str]:
    """Publish m0, m1, … in a child, kill it after so many acknowledgements, and return those that were given."""
    program = f"""
from datetime import datetime
from cloudmlops import DriftDetected, connect
from itertools import count
with connect({target!r}) as platform:
    for number in count():
        platform.events.publish(DriftDetected(
            platform="p", time=datetime.fromisoformat({NOON.isoformat()!r}), subject="s", metric=f"m{{number}}",
            value=1.0, threshold=0.5,
        ))
        print(f"m{{number}}", flush=True)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        given = [child.stdout.readline().strip() for _ in range(after)]
        child.kill()
        return given + child.stdout.read().split()


def test_what_was_published_before_a_kill_is_there_once_and_publishing_again_changes_nothing(tmp_path: Path) -> None:
    chance = random.Random(7)
    for attempt in range(4):
        target = f"local://{tmp_path / str(attempt)}"
        acknowledged = acknowledged_then_killed(target, after=chance.randrange(1, 60))

        with connect(target) as platform:
            for number in range(len(acknowledged) + 1):
                platform.events.publish(drift(number))
            listed: list[Event] = platform.events.list()

        assert listed == [drift(number) for number in range(len(listed))]
        assert len(listed) in {len(acknowledged) + 1, len(acknowledged) + 2}


def test_a_lease_that_nobody_renews_ends_by_the_clock_alone(tmp_path: Path) -> None:
    # What a worker on another machine leaves behind: a lease whose owner cannot be looked at from here.
    with connect(f"local://{tmp_path}") as platform:
        platform.events.publish(drift(1))
        seen: list[str] = []
        platform.events.on(DriftDetected, handler="report")(lambda event, _: seen.append(event.metric))
        lease = {
            "worker": "another machine:1:1",
            "token": "t",
            "failures": 0,
            "vanished": 0,
            "expires": (datetime.now(UTC) + timedelta(hours=1)).isoformat(),
        }
        platform._backends.objects.create(f"inbox/attempts/report/{drift(1).key}.0001.json", json.dumps(lease).encode())
        assert platform.events.process() == 0

        platform._backends.clock = Later()

        assert platform.events.process() == 1
        assert seen == ["m1"]


class Later:
    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(hours=2)


def test_killed_at_any_write_of_its_work_a_handler_ends_with_each_effect_once(tmp_path: Path) -> None:
    program = Path(__file__).with_name("event_kill_points.py")

    done = subprocess.run([sys.executable, str(program), str(tmp_path)], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    outcomes = [json.loads(line) for line in done.stdout.splitlines()]
    assert sum(outcome.pop("killed") for outcome in outcomes) >= 16, "it writes at least eight times"
    for outcome in outcomes:
        where = {"write": outcome.pop("write"), "after": outcome.pop("after"), "handled": outcome.pop("handled")}
        assert outcome == {
            "moves": 1,
            "stage_changes": 1,
            "drifts": 1,
            "dead_letters": 0,
            "left": 0,
            "stage": "candidate",
            "problems": [],
        }, where
