"""Continuous integration of all three makers has the same jobs, which call the same commands of the project."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.templates.drawing import Answers, drawn

MAKERS = ("github", "gitlab", "azure")
GOALS = {
    "check": ["check", "test"],
    "newest": ["newest"],
    "plan-CLOUD": ["plan-CLOUD"],
    "check-CLOUD": ["train", "gate"],
    "promote-CLOUD": ["promote"],
    "compare-CLOUD": ["compare"],
    "schedule-CLOUD": ["schedule"],
}
"""What jobs call, by their names: goals of the Makefile."""
CLOUDS = {"local": [], "vertex": ["vertex"], "azureml": ["azureml"], "both": ["vertex", "azureml"]}
CHOSEN: list[tuple[str, Answers]] = [
    ("minimal", {"target": "both"}),
    ("train-register-deploy", {"target": "local"}),
    ("train-register-deploy", {"target": "vertex", "feature_store": True}),
    ("train-register-deploy", {"target": "azureml", "serving": "mlflow"}),
    ("retrain-on-event", {"target": "both", "stacks": "../../stacks"}),
    ("batch-scoring", {"target": "both", "stacks": "../../stacks"}),
    ("feature-refresh", {"target": "both"}),
]


def jobs(project: Path, maker: str) -> dict[str, Any]:
    """Return the jobs of a project, by their names as GitHub has them."""
    if maker == "gitlab":
        read = yaml.safe_load((project / ".gitlab-ci.yml").read_text())
        shared = {name: one for name, one in read.items() if name.startswith(".")}
        return {
            name: shared.get(one.get("extends"), {}) | one
            for name, one in read.items()
            if name not in ("default", "stages", "variables") and not name.startswith(".")
        }
    folder = {"github": ".github/workflows", "azure": ".azure-pipelines"}[maker]
    found: dict[str, Any] = {}
    for file in sorted((project / folder).glob("*.yml")):
        read = yaml.safe_load(file.read_text())
        if maker == "github":
            found |= read["jobs"]
        elif "stages" in read:
            found |= {stage["stage"].replace("_", "-"): stage for stage in read["stages"]}
        else:
            found |= {job["job"].replace("_", "-"): job for job in read["jobs"]}
    return found


def goals(job: Any) -> list[str]:
    """Return what a job makes, in order."""
    called = [re.findall(r"(?:^|\s)make ([a-z][a-z-]*)", text) for text in strings(job)]
    return [goal for found in called for goal in found]


def strings(node: Any) -> Iterator[str]:
    """Yield all texts of a description, in order."""
    if isinstance(node, str):
        yield node
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from strings(child)


@pytest.fixture(scope="module", params=range(len(CHOSEN)), ids=lambda number: f"{CHOSEN[number][0]}-{number}")
def projects(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One project a maker, of the same answers."""
    template, answers = CHOSEN[request.param]
    folder = tmp_path_factory.mktemp("workflows")
    return {maker: drawn(template, {**answers, "ci": maker}, folder) for maker in MAKERS}


@pytest.fixture
def wanted(projects: dict[str, Path]) -> dict[str, list[str]]:
    """What jobs there are to be, and what each makes."""
    project = projects["github"]
    answers = yaml.safe_load((project / ".copier-answers.yml").read_text())
    clouds = CLOUDS[answers["target"]]
    kinds = ["check-CLOUD", "promote-CLOUD"] if (project / "release.py").exists() else []
    kinds += ["compare-CLOUD", "schedule-CLOUD"] if (project / "refresh.py").exists() else []
    kinds += ["plan-CLOUD"] if answers.get("stacks") else []
    named = {kind.replace("CLOUD", cloud): (kind, cloud) for kind in kinds for cloud in clouds}
    of_clouds = {name: [goal.replace("CLOUD", cloud) for goal in GOALS[kind]] for name, (kind, cloud) in named.items()}
    return {name: GOALS[name] for name in ("check", "newest")} | of_clouds


