"""`cloudmlops run`, `runs`, `logs` and `schedule`."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cloudmlops.cli import cli
from cloudmlops.errors import InvalidPipelineError, InvalidRequestError, NotFoundError, RunFailedError

FLOW = """
import cloudmlops as cm

@cm.step
def double(x: int) -> int:
    print("doubling", x)
    return 2 * x

@cm.step
def fail(x: int) -> int:
    raise ValueError("no")

@cm.pipeline
def doubling(x: int, words: list[str] = ["a"]) -> int:
    return double(double(x))

@cm.pipeline
def failing(x: int = 1) -> int:
    return double(fail(x))
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / f"{tmp_path.name}_flow.py").write_text(FLOW)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLOUDMLOPS_TARGET", f"local://{tmp_path / 'platform'}")
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path / f"{tmp_path.name}_flow.py"


def call(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments, catch_exceptions=False)


def answer(*arguments: str) -> Any:
    done = call(*arguments, "--json")
    assert done.exit_code == 0
    return json.loads(done.stdout)


def test_a_pipeline_is_run_shown_listed_and_its_log_printed(project: Path) -> None:
    done = answer("run", f"{project}:doubling", "-p", "x=3", "--id", "monday")

    assert done["outputs"] == {"output": 12}
    assert done["steps"]["double_2"]["state"] == "succeeded"
    assert call("logs", "monday", "double").stdout == "doubling 3\n"
    assert call("logs", "monday", "double", "--follow").stdout == "doubling 3\n"
    assert call("logs", "monday", "double", "--follow", "--attempt", "1").exit_code == 2
    assert [run["id"] for run in answer("runs", "list")] == ["monday"]
    shown = answer("runs", "show", "monday")
    assert (shown["status"], shown["parameters"]) == ("succeeded", {"x": 3, "words": ["a"]})
    assert "double_2" in call("runs", "show", "monday").stdout


def test_progress_goes_to_standard_error_a_line_a_change(project: Path) -> None:
    done = call("run", f"{project.stem}:doubling", "-p", "x=3", "-p", 'words=["b"]')

    assert "double_2: succeeded" in done.stderr
    assert "output=12" in done.stdout


def test_a_plan_says_what_would_run(project: Path) -> None:
    arguments = ("run", f"{project.name}:doubling", "-p", "x=3")

    assert [step["cached"] for step in answer(*arguments, "--plan")] == [False, False]
    call(*arguments)
    assert [step["cached"] for step in answer(*arguments, "--plan")] == [True, True]


def test_a_detached_run_is_cancelled_or_resumed_by_its_id(project: Path) -> None:
    answer("run", f"{project.name}:failing", "--detach", "--id", "tuesday")
    with pytest.raises(RunFailedError, match="failed in step 'fail': ValueError: no"):
        call("runs", "wait", "tuesday")
    with pytest.raises(RunFailedError, match="failed in step 'fail': ValueError: no"):
        call("runs", "resume", "tuesday")

    assert answer("runs", "cancel", "tuesday")["status"] == "failed"


def test_wrong_parameters_are_all_listed(project: Path) -> None:
    with pytest.raises(InvalidRequestError) as refusal:
        call("run", f"{project.name}:doubling", "-p", "x=many", "-p", "y=1", "-p", "z")

    assert refusal.value.faults == (
        "parameter 'x': expected int, not 'many'",
        "pipeline 'doubling' has no parameter 'y'; it has x, words",
        "'z' is not NAME=VALUE",
    )


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("nowhere.py:p", "there is no file 'nowhere.py'"),
        ("no_such_module:p", "there is no module 'no_such_module'"),
        ("{file}:nothing", "has no pipeline 'nothing'"),
        ("{file}", "has 2 pipelines: which one"),
    ],
    ids=["file", "module", "name", "no name"],
)
def test_what_cannot_be_found_is_said(project: Path, reference: str, message: str) -> None:
    with pytest.raises(InvalidPipelineError, match=message):
        call("run", reference.format(file=project.name))


def test_a_schedule_is_added_listed_and_removed(project: Path) -> None:
    call("schedule", "add", f"{project.name}:doubling", "--name", "nightly", "--cron", "0 2 * * *", "-p", "x=1")

    assert [(one["name"], one["cron"]) for one in answer("schedule", "list")] == [("nightly", "0 2 * * *")]
    call("schedule", "remove", "nightly")
    assert answer("schedule", "list") == []
    with pytest.raises(NotFoundError, match="there is no schedule 'nightly'"):
        call("schedule", "remove", "nightly")
