"""Mistakes made in the modules themselves are caught by their checks; what costs while nothing runs is told."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.terraform.applying import TERRAFORM, planned
from tools.tfcheck.checks import check

TENANT = """    active_directory_tenant_id        = each.value.tenant
    active_directory_app_id_or_uri    = azuread_application.push["this"].client_id
"""
STACK = {
    "budget": {"amount": 1, "start_month": "2026-12"},
    "events": None,
    "features": None,
    "location": "westeurope",
    "prefix": "acme",
    "subscription": "00000000-0000-0000-0000-000000000001",
    "tenant": "00000000-0000-0000-0000-000000000002",
}


@pytest.mark.parametrize(
    ("file", "right", "wrong", "told"),
    [
        pytest.param(
            "modules/google/storage/bucket.tf",
            "public_access_prevention ",
            "public_acces_prevention ",
            'An argument named "public_acces_prevention" is not expected here',
            id="misspelt argument",
        ),
        pytest.param(
            "modules/google/storage/images.tf",
            '  format        = "DOCKER"\n',
            "",
            'The argument "format" is required',
            id="missing required",
        ),
        pytest.param(
            "modules/google/feature-store/online.tf",
            "auto_scaling {",
            "autoscaling {",
            'Blocks of type "autoscaling" are not expected here',
            id="wrong block",
        ),
        pytest.param(
            "modules/google/model-events/iam.tf",
            '"roles/eventarc.eventReceiver"',
            '"roles/editor"',
            "policy: no basic roles",
            id="basic role",
        ),
        pytest.param(
            "modules/azure/model-events/workspace.tf",
            '"EventGrid Data Sender"',
            '"Contributor"',
            "policy: no basic roles",
            id="basic role of Azure",
        ),
        pytest.param(
            "modules/google/storage/bucket.tf",
            '"enforced"',
            '"inherited"',
            "policy: nothing is public",
            id="public bucket",
        ),
        pytest.param(
            "modules/azure/workspace/storage.tf",
            "allow_nested_items_to_be_public   = false",
            "allow_nested_items_to_be_public   = true",
            "policy: nothing is public",
            id="public container",
        ),
        pytest.param(
            "modules/azure/compute/main.tf",
            "= var.min_nodes",
            "= 2",
            "machines are kept though nothing runs",
            id="minimum nodes 2",
        ),
        pytest.param(
            "modules/azure/model-events/webhook.tf",
            TENANT,
            "",
            "policy: a webhook that carries no token takes events from anybody",
            id="open webhook",
        ),
    ],
)
def test_a_mistake_in_a_module_is_caught(tmp_path: Path, file: str, right: str, wrong: str, told: str) -> None:
    module = str(Path(file).parent)
    shutil.copytree(TERRAFORM / module, tmp_path / module)
    text = (tmp_path / file).read_text()
    assert text.count(right) == 1
    (tmp_path / file).write_text(text.replace(right, wrong))

    (result,) = check(tmp_path, end="newest", only=[module])

    assert not result.passed
    assert told in " ".join(result.said.split())


def test_machines_that_are_kept_are_refused_with_what_they_cost(tmp_path: Path) -> None:
    code, said = planned("stacks/azure", tmp_path, STACK | {"compute": {"min_nodes": 2}})

    assert code == 1
    assert "2 Standard_DS3_v2 would be kept though nothing runs, each about 214 US dollars a month" in said
    assert "agree to the sum with idle_cost" in said


def test_a_plan_tells_what_machines_cost_that_are_kept_as_agreed(tmp_path: Path) -> None:
    code, said = planned("stacks/azure", tmp_path, STACK | {"compute": {"min_nodes": 2, "idle_cost": 428}})

    assert code == 0, said
    assert "Warning: Check block assertion failed" in said
    told = "2 Standard_DS3_v2 are kept though nothing runs, each about 214 US dollars a month"
    assert f"{told}; 428 US dollars a month were agreed to." in said