@pytest.mark.parametrize("maker", MAKERS)
def test_each_has_all_jobs_and_they_make_the_same(
    projects: dict[str, Path], wanted: dict[str, list[str]], maker: str
) -> None:
    assert {name: goals(job) for name, job in jobs(projects[maker], maker).items()} == wanted


@pytest.mark.parametrize("maker", MAKERS)
def test_what_jobs_make_is_in_the_makefile_and_nowhere_else(
    projects: dict[str, Path], wanted: dict[str, list[str]], maker: str
) -> None:
    makefile = (projects[maker] / "Makefile").read_text()
    written = "".join(text for job in jobs(projects[maker], maker).values() for text in strings(job))

    for goal in {goal for found in wanted.values() for goal in found}:
        assert re.search(rf"^{goal}:.*## ", makefile, re.MULTILINE), goal
    for command in ("release.py", "refresh.py", "pytest", "ruff", "terraform init", "terraform plan", "pip install"):
        assert command not in written


@pytest.mark.parametrize("maker", MAKERS)
def test_promotion_waits_for_an_environment_and_names_who_agreed(projects: dict[str, Path], maker: str) -> None:
    for name, job in jobs(projects[maker], maker).items():
        kind, _, cloud = name.partition("-")
        if kind not in ("promote", "schedule"):
            continue
        written, environment = "\n".join(strings(job)), f"{cloud}-production"
        if maker == "azure":
            [deployment] = job["jobs"]
            assert deployment["environment"] == environment
        else:
            assert job["environment"] == environment
        assert ("APPROVER" in written) == (kind == "promote")
        if maker == "gitlab":
            assert [rule["when"] for rule in job["rules"]] == ["manual"]


@pytest.mark.parametrize("maker", MAKERS)
def test_a_release_and_a_plan_begin_on_the_main_branch_alone(projects: dict[str, Path], maker: str) -> None:
    main = {
        "github": "github.ref == 'refs/heads/main'",
        "gitlab": "$CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH",
        "azure": "eq(variables['Build.SourceBranch'], 'refs/heads/main')",
    }
    for name, job in jobs(projects[maker], maker).items():
        if name.startswith(("check-", "compare-", "plan-")):
            assert main[maker] in "\n".join(strings(job)), name


@pytest.mark.parametrize("maker", MAKERS)
def test_a_token_is_exchanged_and_no_key_is_named(projects: dict[str, Path], maker: str) -> None:
    tokens = {"github": "id-token", "gitlab": "id_tokens", "azure": "addSpnToEnvironment"}
    for name, job in jobs(projects[maker], maker).items():
        written = str(job)
        assert (tokens[maker] in written) == ("-" in name), name
        for secret in (
            "secrets.",
            "CLIENT_SECRET",
            "PASSWORD",
            "servicePrincipalKey",
            "ACCESS_KEY",
            "credentials_json",
        ):
            assert secret not in written


def test_on_github_a_job_logs_in_to_azure_again_when_it_has_trained(projects: dict[str, Path]) -> None:
    """What a login is made with lasts minutes, and training may take three hours."""
    found = jobs(projects["github"], "github").get("check-azureml")
    if found is None:
        assert not (projects["github"] / "release.py").exists() or "azureml" not in str(projects["github"])
        return
    told = [step.get("uses", step.get("run", "")).split("@")[0].split(" &&")[0] for step in found["steps"]]
    assert [one for one in told if one in ("azure/login", "make train", "make gate")] == [
        "azure/login",
        "make train",
        "azure/login",
        "make gate",
    ]


@pytest.mark.parametrize("maker", MAKERS)
def test_readmes_say_what_the_approval_does_not_guard(projects: dict[str, Path], maker: str) -> None:
    readme = " ".join((projects[maker] / "README.md").read_text().split())
    if not {name for name in jobs(projects[maker], maker) if name.startswith(("promote-", "schedule-"))}:
        return
    assert re.search("is the same before (it|the approval|somebody agrees) and after", readme)
    assert re.search("[Pp]rotect", readme)
    told = {"github": "deployment branches", "gitlab": "the main branch", "azure": "access permission to all pipelines"}
    assert told[maker] in readme


