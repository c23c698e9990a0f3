"""`cloudmlops init --template`, as somebody types it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.templates.drawing import run

from cloudmlops.cli.init import init
from cloudmlops.cli.rendering import render
from cloudmlops.errors import ConfigurationError, ConflictError


def test_a_project_is_begun_and_named_after_its_folder(tmp_path: Path) -> None:
    done = CliRunner().invoke(init, ["--template", "minimal", "--answer", "ci=none", str(tmp_path / "churn"), "--json"])

    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["template"] == "minimal"
    assert 'NAME = "churn"' in (tmp_path / "churn/model.py").read_text()
    assert not (tmp_path / "churn/.github").exists()


def test_what_is_next_is_said(tmp_path: Path) -> None:
    done = CliRunner().invoke(init, ["--template", "minimal", str(tmp_path / "churn")])

    assert "make run" in done.stderr


def test_one_more_command_trains_deploys_and_asks(tmp_path: Path) -> None:
    render("minimal", tmp_path / "churn", {"ci": "none"})

    try:
        done = run(tmp_path / "churn", "train")
        assert "answers: leaves with" in done.stdout, done.stdout + done.stderr
    finally:
        stopped = run(tmp_path / "churn", "cloudmlops", "endpoints", "delete", "churn")
    assert stopped.returncode == 0, stopped.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--template", "huge"], "huge"),
        (["--template", "minimal", "--answer", "colour=red"], "nothing is asked by the name of colour"),
        (["--template", "minimal", "--answer", "target=aws"], "'aws' is not in"),
        (["--template", "minimal", "--answer", "name=-x"], "lower-case letters"),
        (["--template", "minimal", "--answer", "feature_store=yes"], "feature_store is not asked"),
        (["--template", "minimal", "--answer", "serving=mlflow"], "serving is not asked"),
    ],
    ids=["no such template", "no such question", "no such choice", "a bad name", "not asked here", "nor this"],
)
def test_what_cannot_be_answered_so_is_refused_and_nothing_is_written(
    tmp_path: Path, words: list[str], told: str
) -> None:
    refused = CliRunner().invoke(init, [*words, str(tmp_path / "churn")])

    assert isinstance(refused.exception, ConfigurationError)
    assert told in str(refused.exception)
    assert not [*tmp_path.rglob("*.py")]


@pytest.mark.parametrize(
    "words",
    [["--answer", "ci=none"], ["--ask"], ["--template", "minimal", "--answer", "ci"]],
    ids=["an answer to nothing", "asked nothing", "no answer"],
)
def test_words_that_do_not_go_together_are_refused(tmp_path: Path, words: list[str]) -> None:
    assert CliRunner().invoke(init, [*words, str(tmp_path / "churn")]).exit_code == 2


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")

    with pytest.raises(ConflictError, match=r"is not empty: it holds thesis\.txt"):
        render("minimal", tmp_path, {"name": "churn"})
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_force_leaves_to_the_owner_what_is_the_owners(tmp_path: Path) -> None:
    render("minimal", tmp_path, {"name": "churn"})
    (tmp_path / "model.py").write_text("# mine\n")
    (tmp_path / "train.py").write_text("# mine\n")

    render("minimal", tmp_path, {"name": "churn"}, overwrite=True)

    assert (tmp_path / "model.py").read_text() == "# mine\n"
    assert "def train" in (tmp_path / "train.py").read_text()


def test_a_project_that_grows_keeps_its_model_and_its_platform(tmp_path: Path) -> None:
    render("minimal", tmp_path, {"name": "churn"})
    kept = ["model.py", "test_model.py", "cloudmlops.toml"]
    for file in kept:
        (tmp_path / file).write_text("# mine\n")

    render("train-register-deploy", tmp_path, {"name": "churn"}, overwrite=True)

    assert [(tmp_path / file).read_text() for file in kept] == ["# mine\n"] * 3
    assert (tmp_path / "release.py").exists()


def test_features_and_a_server_that_looks_none_up_are_refused(tmp_path: Path) -> None:
    answers = {"target": "azureml", "serving": "mlflow", "feature_store": "true"}

    with pytest.raises(ConfigurationError, match="looks no features up"):
        render("train-register-deploy", tmp_path / "churn", answers)


def test_without_copier_it_is_said_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "copier", None)

    with pytest.raises(ConfigurationError, match="which is not installed"):
        render("minimal", tmp_path / "churn", {})
    assert not (tmp_path / "churn").exists()


def test_who_lacks_the_extra_is_told_its_name(tmp_path: Path) -> None:
    lacking = "import sys; sys.modules['copier'] = None; from cloudmlops.cli import main; main()"
    words = ["init", "--template", "minimal", str(tmp_path / "churn")]

    told = subprocess.run([sys.executable, "-c", lacking, *words], capture_output=True, text=True, check=False)

    assert told.returncode != 0
    assert 'pip install "cloudmlops[templates]"' in told.stderr
    assert "Traceback" not in told.stderr
