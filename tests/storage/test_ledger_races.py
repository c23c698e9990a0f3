"""Two processes move the same versions through their stages at once: nothing is lost, doubled or overwritten."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cloudmlops import Stage, connect
from cloudmlops.domain.ledger import EntryKind
from cloudmlops.testing.contract.models import written_model

_WRITER = """
import sys
from cloudmlops import Stage, connect
from cloudmlops.errors import InvalidMoveError

target, actor, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
NEXT = {Stage.NONE: Stage.CANDIDATE, Stage.CANDIDATE: Stage.STAGING, Stage.STAGING: Stage.PRODUCTION,
        Stage.PRODUCTION: Stage.ARCHIVED, Stage.ARCHIVED: Stage.CANDIDATE}
with connect(target, actor=actor) as platform:
    print("ready", flush=True)
    sys.stdin.readline()
    done = refused = 0
    while done < count:
        for version in ("1", "2", "3"):
            stage = platform.models.get("churn", version).stage
            try:
                platform.models.promote("churn", version, to=NEXT[stage], reason=f"{actor} {done}")
            except InvalidMoveError:
                refused += 1  # the other one was faster
                continue
            done += 1
            if done == count:
                break
    print(done, refused)
"""


def race(target: str, artifact: Path, promotions: int) -> None:
    with connect(target) as platform:
        for _ in range(3):
            platform.models.register("churn", artifact)
        before = len(platform.models.history("churn"))
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", _WRITER, target, actor, str(promotions // 2)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for actor in ("alice", "bob")
    ]
    try:
        for writer in writers:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "ready\n"
        for writer in writers:
            assert writer.stdin is not None
            writer.stdin.write("go\n")
            writer.stdin.flush()
        answers = [writer.communicate()[0].split() for writer in writers]
    finally:
        for writer in writers:
            writer.kill()
            writer.wait()

    assert [int(done) for done, _ in answers] == [promotions // 2] * 2
    with connect(target) as platform:
        history = platform.models.history("churn")
        moved = [entry for entry in history if entry.kind is EntryKind.MOVED]
        # Each writer numbered its moves: all of them are there, once, and in its order.
        for actor in ("alice", "bob"):
            own = [entry.reason for entry in moved if entry.actor.id == actor]
            assert own == [f"{actor} {number}" for number in range(promotions // 2)]
        assert [entry.sequence for entry in history] == list(range(1, before + promotions + 1))
        assert len({entry.entry_id for entry in history}) == len(history)
        assert len(platform.models.list("churn", stage=Stage.PRODUCTION)) <= 1
        verification = platform.models.verify("churn")
        assert verification.ok, verification.problems


def test_two_processes_race_a_thousand_promotions_in_a_folder(tmp_path: Path) -> None:
    race(f"local://{tmp_path / 'platform'}", written_model(tmp_path / "artifact"), promotions=1000)


def test_two_processes_race_promotions_over_the_wire(remote: str, tmp_path: Path) -> None:
    race(f"local://{tmp_path / 'platform'}?store={remote}", written_model(tmp_path / "artifact"), promotions=100)


@pytest.mark.conformance
def test_two_processes_race_a_thousand_promotions_over_the_wire(remote: str, tmp_path: Path) -> None:
    race(f"local://{tmp_path / 'platform'}?store={remote}", written_model(tmp_path / "artifact"), promotions=1000)
