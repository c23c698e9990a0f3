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


@pytest.mark.parametrize(
    ("template", "file", "before", "after", "owned"),
    [
        ("minimal", "train.py", 'reason="train.py"', 'reason="by hand"', "model.py"),
        ("batch-scoring", "scoring.py", 'NIGHTLY = "0 4', 'NIGHTLY = "0 3', "model.py"),
        ("feature-refresh", "windows.py", "LATE = 2 * DAY", "LATE = 3 * DAY", "sources.py"),
    ],
)
def test_an_update_between_two_releases_keeps_an_owners_edits(
    tmp_path: Path, source: Path, template: str, file: str, before: str, after: str, owned: str
) -> None:
    project, answers = tmp_path / "project", {"name": "churn", "template": template}
    copier.run_copy(str(source), project, data=answers, defaults=True, quiet=True, vcs_ref="v1")
    git(project, "init", "--quiet")
    edited = (owned, file, "README.md")
    for name in edited:
        (project / name).write_text((project / name).read_text() + "\n# mine\n")
    commit(project)

    learned = source / f"project/{file}.jinja"
    learned.write_text(learned.read_text().replace(before, after))
    owners = source / f"project/{owned}.jinja"
    owners.write_text(owners.read_text().replace("import", "# learned\nimport", 1))
    (source / "project/new.txt").write_text("new\n")
    commit(source, "v2")
    copier.run_update(project, defaults=True, overwrite=True, quiet=True)

    for name in edited:
        text = (project / name).read_text()
        assert text.endswith("# mine\n")
        assert "<<<<" not in text
    assert after in (project / file).read_text()
    assert (project / "new.txt").read_text() == "new\n"
    assert "_commit: v2" in (project / ".copier-answers.yml").read_text()
