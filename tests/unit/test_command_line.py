from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from cloudmlops import cli
from cloudmlops.cli.session import Session, session_options


def command(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from cloudmlops.cli import main; main()", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


@click.command()
@session_options
@click.argument("name")
def greet(session: Session, name: str) -> None:
    session.note("for people only")
    session.table("Names", ["name", "length"], [{"name": name, "length": len(name), "hidden": True}])


def test_help_lists_every_command_and_the_exit_codes() -> None:
    result = CliRunner().invoke(cli.cli, ["--help"])

    assert result.exit_code == 0
    assert all(name in result.output for name in cli._COMMANDS)
    assert "3 not found" in result.output


@pytest.mark.parametrize("name", sorted(cli._COMMANDS))
def test_each_command_explains_itself(name: str) -> None:
    result = CliRunner().invoke(cli.cli, [name, "--help"])

    assert result.exit_code == 0, result.output
    assert result.output.startswith("Usage: ")


def test_a_mistyped_command_is_a_usage_error() -> None:
    assert CliRunner().invoke(cli.cli, ["modles"]).exit_code == 2


def test_people_get_a_table() -> None:
    result = CliRunner().invoke(greet, ["ada"])

    assert "for people only" in result.stderr
    assert "ada" in result.stdout
    assert "hidden" not in result.stdout


def test_scripts_get_json_with_every_key_and_nothing_else() -> None:
    result = CliRunner().invoke(greet, ["ada", "--json"])

    assert json.loads(result.output) == [{"name": "ada", "length": 3, "hidden": True}]


def test_what_json_has_no_number_for_is_null(capsys: pytest.CaptureFixture[str]) -> None:
    session = Session(target=None, actor=None, as_json=True)

    session.record("Metrics", {"auc": float("nan"), "loss": float("inf"), "parts": (1.5, float("nan"))})

    assert json.loads(capsys.readouterr().out) == {"auc": None, "loss": None, "parts": [1.5, None]}


def test_a_wrong_request_ends_with_2_and_says_what_to_do(tmp_path: Path) -> None:
    done = command("models", "list", "--target", "moon://base", folder=tmp_path)

    assert done.returncode == 2
    assert done.stderr.startswith("error: no provider is named 'moon'")
    assert "Installed providers: azureml, local, vertex" in done.stderr


def test_an_error_is_json_where_json_was_asked_for(tmp_path: Path) -> None:
    done = command("models", "show", "churn", "7", "--target", "local://here", "--json", folder=tmp_path)

    assert done.returncode == 3
    assert done.stdout == ""
    assert json.loads(done.stderr)["error"]["type"] == "NotFoundError"


def test_completion_for_a_shell_is_offered() -> None:
    result = subprocess.run(
        [Path(sys.executable).with_name("cloudmlops")],
        env={"_CLOUDMLOPS_COMPLETE": "bash_source", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert "_CLOUDMLOPS_COMPLETE=bash_complete" in result.stdout
