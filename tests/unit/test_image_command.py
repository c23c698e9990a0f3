from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from click.testing import CliRunner

from cloudmlops.cli import cli


def written(kind: str, folder: Path, *options: str) -> dict[str, object]:
    result = CliRunner().invoke(cli, ["image", kind, str(folder), *options, "--json"], catch_exceptions=False)
    found: dict[str, object] = json.loads(result.stdout)
    return found


@pytest.mark.parametrize("kind", ["steps", "serving"])
def test_an_image_has_this_python_and_the_packages_of_this_environment(kind: str, tmp_path: Path) -> None:
    told = written(kind, tmp_path / "image")

    lines = (tmp_path / "image" / "requirements.txt").read_text().splitlines()
    packages = dict(line.split("==") for line in lines)
    assert packages["pyarrow"] == version("pyarrow")
    assert packages["cloudmlops[local,vertex,azureml]"] == version("cloudmlops")
    assert told["packages"] == len(lines)
    assert f"FROM python:{sys.version_info.major}.{sys.version_info.minor}-slim\n" in dockerfile(tmp_path / "image")


def test_the_image_of_the_scoring_server_starts_it(tmp_path: Path) -> None:
    written("serving", tmp_path)
    (entrypoint,) = re.findall(r"^ENTRYPOINT (.*)$", dockerfile(tmp_path), re.MULTILINE)
    program, *arguments = json.loads(entrypoint)

    started = subprocess.run(
        [{"python": sys.executable}[program], *arguments, "--help"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "COLUMNS": "200"},
    )

    assert "--model" in started.stdout


def test_files_that_are_there_are_kept(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("mine")

    result = CliRunner().invoke(cli, ["image", "steps", str(tmp_path)])

    assert "holds Dockerfile already" in str(result.exception)
    assert dockerfile(tmp_path) == "mine"
    assert not (tmp_path / "requirements.txt").exists()
    written("steps", tmp_path, "--force")
    assert dockerfile(tmp_path) != "mine"


def dockerfile(folder: Path) -> str:
    return (folder / "Dockerfile").read_text()
