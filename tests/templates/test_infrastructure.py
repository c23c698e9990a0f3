"""The Terraform of projects: by the stacks of this repository, and what `init --from-terraform` reads."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import yaml
from tests.templates.drawing import Answers, drawn
from tools.tfcheck.checks import ENDS, End, check

TERRAFORM = Path(__file__).parents[2] / "terraform"
ANSWERS: list[tuple[str, Answers]] = [
    ("retrain-on-event", {"target": "both", "ci": "github", "feature_store": True}),
    ("train-register-deploy", {"target": "both", "ci": "none"}),
    ("batch-scoring", {"target": "both", "ci": "azure", "feature_store": True}),
    ("feature-refresh", {"target": "both", "ci": "github"}),
    ("train-register-deploy", {"target": "both", "ci": "gitlab", "feature_store": True}),
    ("train-register-deploy", {"target": "both", "ci": "azure"}),
]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository's modules and stacks, and projects beside them."""
    tree = tmp_path_factory.mktemp("tree")
    shutil.copytree(TERRAFORM / "modules", tree / "modules")
    shutil.copytree(TERRAFORM / "stacks", tree / "stacks", ignore=shutil.ignore_patterns("examples"))
    for number, (template, answers) in enumerate(ANSWERS):
        drawn(template, {**answers, "stacks": "../../../../stacks"}, tree / f"projects-{number}")
    return tree


@pytest.mark.parametrize("end", ENDS)
def test_terraform_takes_the_roots_of_projects(tree: Path, end: End) -> None:
    folders = [f"projects-{number}" for number in range(len(ANSWERS))]

    results = [*check(tree, end=end, only=folders, tests=False)]

    assert [result for result in results if not result.passed] == []
    assert len(results) == 2 * len(ANSWERS)


@pytest.mark.parametrize("cloud", ["google", "azure"])
def test_a_root_tells_all_that_its_stack_tells(tree: Path, cloud: str) -> None:
    for project in tree.glob("projects-*/*"):
        root = project / "infrastructure" / cloud
        assert outputs(root) == outputs(TERRAFORM / "stacks" / cloud)


@pytest.mark.parametrize("name", ["providers.tf", "versions.tf"])
def test_providers_are_set_up_as_in_the_example(tree: Path, name: str) -> None:
    example = (TERRAFORM / "stacks/azure/examples/dev" / name).read_text()

    for project in tree.glob("projects-*/*"):
        ours = (project / "infrastructure/azure" / name).read_text()
        assert re.sub(r'  backend "azurerm" .*\n\n', "", ours) == example


@pytest.mark.parametrize("cloud", ["google", "azure"])
def test_what_an_owner_is_to_say_stands_in_a_file_for_it(tree: Path, cloud: str) -> None:
    for project in tree.glob("projects-*/*"):
        root = project / "infrastructure" / cloud
        asked = re.findall(
            r'^variable "(\w+)" \{(.*?)^\}', (root / "variables.tf").read_text(), re.MULTILINE | re.DOTALL
        )
        required = {name for name, body in asked if "default " not in body}
        said = re.findall(r"^# (\w+) += ", (root / "terraform.tfvars").read_text(), re.MULTILINE)
        assert required <= {*said} <= {name for name, _ in asked}


@pytest.mark.parametrize(
    ("ci", "google", "azure"),
    [
        ("github", '"refs/heads/main"', "repo:${var.repository}:${place}"),
        ("gitlab", '"main"', "project_path:${var.repository}:ref_type:branch:ref:main"),
        ("azure", "var.connection.subject", "var.connections"),
        ("none", None, None),
    ],
    ids=["github", "gitlab", "azure", "none"],
)
def test_clouds_trust_what_each_host_says_of_its_main_branch(
    tree: Path, ci: str, google: str | None, azure: str | None
) -> None:
    projects = [*tree.glob(f"projects-*/*-both-{ci}*")]

    assert projects
    for project in projects:
        on_google = (project / "infrastructure/google/main.tf").read_text()
        on_azure = (project / "infrastructure/azure/main.tf").read_text()
        assert re.findall(r"^    (?:ref|subject) += (.*)", on_google, re.MULTILINE) == ([google] if google else [])
        assert ("federated = " in on_azure) == (azure is not None)
        assert (azure or "") in on_azure


def test_azure_lets_in_no_environment_of_githubs_that_has_no_reviewers(tree: Path) -> None:
    """A branch that anybody may push can name any environment, and the token's subject then tells no branch."""
    places = {"ref:refs/heads/main", "environment:azureml-production"}
    for project in tree.glob("projects-*/*-both-github*"):
        main = (project / "infrastructure/azure/main.tf").read_text()
        assert {*re.findall(r'"((?:ref|environment):[^"]*)"', main)} == places
        for workflow in (project / ".github/workflows").glob("*.yml"):
            for name, job in yaml.safe_load(workflow.read_text())["jobs"].items():
                if not name.endswith("-azureml") or name == "plan-azureml":
                    continue
                known = f"environment:{job['environment']}" if "environment" in job else "ref:refs/heads/main"
                assert known in places, name
                assert ("environment" in job) == name.startswith(("promote", "schedule"))

    examples = [TERRAFORM / f"stacks/azure/examples/{name}/main.tf" for name in ("dev", "prod")]
    for example in examples:
        said = re.findall(r'subject = "repo:\$\{var.repository\}:([^"]*)"', example.read_text())
        assert said
        assert {*said} <= places


def test_names_on_azure_begin_as_their_owner_says(tree: Path) -> None:
    """Some are unique among all customers, so not with the name of the project, which others give as well."""
    for project in tree.glob("projects-*/*"):
        root = project / "infrastructure/azure"
        assert re.findall(r"^  prefix +=(.*)", (root / "main.tf").read_text(), re.MULTILINE) == [" var.prefix"]
        asked = re.search(r'^variable "prefix" \{.*?^\}', (root / "variables.tf").read_text(), re.MULTILINE | re.DOTALL)
        assert asked
        assert "default" not in asked.group()
        assert "validation" in asked.group()


def test_no_infrastructure_is_drawn_without_an_address_of_the_stacks(tmp_path: Path) -> None:
    project = drawn("train-register-deploy", {"target": "both"}, tmp_path)

    assert not (project / "infrastructure").exists()
    assert not (project / ".github/workflows/plan.yml").exists()


def outputs(folder: Path) -> list[str]:
    return re.findall(r'^output "(\w+)"', (folder / "outputs.tf").read_text(), re.MULTILINE)
