"""What every module has, so that to know one is to know all."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import hcl2
import pytest
from tests.terraform.conftest import ROOT

TERRAFORM = ROOT / "terraform"
VERSIONS = {"azapi": "~> 2.0", "azuread": "~> 3.0", "azurerm": "~> 5.0", "google": ">= 7.43, < 9", "time": "~> 0.12"}
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
def test_versions_are_the_supported_ones(folder: Path) -> None:
    (versions,) = hcl2.loads((folder / "versions.tf").read_text(encoding="utf-8"))["terraform"]

    assert versions["required_version"].strip('"') == ">= 1.9"
    for providers in versions["required_providers"]:
        for name, provider in providers.items():
            if isinstance(provider, dict):
                assert provider["version"].strip('"') == VERSIONS[name]


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
