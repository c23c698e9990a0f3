"""What steps print is read and followed whole: of each process, also what comes late, and no part of it twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from cloudmlops.emulators.core.emulator import Emulator

from .conftest import Connects, Opened
from .steps.pipelines import chatting, talking

pytestmark = pytest.mark.filterwarnings("ignore::marshmallow.warnings.RemovedInMarshmallow4Warning")


def test_each_line_of_each_process_is_followed_whole_and_once(connect_to_run: Connects, tmp_path: Path) -> None:
    release = tmp_path / "release"
    run = connect_to_run().pipelines.run(chatting, {"release": str(release)})
    lines = run.follow("chat")

    assert {next(lines), next(lines)} == {"0 begun\n", "1 begun\n"}
    release.touch()

    assert sorted(lines) == ["0 ended\n", "1 ended\n"]
    assert run.logs("chat") == "0 begun\n0 ended\n1 begun\n1 ended\n"


def test_what_is_written_down_after_the_end_of_a_step_is_followed_too(
    connect_to_run: Connects, opened: Opened, tmp_path: Path
) -> None:
    release = tmp_path / "release"
    run = connect_to_run().pipelines.run(talking, {"release": str(release)})
    lines = run.follow("talk")
    assert next(lines) == "begun\n"
    release.touch()
    run.wait()
    assert next(lines) == "ended\n"

    written = opened(datastore="workspaceartifactstore", prefix="").objects
    (log,) = [key for key in written.list("ExperimentRun/") if key.endswith("std_log.txt")]
    written.put(log, b"begun\nended\nlate\nand")

    assert list(lines) == ["late\n", "and"]


def test_what_was_read_of_a_log_is_not_read_again(
    connect_to_run: Connects, azureml_emulator: Emulator, tmp_path: Path
) -> None:
    release = tmp_path / "release"
    run = connect_to_run().pipelines.run(talking, {"release": str(release)})
    lines = run.follow("talk")
    assert next(lines) == "begun\n"
    release.touch()
    run.wait()
    assert run.logs("talk") == "begun\nended\n"
    azureml_emulator.calls.clear()

    assert [*lines, run.logs("talk")] == ["ended\n", "begun\nended\n"]
    asked = [call.operation for call in azureml_emulator.calls.list()]
    assert "ListBlobs" in asked
    assert "GetBlob" not in asked