@pytest.mark.parametrize("maker", MAKERS)
def test_a_version_that_is_registered_is_taken_in_place_of_a_new_one(projects: dict[str, Path], maker: str) -> None:
    """It comes as a variable of the environment, never as part of a script; with two clouds each has its own."""
    project = projects[maker]
    files = {"github": ".github/workflows/release.yml", "azure": ".azure-pipelines/release.yml"}
    checks = {name: job for name, job in jobs(project, maker).items() if re.match("check-(vertex|azureml)", name)}
    file = project / files.get(maker, ".gitlab-ci.yml")
    asked = yaml.safe_load(file.read_text()) if file.exists() else {}
    if maker == "github":
        begun = asked.get(True, {"workflow_dispatch": {"inputs": {}}})  # YAML takes `on` for true
        inputs = {name: one["default"] for name, one in begun["workflow_dispatch"]["inputs"].items()}
    elif maker == "azure":
        inputs = {one["name"]: one["default"] for one in asked.get("parameters", [])}
    else:
        inputs = {name: one["value"] for name, one in asked.get("variables", {}).items()}
    word = "GIVEN" if maker == "gitlab" else "version"
    clouds = [name.removeprefix("check-") for name in checks]
    names = {cloud: f"{word}_{cloud.upper() if maker == 'gitlab' else cloud}" for cloud in clouds}
    assert inputs == dict.fromkeys(names.values() if len(clouds) > 1 else [word] if clouds else [], "new")
    for cloud, job in checks.items():
        name = names[cloud.removeprefix("check-")] if len(clouds) > 1 else word
        told = {"github": f"${{{{ inputs.{name} }}}}", "azure": f"${{{{ parameters.{name} }}}}"}
        if maker == "gitlab":
            [train] = [line for line in job["script"] if line.endswith("make train")]
            assert train.startswith(f'GIVEN="${name}" sh ') if len(clouds) > 1 else train.startswith("sh ")
            promoted = jobs(project, maker)[cloud.replace("check", "promote")]
            assert promoted["rules"] == [{**job["rules"][0], "when": "manual"}], "a job that is needed is there"
        else:
            assert [one for one in environments(job) if "GIVEN" in one] == [{"GIVEN": told[maker]}]
            assert [one for one in strings(job) if told[maker] in one] == [told[maker]]
        if len(clouds) > 1:
            began = " ".join(strings(job["if"] if maker == "github" else job.get("condition", job.get("rules"))))
            assert set(re.findall(rf"{word}_[A-Za-z]+", began)) == set(names.values())


def environments(node: Any) -> Iterator[dict[str, str]]:
    """Yield the variables that steps of a job are given."""
    if isinstance(node, dict) and isinstance(node.get("env"), dict):
        yield node["env"]
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from environments(child)


def test_the_version_is_told_from_one_job_to_the_next(projects: dict[str, Path]) -> None:
    for cloud in ("vertex", "azureml"):
        found = {maker: jobs(project, maker) for maker, project in projects.items()}
        if f"promote-{cloud}" not in found["github"]:
            continue
        on_github = found["github"][f"check-{cloud}"]
        assert on_github["outputs"] == {"version": "${{ steps.train.outputs.version }}"}
        assert f"needs.check-{cloud}.outputs.version" in str(found["github"][f"promote-{cloud}"])
        assert found["gitlab"][f"check-{cloud}"]["artifacts"]["reports"] == {"dotenv": "release.env"}
        assert found["gitlab"][f"promote-{cloud}"]["needs"] == [f"check-{cloud}"]
        assert "variable=version;isOutput=true" in str(found["azure"][f"check-{cloud}"])
        [deployment] = found["azure"][f"promote-{cloud}"]["jobs"]
        told = f"$[stageDependencies.check_{cloud}.check.outputs['train.version']]"
        assert deployment["variables"] == {"VERSION": told}
