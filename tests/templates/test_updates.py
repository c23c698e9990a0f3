"""A project takes what its template learned since, and keeps what its owner wrote."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import copier
import pytest

from cloudmlops.cli.rendering import FOLDER


def git(folder: Path, *words: str) -> None:
    who = ("-c", "user.name=somebody", "-c", "user.email=somebody@example.com", "-c", "init.defaultBranch=main")
    subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True)


def commit(folder: Path, tag: str | None = None) -> None:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "change")
    if tag:
        git(folder, "tag", tag)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """The templates as a repository of their own, with one release."""
    source = Path(shutil.copytree(FOLDER, tmp_path / "source"))
    git(source, "init", "--quiet")
    commit(source, "v1")
    return source


def test_an_update_between_two_releases_keeps_an_owners_edits(tmp_path: Path, source: Path) -> None:
    project = tmp_path / "project"
    copier.run_copy(str(source), project, data={"name": "churn"}, defaults=True, quiet=True, vcs_ref="v1")
    git(project, "init", "--quiet")
    for file in ("model.py", "train.py", "README.md"):
        (project / file).write_text((project / file).read_text() + "\n# mine\n")
    commit(project)

    template = source / "project/train.py.jinja"
    template.write_text(template.read_text().replace('reason="train.py"', 'reason="by hand"'))
    (source / "project/new.txt").write_text("new\n")
    commit(source, "v2")
    copier.run_update(project, defaults=True, overwrite=True, quiet=True)

    train = (project / "train.py").read_text()
    assert 'reason="by hand"' in train
    assert train.endswith("# mine\n")
    assert "<<<<" not in train
    for file in ("model.py", "README.md"):
        assert (project / file).read_text().endswith("# mine\n")
    assert (project / "new.txt").read_text() == "new\n"
    assert "_commit: v2" in (project / ".copier-answers.yml").read_text()
