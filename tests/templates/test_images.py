"""What Dockerfiles begin runs as they say, with none of this process's variables."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import httpx
import pytest
from tests.templates import receivers
from tests.templates.drawing import drawn

from cloudmlops.testing.model_folders import write_scaling_model

EVENT = {"specversion": "1.0", "id": "1", "source": "//example.com/registry", "type": "cloudmlops.model.registered"}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return drawn("retrain-on-event", {"target": "both", "ci": "none"}, tmp_path_factory.mktemp("images"))


def test_the_scoring_server_begins_as_the_gate_begins_it(project: Path) -> None:
    command = receivers.entrypoint(project / "docker/serving.Dockerfile")

    assert command == ["python", "-m", "cloudmlops.serving"]
    assert 'entrypoint = [sys.executable, "-m", "cloudmlops.serving"]' in (project / "gate.py").read_text()


@pytest.mark.parametrize("cloud", ["vertex", "azureml"])
def test_the_scoring_server_finds_its_model_by_what_the_cloud_tells(project: Path, tmp_path: Path, cloud: str) -> None:
    folder = write_scaling_model(tmp_path / "model", factor=2.0)
    command = receivers.entrypoint(project / "docker/serving.Dockerfile")
    told = {
        "vertex": {"AIP_STORAGE_URI": folder.as_uri(), "AIP_HTTP_PORT": "0", "AIP_HEALTH_ROUTE": "/well"},
        "azureml": {"AZUREML_MODEL_DIR": str(tmp_path)},  # the folder is mounted within
    }
    arguments = ["--host", "127.0.0.1"] + (["--port", "0"] if cloud == "azureml" else [])
    with receivers.begun([*command, *arguments], project, receivers.clean(tmp_path) | told[cloud]) as address:
        assert httpx.get(f"{address}/{'well' if cloud == 'vertex' else 'healthz'}", trust_env=False).status_code == 200


@pytest.mark.parametrize("cloud", ["vertex", "azureml"])
def test_the_image_of_steps_begins_what_the_cloud_names(project: Path, tmp_path: Path, cloud: str) -> None:
    assert "ENTRYPOINT" not in (project / "docker/steps.Dockerfile").read_text(), "it would stand before what is named"
    command = ["python", "-m", f"cloudmlops.providers.{cloud}.running", "--help"]

    done = subprocess.run(command, cwd=tmp_path, env=receivers.clean(tmp_path), capture_output=True, text=True)

    assert "Run one step." in done.stdout, done.stderr


def test_the_receiver_of_events_takes_what_is_pushed(project: Path, tmp_path: Path) -> None:
    here = {"CLOUDMLOPS_TARGET": f"local://{tmp_path / 'platform'}"}
    with receivers.image(project, receivers.clean(tmp_path) | here) as address:
        body = json.dumps({**EVENT, "data": {"model": "another", "version": 7}})
        kind = {"content-type": "application/cloudevents+json"}
        assert httpx.post(address, content=body, headers=kind, trust_env=False).status_code == 200


def test_a_receiver_that_is_told_no_platform_does_not_start(project: Path, tmp_path: Path) -> None:
    with (
        pytest.raises(AssertionError, match="no target is named 'none-given'"),
        receivers.image(project, receivers.clean(tmp_path)),
    ):
        pass


def test_packages_of_images_and_of_the_function_are_those_of_the_project(project: Path) -> None:
    wanted = re.search(r'dependencies = \["(.*)"\]', (project / "pyproject.toml").read_text())

    assert wanted
    for file in (project / "docker").iterdir():
        assert f'pip install --no-cache-dir "{wanted[1]}"' in file.read_text()
    assert wanted[1] in (project / "requirements.txt").read_text().splitlines()
