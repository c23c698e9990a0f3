"""What Dockerfiles begin runs as they say, with none of this process's variables."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from tests.templates.drawing import drawn

EVENT = {"specversion": "1.0", "id": "1", "source": "//example.com/registry", "type": "cloudmlops.model.registered"}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return drawn("retrain-on-event", {"target": "azureml", "ci": "none"}, tmp_path_factory.mktemp("images"))


def entrypoint(file: Path) -> list[str]:
    [line] = [line for line in file.read_text().splitlines() if line.startswith("ENTRYPOINT ")]
    return list(json.loads(line.removeprefix("ENTRYPOINT ")))


def test_the_scoring_server_begins_as_the_gate_begins_it(project: Path) -> None:
    command = entrypoint(project / "docker/serving.Dockerfile")

    assert command == ["python", "-m", "cloudmlops.serving"]
    assert 'entrypoint = [sys.executable, "-m", "cloudmlops.serving"]' in (project / "gate.py").read_text()


def test_the_receiver_of_events_takes_what_is_pushed(project: Path, tmp_path: Path) -> None:
    command = entrypoint(project / "docker/events.Dockerfile")
    command[command.index("--port") + 1] = "0"
    packages = Path(sys.executable).parent
    clean = {"PATH": f"{packages}{os.pathsep}/usr/bin", "HOME": str(tmp_path), "PYTHONUNBUFFERED": "1"}
    server = subprocess.Popen(command, cwd=project, env=clean, stderr=subprocess.PIPE, text=True)
    try:
        address = next(at[0] for line in server.stderr or () if (at := re.search(r"http://[\w.:]+\d", line)))
        address = address.replace("0.0.0.0", "127.0.0.1")
        body = json.dumps({**EVENT, "data": {"model": "another", "version": 7}}).encode()
        kind = {"content-type": "application/cloudevents+json"}
        with urllib.request.urlopen(urllib.request.Request(address, body, kind)) as answer:
            assert answer.status == 200
    finally:
        server.terminate()
        server.communicate()


def test_packages_of_images_are_those_of_the_project(project: Path) -> None:
    wanted = re.search(r'dependencies = \["(.*)"\]', (project / "pyproject.toml").read_text())

    for file in (project / "docker").iterdir():
        assert wanted
        assert f'pip install --no-cache-dir "{wanted[1]}"' in file.read_text()
