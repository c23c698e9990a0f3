"""checkov finds what it is there for, and its list of what is left out is argued and has nothing too much."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
from tests.terraform.conftest import ROOT
from tools.terraform_policies import MODULES, SKIPPED, TERRAFORM, command

_SKIPPED_LINE = re.compile(r"  - (CKV2?_[A-Z]+_\d+)  # (.{20,})")


def _failed(folder: Path, *, skipping: bool) -> set[str]:
    done = subprocess.run(
        [*command([folder], skipping=skipping), "--output", "json"], capture_output=True, text=True, check=False
    )
    return {one["check_id"] for one in json.loads(done.stdout)["results"]["failed_checks"]}


@pytest.mark.parametrize(
    ("text", "check"),
    [
        pytest.param(
            'resource "azurerm_machine_learning_compute_cluster" "this" {\n'
            "  scale_settings {\n    min_node_count = 2\n    max_node_count = 4\n  }\n}\n",
            "CKV_AZURE_150",
            id="minimum nodes 2",
        ),
        pytest.param(
            'resource "google_storage_bucket" "this" {\n  name = "a-bucket"\n  location = "EU"\n}\n',
            "CKV_GCP_114",
            id="public bucket",
        ),
        pytest.param(
            'resource "google_project_iam_member" "this" {\n  project = "a"\n  role = "roles/editor"\n'
            '  member = "user:ada@example.com"\n}\n',
            "CKV_GCP_117",
            id="basic role",
        ),
    ],
)
def test_checkov_catches_a_mistake_and_is_not_told_to_leave_it_out(tmp_path: Path, text: str, check: str) -> None:
    (tmp_path / "main.tf").write_text(text)

    assert check in _failed(tmp_path, skipping=True)


def test_each_check_that_is_left_out_is_argued_and_needed() -> None:
    lines = [line for line in SKIPPED.read_text().splitlines() if line.startswith("  ")]
    argued = [_SKIPPED_LINE.fullmatch(line) for line in lines]

    assert all(argued), [line for line, found in zip(lines, argued, strict=True) if not found]
    names = [found[1] for found in argued if found]
    assert names == sorted(set(names))
    assert set(names) <= _failed(MODULES, skipping=False), "these would pass: leave them in"


def test_all_that_is_made_is_made_by_modules() -> None:
    making = {file for file in TERRAFORM.rglob("*.tf") if re.search(r"^resource ", file.read_text(), re.MULTILINE)}

    assert TERRAFORM == ROOT / "terraform"
    assert making
    assert all(file.is_relative_to(MODULES) for file in making)
