"""What every module has, so that to know one is to know all."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import hcl2
import pytest
from tests.terraform.conftest import ROOT
from tools.tfcheck.checks import check, providers
from tools.tfcheck.schemas import Recorded

TERRAFORM = ROOT / "terraform"
UNVALIDATED = {
    "container_id": "Azure made it",
    "deletion_protection": "true or false",
    "feature_store": "Azure made its ids",
    "identity_id": "Azure made it",
    "parts": "Azure made its ids",
    "registry": "Azure made its id",
    "resource_group_id": "Azure made it",
    "storage_account_id": "Azure made it",
    "topic": "Azure made its id",
    "workspace_id": "Azure made it",
}
"""Variables of modules that take anything of their type, and why: what a module hands on is right as it is."""
_SHOWN = re.compile(r"^```hcl\n(.*?)^```", re.MULTILINE | re.DOTALL)
MADE = sorted({file.parent for file in TERRAFORM.glob("modules/*/*/*.tf")} | {*TERRAFORM.glob("stacks/*")})
ROOTS = sorted(TERRAFORM.glob("stacks/*/examples/*"))


def named(folder: Path) -> str:
    return str(folder.relative_to(TERRAFORM))


def blocks(folder: Path, file: str, kind: str) -> list[tuple[str, dict[str, Any]]]:
    known = hcl2.loads((folder / file).read_text(encoding="utf-8"))
    return [(name.strip('"'), body) for one in known.get(kind, []) for name, body in one.items()]


@pytest.mark.parametrize("folder", MADE, ids=named)
def test_variables_are_in_order_and_what_must_be_given_comes_first(folder: Path) -> None:
    order = [("default" in body, name) for name, body in blocks(folder, "variables.tf", "variable")]
    outputs = [name for name, _ in blocks(folder, "outputs.tf", "output")]

    assert order == sorted(order)
    assert outputs == sorted(outputs)


@pytest.mark.parametrize("folder", [*MADE, *ROOTS], ids=named)
def test_versions_are_those_between_the_recorded_ones(folder: Path) -> None:
    """The range begins at the oldest recorded version, and ends with the newest one's major version."""
    (versions,) = hcl2.loads((folder / "versions.tf").read_text(encoding="utf-8"))["terraform"]
    oldest, newest = ({one.name: one for one in sorted(providers(end), key=_order)} for end in ("oldest", "newest"))

    assert versions["required_version"].strip('"') == ">= 1.9"
    for given in versions["required_providers"]:
        for name, provider in given.items():
            if isinstance(provider, dict):
                begin = oldest[name].version.removesuffix(".0")
                assert provider["version"].strip('"') == f">= {begin}, < {newest[name].order[0] + 1}"


def _order(one: Recorded) -> tuple[int, ...]:
    return one.order


@pytest.mark.parametrize("folder", MADE, ids=named)
def test_each_test_mocks_all_providers_of_its_folder(folder: Path) -> None:
    (versions,) = hcl2.loads((folder / "versions.tf").read_text(encoding="utf-8"))["terraform"]
    wanted = {name for given in versions["required_providers"] for name, one in given.items() if isinstance(one, dict)}

    for file in (folder / "tests").glob("*.tftest.hcl"):
        mocked = set(re.findall(r'^mock_provider "(\w+)"', file.read_text(encoding="utf-8"), re.MULTILINE))
        assert mocked == wanted, file


def test_what_a_module_takes_is_validated_unless_there_is_a_reason() -> None:
    modules = [folder for folder in MADE if "modules" in folder.parts]
    given = [one for folder in modules for one in blocks(folder, "variables.tf", "variable")]
    unvalidated = {name for name, body in given if "validation" not in body}

    assert unvalidated == UNVALIDATED.keys()


@pytest.mark.parametrize("folder", MADE, ids=named)
def test_each_validation_is_seen_to_fail(folder: Path) -> None:
    validations = {name: len(body.get("validation", ())) for name, body in blocks(folder, "variables.tf", "variable")}
    tests = "\n".join(file.read_text(encoding="utf-8") for file in (folder / "tests").glob("*.tftest.hcl"))
    failing = Counter(re.findall(r"var\.(\w+)", " ".join(re.findall(r"expect_failures = \[([^\]]*)\]", tests))))

    assert {name for name, number in validations.items() if failing[name] < number} == set()


@pytest.mark.parametrize("folder", [*MADE, *ROOTS], ids=named)
def test_each_folder_has_tests(folder: Path) -> None:
    assert [*(folder / "tests").glob("*.tftest.hcl")]


@pytest.mark.parametrize("folder", MADE, ids=named)
def test_no_name_is_random_and_nothing_is_run_on_this_machine(folder: Path) -> None:
    text = "\n".join(file.read_text(encoding="utf-8") for file in folder.glob("*.tf"))

    assert not re.findall(r'"(?:random_\w+|null_resource|terraform_data|local_file)"|provisioner "', text)


@pytest.mark.parametrize("cloud", ["azure", "google"])
def test_what_readmes_show_is_taken_by_terraform(tmp_path: Path, cloud: str) -> None:
    shutil.copytree(TERRAFORM / "modules" / cloud, tmp_path / "modules" / cloud)
    modules = [folder for folder in MADE if folder.parent == TERRAFORM / "modules" / cloud]
    shown = [_SHOWN.findall((folder / "README.md").read_text(encoding="utf-8")) for folder in modules]
    root = tmp_path / "roots" / "all"
    root.mkdir(parents=True)
    (root / "main.tf").write_text("\n".join(text for texts in shown for text in texts), encoding="utf-8")

    results = [*check(tmp_path, end="newest", only=["roots"])]

    assert [result.said for result in results if not result.passed] == []
    assert all(shown), "a module shows no use of it"


@pytest.mark.parametrize(
    ("cloud", "left"), [("azure", {}), ("google", {"endpoint": "the library makes endpoints itself"})]
)
def test_a_stack_composes_all_modules_of_its_cloud_unless_there_is_a_reason(cloud: str, left: dict[str, str]) -> None:
    sources = {body["source"].strip('"') for _, body in blocks(TERRAFORM / "stacks" / cloud, "main.tf", "module")}
    modules = {folder.name for folder in MADE if folder.parent == TERRAFORM / "modules" / cloud}

    assert sources == {f"../../modules/{cloud}/{name}" for name in modules - left.keys()}


def test_no_check_of_terraform_is_ever_skipped() -> None:
    marks = re.compile(r"pytest\.(?:skip|importorskip|xfail)|mark\.(?:skip|skipif|xfail)")

    assert [file.name for file in Path(__file__).parent.glob("*.py") if marks.search(file.read_text())] == []
