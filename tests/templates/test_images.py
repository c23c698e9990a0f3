"""What Dockerfiles begin runs as they say, with none of this process's variables."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from fnmatch import fnmatch
from pathlib import Path

import httpx
import pytest
from tests.templates import receivers
from tests.templates.drawing import drawn, run

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


def test_images_have_the_packages_of_the_project_and_no_list_of_their_own(project: Path) -> None:
    for file in (project / "docker").iterdir():
        installs = [line for line in file.read_text().splitlines() if "pip install" in line]
        assert installs == [
            'RUN pip install --no-cache-dir --upgrade "pip>=25.1" && pip install --no-cache-dir --group run'
        ]
        assert "COPY pyproject.toml ./" in file.read_text().splitlines()


def test_a_package_that_azure_would_not_install_for_the_function_fails_a_test(project: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(project, tmp_path / "copy"))
    assert run(copy, "pytest", "-q", "-p", "no:xdist", "test_function_app.py").returncode == 0
    file = copy / "pyproject.toml"
    file.write_text(file.read_text().replace("run = [", 'run = [\n    "polars>=1",', 1))

    tested = run(copy, "pytest", "-q", "-p", "no:xdist", "test_function_app.py")

    assert tested.returncode == 1
    assert "polars>=1" in tested.stdout


def test_servers_do_not_run_as_root_and_images_that_do_say_why(project: Path, tmp_path: Path) -> None:
    for name in ("events", "serving"):
        lines = (project / f"docker/{name}.Dockerfile").read_text().splitlines()
        assert lines.index("USER 1000") == lines.index("RUN useradd --create-home --uid 1000 server") + 1
        assert not [line for line in lines[lines.index("USER 1000") :] if line.startswith(("RUN", "COPY", "USER r"))]
    scoring = drawn("batch-scoring", {"target": "azureml", "ci": "none"}, tmp_path)
    for file in (project / "docker/steps.Dockerfile", scoring / "docker/serving.Dockerfile"):
        assert "USER" not in file.read_text()
        assert re.search(r"^# (They run|It runs) as root: .*a run", file.read_text(), re.MULTILINE)


def test_what_is_sent_to_a_build_is_source_and_no_environment(project: Path) -> None:
    patterns = (project / ".dockerignore").read_text().splitlines()[1:]
    (project / ".venv").mkdir(exist_ok=True)
    copied = {
        name
        for file in (project / "docker").iterdir()
        for line in file.read_text().splitlines()
        if line.startswith("COPY ")
        for name in line.split()[1:-1]
    }

    sent = {path.name for path in project.iterdir() if _sent(path.name, patterns)}

    assert copied == {"*.py", "cloudmlops.toml", "pyproject.toml"}
    assert {"cloudmlops.toml", "pyproject.toml", "handlers.py", "gate.py"} <= sent
    assert all(fnmatch(name, "*.py") or name in copied for name in sent)
    assert not [name for name in sent if name.startswith("test_")]


def _sent(name: str, patterns: list[str]) -> bool:
    """Say whether docker would send a file of the folder: the last pattern that fits decides."""
    fits = [pattern for pattern in patterns if fnmatch(name, pattern.removeprefix("!"))]
    return not fits or fits[-1].startswith("!")


def test_the_readme_builds_each_image_with_the_projects_folder_as_context(project: Path) -> None:
    readme = (project / "README.md").read_text()

    for name in ("events", "serving", "steps"):
        assert f"docker/{name}.Dockerfile" in readme
    assert {line.split()[-1] for line in re.findall(r"`(docker build [^`]*)`", readme)} == {"."}
    assert re.search(r"docker build --file docker/events\.Dockerfile --tag \S+ \.", readme)
