"""`python -m cloudmlops.runtime`: one step, as a cloud's container starts it."""

import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

ROOT = Path(__file__).parents[2]
STEPS = "cloudmlops.testing.contract.pipeline_steps"


def runtime(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cloudmlops.runtime", *arguments], cwd=ROOT, capture_output=True, text=True
    )


def test_a_step_reads_paths_and_leaves_its_outputs_at_paths(tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": [1, 2, 3, 4]}), tmp_path / "mine.parquet")
    train, rows = tmp_path / "train", tmp_path / "rows"

    done = runtime(
        f"{STEPS}:split", "--param", "keep=0.5", "--input", f"data={tmp_path / 'mine.parquet'}",
        "--output", f"train={train}", "--output", f"rows={rows}",
    )  # fmt: skip

    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(rows.read_text()) == 4
    done = runtime(
        f"{STEPS}:train", "--param", "rows=4", "--input", f"data={train}", "--output", f"output={tmp_path / 'model'}"
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "model" / "model" / "MLmodel").read_text() == "2 of 4"


def test_everything_wrong_with_the_command_line_is_said_at_once(tmp_path: Path) -> None:
    done = runtime(f"{STEPS}:split", "--param", "keep=half", "--param", "speed=1", "--output", f"rows={tmp_path}")

    assert done.returncode == 2
    assert done.stderr.splitlines()[1:] == [
        "  - the step has no input 'speed'",
        "  - --output train=PATH is missing",
        "  - --param or --input data=… is missing",
        "  - --param keep: expected float, not 'half'",
    ]


def test_a_step_that_is_not_there_is_said_to_be_missing() -> None:
    done = runtime(f"{STEPS}:nothing")

    assert done.returncode == 2
    assert f"the step '{STEPS}:nothing' cannot be imported" in done.stderr


def test_a_step_that_fails_ends_with_its_traceback(tmp_path: Path) -> None:
    done = runtime(f"{STEPS}:unless", "--param", f"journal={tmp_path / 'journal'}", "--param", "missing=nowhere",
                   "--output", f"output={tmp_path / 'output'}")  # fmt: skip

    assert done.returncode == 1
    assert "FileNotFoundError: nowhere" in done.stderr


def test_a_wrong_result_ends_with_its_explanation(tmp_path: Path) -> None:
    done = runtime(f"{STEPS}:wrong", "--output", f"output={tmp_path / 'output'}")

    assert done.returncode == 1
    assert "step 'wrong' returned the wrong value for its output 'output': expected a Model" in done.stderr


def test_a_damaged_input_is_named(tmp_path: Path) -> None:
    (tmp_path / "mine.parquet").write_text("not Parquet")

    done = runtime(f"{STEPS}:train", "--param", "rows=1", "--input", f"data={tmp_path / 'mine.parquet'}",
                   "--output", f"output={tmp_path / 'model'}")  # fmt: skip

    assert done.returncode == 1
    assert "step 'train' cannot read its input 'data'" in done.stderr
    assert "mine.parquet cannot be read as Parquet" in done.stderr
