"""Every combination of answers is drawn, and is what linters and schemas want."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from tests.templates.drawing import combinations, drawn_together, run
from tools.workflow_checks import faults

from cloudmlops.cli.rendering import questions

TEMPLATES = [*questions()["template"]["choices"].values()]
pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def projects(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    wanted = [(template, answers) for template in TEMPLATES for answers in combinations(template)]
    return drawn_together(wanted, shared / "all-answers")


def test_every_combination_passes_ruff(projects: list[Path]) -> None:
    folder = projects[0].parent

    for words in (("check",), ("format", "--check")):
        found = run(folder, "ruff", *words, "--no-cache", ".")
        assert found.returncode == 0, found.stdout + found.stderr
    assert len(projects) == 24 + 2 * 40 + 32 + 16


def test_every_combination_has_its_workflows_and_no_other(projects: list[Path]) -> None:
    files = {"github": ".github/workflows/check.yml", "azure": ".azure-pipelines/check.yml", "gitlab": ".gitlab-ci.yml"}

    for project in projects:
        there = {ci for ci, file in files.items() if (project / file).exists()}
        assert there == {ci for ci in files if f"-{ci}-" in f"{project.name}-"}
        assert (project / ".github").exists() == ("github" in there)


def test_workflows_keep_to_their_schemas_and_zizmor_finds_nothing(projects: list[Path]) -> None:
    assert faults(projects) == ""


def test_a_release_has_an_environment_with_reviewers_and_a_cloud_to_go_to(projects: list[Path]) -> None:
    for project in projects:
        release = project / ".github/workflows/release.yml"
        grows = not project.name.startswith(("minimal", "feature-refresh")) and "-github-" in project.name
        assert release.exists() == (grows and "-local-" not in project.name)
        clouds = {"vertex": ["vertex"], "azureml": ["azureml"], "both": ["vertex", "azureml"]}
        if release.exists():
            [target] = [cloud for cloud in clouds if f"-{cloud}-" in project.name]
            said = release.read_text()
            assert [cloud for cloud in ("vertex", "azureml") if f"environment: {cloud}-production" in said] == clouds[
                target
            ]
            assert "secrets." not in said


def test_nothing_of_a_template_is_left_in_a_project(projects: list[Path]) -> None:
    for file in (file for project in projects for file in project.rglob("*") if file.is_file()):
        text = file.read_text(encoding="utf-8").replace("${{", "")
        assert "{%" not in text, file
        assert "{{" not in text, file
        assert file.suffix != ".jinja"


def test_a_project_that_runs_here_alone_names_no_cloud(projects: list[Path]) -> None:
    for project in (project for project in projects if "-local-" in project.name):
        for file in project.rglob("*"):
            assert not file.is_file() or "emulated" not in file.read_text(encoding="utf-8"), file


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("permissions: {}", "permissions: write-all", "permissions"),
        ("@08c6903cd8c0fde910a37f88322edcfb5dd907a8", "@v5", "unpinned"),
        ("persist-credentials: false", "fetch-depth: 1", "credential"),
        ("runs-on:", "run-on:", "check.yml"),
        ("- run: make test", "- run: echo ${{ github.event.pull_request.title }}", "injection"),
    ],
    ids=["rights for all", "an action by its tag", "credentials that stay", "a misspelt key", "an injected title"],
)
def test_a_mistake_in_a_workflow_is_found(
    tmp_path: Path, projects: list[Path], before: str, after: str, told: str
) -> None:
    project = next(project for project in projects if "-github-" in project.name)
    copy = Path(shutil.copytree(project, tmp_path / "copy"))
    check = copy / ".github/workflows/check.yml"
    check.write_text(check.read_text().replace(before, after, 1))

    assert told in faults([copy])
