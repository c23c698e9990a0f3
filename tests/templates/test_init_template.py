"""`cloudmlops init --template`, as somebody types it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from tests.templates.drawing import named_here, run

from cloudmlops.cli.init import init
from cloudmlops.cli.rendering import FIRST, FOLDER, questions, render
from cloudmlops.errors import ConfigurationError, ConflictError

SAYS = dict.fromkeys(FIRST, "answers: leaves with") | {
    "batch-scoring": "500 customers are scored by churn@1: c00001 leaves with",
    "feature-refresh": "churn is fresh: c00001 has",
}
"""What the first command of each template ends with."""


def test_a_project_is_begun_and_named_after_its_folder(tmp_path: Path) -> None:
    done = CliRunner().invoke(init, ["--template", "minimal", "--answer", "ci=none", str(tmp_path / "churn"), "--json"])

    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["template"] == "minimal"
    assert 'NAME = "churn"' in (tmp_path / "churn/model.py").read_text()
    assert not (tmp_path / "churn/.github").exists()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("template", FIRST)
def test_the_command_that_is_named_next_works(tmp_path: Path, template: str) -> None:
    project = tmp_path / "churn"
    begun = CliRunner().invoke(init, ["--template", template, str(project)])
    assert begun.stderr.endswith(f"Next:\n  cd {project}\n  make run\n")
    installed(project)

    try:
        done = subprocess.run(
            ["make", "run"], cwd=project, env=named_here(), capture_output=True, text=True, check=False
        )
        assert SAYS[template] in done.stdout, done.stdout + done.stderr
    finally:
        if "answers" in SAYS[template]:
            stopped = run(project, "cloudmlops", "endpoints", "delete", "churn")
            assert stopped.returncode == 0, stopped.stderr


def installed(project: Path) -> None:
    """Lend a project the packages of this environment, as though `make` had installed them."""
    environment = project / ".venv"
    environment.mkdir()
    for part in ("bin", "lib", "pyvenv.cfg"):
        (environment / part).symlink_to(Path(sys.prefix) / part)
    (environment / "made").touch()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--template", "huge"], "huge"),
        (["--template", "minimal", "--answer", "colour=red"], "nothing is asked by the name of colour"),
        (["--template", "minimal", "--answer", "target=aws"], "'aws' is not in"),
        (["--template", "minimal", "--answer", "name=-x"], "lower-case letters"),
        (["--template", "batch-scoring", "--answer", "feature_store=maybe"], "feature_store is true or false"),
        (["--template", "minimal", "--ask"], "nobody can be asked"),
        (["--template", "minimal", "--answer", "feature_store=yes"], "feature_store is not asked"),
        (["--template", "minimal", "--answer", "serving=mlflow"], "serving is not asked"),
        (["--template", "feature-refresh", "--answer", "feature_store=false"], "feature_store is not asked"),
    ],
    ids=[
        "no such template",
        "no such question",
        "no such choice",
        "a bad name",
        "neither yes nor no",
        "asked without a terminal",
        "not asked here",
        "nor this",
        "nor so",
    ],
)
def test_what_cannot_be_answered_so_is_refused_and_nothing_is_written(
    tmp_path: Path, words: list[str], told: str
) -> None:
    refused = CliRunner().invoke(init, [*words, str(tmp_path / "work/churn")])

    assert isinstance(refused.exception, ConfigurationError)
    assert told in str(refused.exception)
    assert [*tmp_path.iterdir()] == []


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


@pytest.mark.timeout(300)
def test_scores_become_answers_by_the_command_that_the_readme_names(tmp_path: Path) -> None:
    project = tmp_path / "churn"
    render("batch-scoring", project, {"name": "churn"})
    (project / "model.py").write_text((project / "model.py").read_text() + "# mine\n")
    [line] = [line for line in (project / "README.md").read_text().splitlines() if "--force" in line]

    grown = run(project, *line.split())

    assert grown.returncode == 0, grown.stderr
    assert (project / "model.py").read_text().endswith("# mine\n")
    assert "endpoints.deploy" in (project / "release.py").read_text()
    tested = run(project, "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "test_release.py")
    assert tested.returncode == 0, tested.stdout + tested.stderr


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("train-register-deploy", "train-register"),
        ("Churn Model_2", "churn-model-2"),
        ("acceptance-of-it", "acceptance-of-it"),
        ("abcdefghijklmnopqrstu", "abcdefghijklmnop"),
    ],
)
def test_a_project_is_named_by_as_much_of_its_folders_name_as_a_name_may_have(
    tmp_path: Path, folder: str, name: str
) -> None:
    render("minimal", tmp_path / folder, {})

    assert f'NAME = "{name}"' in (tmp_path / folder / "model.py").read_text()


@pytest.mark.parametrize(("answer", "with_features"), [("true", True), ("No", False)])
def test_yes_and_no_are_understood(tmp_path: Path, answer: str, with_features: bool) -> None:
    render("train-register-deploy", tmp_path / "churn", {"feature_store": answer})

    assert (tmp_path / "churn/features.py").exists() is with_features


def test_answers_that_are_kept_name_no_folder_of_this_machine(tmp_path: Path) -> None:
    render("minimal", tmp_path / "churn", {"ci": "none"})
    kept = (tmp_path / "churn/.copier-answers.yml").read_text()

    assert yaml.safe_load(kept)["_src_path"] == "cloudmlops"
    assert str(FOLDER) not in kept
    render("minimal", tmp_path / "churn", {"ci": "gitlab"}, overwrite=True)
    assert yaml.safe_load((tmp_path / "churn/.copier-answers.yml").read_text())["ci"] == "gitlab"


def test_nobody_is_told_to_go_where_he_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    begun = CliRunner().invoke(init, ["--template", "minimal", "--answer", "name=churn", "."])

    assert begun.stderr.endswith("Next:\n  make run\n")


def test_each_template_has_a_first_command() -> None:
    assert [*FIRST] == [*questions()["template"]["choices"].values()]


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


def test_the_command_by_which_a_project_grows_keeps_its_answers(tmp_path: Path) -> None:
    answers = {"name": "churn", "target": "azureml", "ci": "gitlab", "serving": "mlflow"}
    render("minimal", tmp_path / "churn", answers)
    readme = (tmp_path / "churn/README.md").read_text()
    [command] = [line for line in readme.splitlines() if line.startswith("cloudmlops init ")]

    grown = run(tmp_path / "churn", *command.split())

    assert grown.returncode == 0, grown.stderr
    kept = yaml.safe_load((tmp_path / "churn/.copier-answers.yml").read_text())
    assert {name: kept[name] for name in answers} == answers
    assert (tmp_path / "churn/.gitlab-ci.yml").exists()
    assert '"cloudmlops[emulators,templates,testing]"' in (tmp_path / "churn/pyproject.toml").read_text()
