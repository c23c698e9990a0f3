"""Processes killed at random points of register and promote: what they had said stays, and nothing is said twice."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from cloudmlops import Stage, connect
from cloudmlops.domain.ledger import EntryKind
from cloudmlops.services.registry.health import Fault
from cloudmlops.testing.contract.models import written_model

# Tests before these may have left threads of the object store's runtime; the forked workers use none of them.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

NEXT = {
    Stage.NONE: Stage.CANDIDATE,
    Stage.CANDIDATE: Stage.STAGING,
    Stage.STAGING: Stage.PRODUCTION,
    Stage.PRODUCTION: Stage.ARCHIVED,
    Stage.ARCHIVED: Stage.CANDIDATE,
}


def work_until_killed(target: str, artifact: Path, seed: int, acknowledged: int) -> None:
    """Register and promote without end; every verb that returned is noted."""
    dice = random.Random(seed)
    with connect(target, actor=f"writer-{seed}") as platform:
        for number in range(1_000_000):
            versions = platform.models.list("churn")
            if len(versions) < 3 or dice.random() < 0.2:
                request = f"{seed}/{number}"
                registered = platform.models.register("churn", artifact, request=request)
                note = f"registered {registered.version} {request}"
            else:
                version = dice.choice(versions)
                reason = f"{seed}/{number}"
                platform.models.promote("churn", version.version, to=NEXT[version.stage], reason=reason)
                note = f"moved {version.version} {reason}"
            os.write(acknowledged, f"{note}\n".encode())


def killed_worker(target: str, artifact: Path, seed: int, notes: Path) -> None:
    """Fork a worker, and kill it after its first acknowledgement plus a random while."""
    notes.touch()
    worker = os.fork()
    if worker == 0:
        try:
            work_until_killed(target, artifact, seed, os.open(notes, os.O_WRONLY | os.O_APPEND))
        finally:
            os._exit(1)  # only reached when something went wrong: the parent sees no signal
    deadline = time.monotonic() + 30
    while not notes.stat().st_size and time.monotonic() < deadline:
        os.sched_yield()
    until = time.monotonic() + random.Random(seed).uniform(0, 0.02)
    while time.monotonic() < until:
        os.sched_yield()
    os.kill(worker, signal.SIGKILL)
    _, status = os.waitpid(worker, 0)
    assert os.WIFSIGNALED(status), "the worker ended by itself: it met an error"


def check(target: str, notes: Path) -> None:
    with connect(target) as platform:
        history = platform.models.history("churn")
        done = Counter(
            (entry.version, entry.reason or (entry.request or "").removeprefix("caller:"))
            for entry in history
            if entry.kind in (EntryKind.MOVED, EntryKind.REGISTERED)
        )
        said = [tuple(line.split()[1:]) for line in notes.read_text(encoding="utf-8").splitlines()]
        assert set(done.values()) <= {1}, "something happened twice"
        assert not set(said) - set(done), "something that was acknowledged is lost"
        assert len(platform.models.list("churn", stage=Stage.PRODUCTION)) <= 1
        # Only what native tools see may lag behind, and is drawn again.
        assert platform.models.repair("churn").ok


def kills(folder: Path, seeds: range) -> None:
    artifact = written_model(folder / "artifact")
    target = f"local://{folder / 'platform'}"
    notes = folder / "notes"
    for seed in seeds:
        killed_worker(target, artifact, seed, folder / f"notes-{seed}")
        with notes.open("a", encoding="utf-8") as all_notes:
            all_notes.write((folder / f"notes-{seed}").read_text(encoding="utf-8"))
        if seed % 10 == 0:
            check(target, notes)
    check(target, notes)


@pytest.mark.conformance(ci=True)
def test_a_killed_writer_loses_and_doubles_nothing(tmp_path: Path) -> None:
    kills(tmp_path, range(40))


@pytest.mark.conformance
@pytest.mark.timeout(3600)
def test_thousands_of_killed_writers_lose_and_double_nothing(tmp_path: Path) -> None:
    for place in range(40):
        folder = tmp_path / str(place)
        folder.mkdir()
        kills(folder, range(place * 100, place * 100 + 100))


@pytest.mark.parametrize("seed", range(6))
def test_a_registration_that_was_killed_is_finished_by_the_same_call(tmp_path: Path, seed: int) -> None:
    """Killed anywhere, then called again without a key of its own: one version, and nothing reserved is left over."""
    artifact = written_model(tmp_path / "artifact", weights=os.urandom(200_000))
    target = f"local://{tmp_path / 'platform'}"
    worker = os.fork()
    if worker == 0:
        with connect(target, actor="alice") as platform:
            platform.models.register("churn", artifact)
        os._exit(0)
    ledger = tmp_path / "platform/objects/ledger/models/churn"
    while not (ledger / "000000000001.json").exists():
        os.sched_yield()
    for _ in range(random.Random(seed).randrange(2000)):
        os.sched_yield()
    os.kill(worker, signal.SIGKILL)
    os.waitpid(worker, 0)

    with connect(target, actor="alice") as platform:
        finished = (ledger / "000000000002.json").exists()
        again = platform.models.register("churn", artifact)

        assert again.version == ("2" if finished else "1")
        kinds = Counter(entry.kind for entry in platform.models.history("churn"))
        assert kinds[EntryKind.REGISTERING] == kinds[EntryKind.REGISTERED] == int(again.version)
        # Killed after the ledger has the version and before the provider shows it, only the drawing is missing.
        assert {problem.fault for problem in platform.models.verify("churn").problems} <= {Fault.PROJECTION}
        assert platform.models.repair("churn").ok
        assert platform.models.download("churn", again.version, to=tmp_path / "out").is_dir()
