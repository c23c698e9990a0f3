"""`init`, `quickstart` and `doctor`, as somebody types them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import cloudmlops as cm
from cloudmlops.cli.packages import missing_packages
from cloudmlops.cli.projects import copy_example, example
from cloudmlops.errors import ConfigurationError, ConflictError


def command(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CLOUDMLOPS_")}
    return subprocess.run(
        [sys.executable, "-c", "from cloudmlops.cli import main; main()", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_started_project_runs_at_once_and_its_test_passes(tmp_path: Path) -> None:
    started = command("init", "mine", folder=tmp_path)
    assert started.returncode == 0, started.stderr
    assert "cloudmlops run pipeline.py:hello" in started.stderr

    ran = command("run", "pipeline.py:hello", "--json", folder=tmp_path / "mine")
    assert ran.returncode == 0, ran.stderr
    tested = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=tmp_path / "mine",
        capture_output=True,
        text=True,
        check=False,
    )
    assert "2 passed" in tested.stdout, tested.stdout + tested.stderr


def test_a_started_project_keeps_what_its_owner_wrote(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    copy_example("starter", folder)
    (folder / "pipeline.py").write_text("# mine\n", encoding="utf-8")

    assert copy_example("starter", folder) == []
    assert (folder / "pipeline.py").read_text(encoding="utf-8") == "# mine\n"


def test_force_writes_over_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "other.txt").write_text("mine", encoding="utf-8")

    with pytest.raises(ConflictError, match=r"is no copy of the example: it holds other\.txt"):
        copy_example("starter", tmp_path)
    assert len(copy_example("starter", tmp_path, overwrite=True)) == 4
    assert (tmp_path / "other.txt").exists()


@pytest.mark.parametrize("name", ["init", "quickstart"])
def test_a_folder_that_holds_something_else_is_left_alone(tmp_path: Path, name: str) -> None:
    (tmp_path / "thesis.txt").write_text("mine", encoding="utf-8")

    refused = command(name, ".", folder=tmp_path)

    assert refused.returncode == 4
    assert "is not empty and is no copy of the example: it holds thesis.txt" in refused.stderr
    assert "--force" in refused.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("", encoding="utf-8")

    with pytest.raises(ConflictError, match="is a file"):
        copy_example("starter", tmp_path / "mine")


def test_an_example_that_is_not_shipped_is_said() -> None:
    with pytest.raises(ConfigurationError, match="'nonsense' is missing from the installation"):
        example("nonsense")


def test_no_example_ships_what_it_made(tmp_path: Path) -> None:
    copy_example("flight_delays", tmp_path / "flights")

    assert not [path for path in (tmp_path / "flights").rglob("*") if path.suffix not in {".py", ".md", ".toml"}]


def test_packages_of_an_extra_that_are_there_are_not_missed() -> None:
    assert [*missing_packages("local")] == []


def test_doctor_finds_a_sound_platform_sound(tmp_path: Path) -> None:
    found = command("doctor", "--target", f"local://{tmp_path}/platform", "--json", folder=tmp_path)

    checks = {check["check"]: check for check in json.loads(found.stdout)}
    assert found.returncode == 0, found.stdout
    assert all(check["ok"] for check in checks.values())
    assert {"Python", "Target", "Folder", "Write-ahead log", "Free disk", "Runs", "Endpoints", "Ledgers"} <= set(checks)


def test_doctor_names_what_to_do_and_fails(tmp_path: Path) -> None:
    found = command("doctor", folder=tmp_path)
    assert found.returncode == 1
    assert "FAIL Target: no platform was named" in found.stdout
    assert "cloudmlops.toml" in found.stdout

    (tmp_path / "file").write_text("", encoding="utf-8")
    found = command("doctor", "--target", f"local://{tmp_path}/file/platform", folder=tmp_path)
    assert found.returncode == 1
    assert "FAIL Target: the platform's folder" in found.stdout
    assert "Name a folder that you can write to" in found.stdout


def test_doctor_finds_a_damaged_ledger(tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "MLmodel").write_text("flavors: {}\n", encoding="utf-8")
    with cm.connect(f"local://{tmp_path}/platform") as platform:
        platform.models.register("churn", model)
        platform.models.tag("churn", "1", {"a": "b"})
    second = tmp_path / "platform/objects/ledger/models/churn/000000000002.json"
    second.write_bytes(second.read_bytes().replace(b"churn", b"chorn"))

    found = command("doctor", "--target", f"local://{tmp_path}/platform", folder=tmp_path)

    assert found.returncode == 1
    assert "FAIL Ledgers" in found.stdout
    assert "cloudmlops models verify churn" in found.stdout
