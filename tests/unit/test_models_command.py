from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cloudmlops import cli
from cloudmlops.testing.contract.models import written_model


@pytest.fixture
def target(tmp_path: Path) -> str:
    return f"local://{tmp_path / 'platform'}"


def ran(target: str, *arguments: str) -> Result:
    return CliRunner().invoke(cli.cli, [*arguments, "--target", target], catch_exceptions=True)


def answer(target: str, *arguments: str) -> Any:
    result = ran(target, *arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def released(target: str, tmp_path: Path) -> None:
    folder = str(written_model(tmp_path / "artifact"))
    answer(
        target, "models", "register", "churn", folder, "--metric", "auc=0.9", "--tag", "team=growth", "--actor", "alice"
    )
    answer(target, "promote", "churn", "1", "--to", "candidate", "--reason", "first")
    answer(target, "promote", "churn", "1", "--to", "staging", "--baseline", "auc=0.8", "--report", "r.html")
    answer(target, "approve", "churn", "1", "--actor", "bob", "--reason", "looked at it")
    answer(target, "promote", "churn", "1", "--to", "production", "--expect", "")


def test_a_model_lives_its_life_from_the_shell(target: str, tmp_path: Path) -> None:
    released(target, tmp_path)
    answer(target, "models", "tag", "churn", "1", "owner=ann")
    answer(target, "models", "untag", "churn", "1", "team")
    answer(target, "models", "download", "churn", "1", str(tmp_path / "out"))

    shown = answer(target, "models", "show", "churn")
    history = answer(target, "history", "churn")

    assert (shown["version"], shown["stage"], shown["tags"]) == ("1", "production", {"owner": "ann"})
    assert shown["registered_by"] == "alice (self-declared)"
    assert [entry["what"] for entry in history[2:6]] == [
        "1: none → candidate",
        "1: candidate → staging",
        "1 for production",
        "1: staging → production",
    ]
    assert history[3]["evidence"]["baseline"] == {"auc": 0.8}
    assert history[4]["actor"] == "bob (self-declared)"
    assert (tmp_path / "out" / "MLmodel").is_file()
    assert [item["version"] for item in answer(target, "models", "list", "--tag", "owner=ann")] == ["1"]
    assert answer(target, "models", "list", "churn", "--stage", "archived") == []


def test_people_get_tables(target: str, tmp_path: Path) -> None:
    released(target, tmp_path)

    assert "production" in ran(target, "models", "list").output
    assert "churn@1" in ran(target, "models", "show", "churn", "1").output
    assert "approved" in ran(target, "history", "churn").output


def test_verify_fails_and_repair_sets_right(target: str, tmp_path: Path) -> None:
    released(target, tmp_path)
    record = tmp_path / "platform/registry/churn/1.jsonl"
    record.unlink()

    wrong = ran(target, "models", "verify", "churn")
    as_json = ran(target, "models", "verify", "churn", "--json")
    repaired = ran(target, "models", "repair", "churn")

    assert wrong.exit_code == as_json.exit_code == 1
    assert "projection: the provider shows no record for churn@1" in wrong.output
    assert json.loads(as_json.stdout)["problems"][0]["fault"] == "projection"
    assert repaired.exit_code == 0
    assert "drawn again" in repaired.output
    assert ran(target, "models", "verify", "churn").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["promote", "churn", "1", "--to", "staging"], 2, "cannot move to 'staging'"),
        (["promote", "churn", "1", "--to", "archived", "--expect", "7"], 4, "is in production, not '7' as expected"),
        (["promote", "churn", "9", "--to", "candidate"], 3, "has no version '9'"),
        (["rollback", "churn"], 2, "no version to roll back to"),
        (["models", "show", "chrun"], 3, "there is no model 'chrun'"),
        (["models", "delete", "churn", "1"], 2, "is in production and cannot be deleted"),
        (["models", "tag", "churn", "1", "novalue"], 2, "write KEY=VALUE"),
        (["approve", "churn", "1", "--actor", "alice"], 2, "an approval of theirs would not count"),
    ],
    ids=lambda value: " ".join(value[:2]) if isinstance(value, list) else None,
)
def test_a_refusal_has_a_message_and_an_exit_code(
    target: str, tmp_path: Path, arguments: list[str], code: int, said: str
) -> None:
    released(target, tmp_path)

    done = subprocess.run(
        [sys.executable, "-c", "from cloudmlops.cli import main; main()", *arguments, "--target", target],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == code
    assert said in done.stderr


def test_a_version_is_deleted_with_a_reason(target: str, tmp_path: Path) -> None:
    answer(target, "models", "register", "churn", str(written_model(tmp_path / "artifact")), "--request", "r1")
    answer(target, "models", "delete", "churn", "1", "--reason", "wrong data")

    assert answer(target, "history", "churn")[-1]["reason"] == "wrong data"
    assert answer(target, "models", "list") == []
