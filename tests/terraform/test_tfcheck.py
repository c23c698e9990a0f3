"""The checker itself: what is wrong is found, what is right passes, and nothing is passed that was not looked at."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.terraform.conftest import ROOT, Checked
from tools.tfcheck.attached import Attached
from tools.tfcheck.checks import ENDS, End, check, providers, run
from tools.tfcheck.mirror import lay_out
from tools.tfcheck.record import TYPES
from tools.tfcheck.rules import COUNTS
from tools.tfcheck.rules import read as read_rules
from tools.tfcheck.schemas import FOLDER, Block, recorded

STORE = """
resource "google_vertex_ai_feature_online_store" "this" {
  name   = "store"
  region = "europe-west4"
  bigtable {
    auto_scaling {
      min_node_count = 1
      max_node_count = 2
    }
  }
}
"""
BUCKET = """
resource "google_storage_bucket" "this" {
  name                        = "some-bucket"
  location                    = "EU"
  public_access_prevention    = "enforced"
  uniform_bucket_level_access = true
}
"""
MEMBER = """
resource "google_project_iam_member" "this" {
  project = "some-project"
  role    = "roles/aiplatform.viewer"
  member  = "user:ada@example.com"
}
"""
SUBSCRIPTION = """
resource "azurerm_eventgrid_system_topic_event_subscription" "this" {
  name                = "models"
  system_topic        = "topic"
  resource_group_name = "group"
  webhook_endpoint {
    url                               = "https://events.example.com/"
    active_directory_tenant_id        = "00000000-0000-0000-0000-000000000000"
    active_directory_app_id_or_uri    = "api://events"
  }
}
"""
PUSH = """
resource "google_pubsub_subscription" "this" {
  name  = "models"
  topic = "models"
  push_config {
    push_endpoint = "https://events.example.com/"
    oidc_token {
      service_account_email = "events@some-project.iam.gserviceaccount.com"
    }
  }
}
"""
RUN = """
resource "google_cloud_run_v2_service_iam_member" "this" {
  name   = "receiver"
  role   = "roles/run.invoker"
  member = "serviceAccount:events@some-project.iam.gserviceaccount.com"
}
"""


@pytest.mark.parametrize("end", ENDS)
def test_what_is_right_passes(checked: Checked, end: End) -> None:
    result = checked(STORE + BUCKET + MEMBER + SUBSCRIPTION + PUSH + RUN, end=end)

    assert result.passed, result.said


@pytest.mark.parametrize(
    ("right", "old", "new", "said"),
    [
        pytest.param(STORE, "max_node_count", "max_nodes", 'named "max_nodes" is not expected', id="misspelt argument"),
        pytest.param(STORE, '  name   = "store"\n', "", 'The argument "name" is required', id="missing required"),
        pytest.param(STORE, "auto_scaling", "autoscaling", 'of type "autoscaling" are not expected', id="wrong block"),
        pytest.param(STORE, "= 1", '= "one"', "a number is required", id="wrong type"),
        pytest.param(
            STORE, "feature_online_store", "featurestores", "does not support resource type", id="unknown type"
        ),
        pytest.param(STORE, '"store"', '"My-Store"', "'My-Store' does not match", id="name that is refused late"),
        pytest.param(STORE, "= 1", "= 0", "0 is not from 1 to 100", id="no node for the online store"),
        pytest.param(MEMBER, "aiplatform.viewer", "editor", "policy: no basic roles", id="basic role"),
        pytest.param(MEMBER, "user:ada@example.com", "allUsers", "policy: nothing is public", id="role for all"),
        pytest.param(BUCKET, "enforced", "inherited", "policy: nothing is public", id="public bucket"),
        pytest.param(BUCKET, '  public_access_prevention    = "enforced"\n', "", "must be given", id="unstated bucket"),
        pytest.param(BUCKET, "true", "false", "no lists of access", id="bucket with lists of access"),
        pytest.param(
            SUBSCRIPTION,
            '    active_directory_tenant_id        = "00000000-0000-0000-0000-000000000000"\n',
            "",
            "webhook_endpoint",
            id="open webhook",
        ),
        pytest.param(
            PUSH,
            '    oidc_token {\n      service_account_email = "events@some-project.iam.gserviceaccount.com"\n    }\n',
            "",
            "a push that carries no token",
            id="open push",
        ),
        pytest.param(
            RUN,
            "serviceAccount:events@some-project.iam.gserviceaccount.com",
            "allUsers",
            "shows who he is",
            id="open receiver",
        ),
    ],
)
def test_a_mistake_is_caught_and_told(checked: Checked, right: str, old: str, new: str, said: str) -> None:
    assert old in right

    result = checked(right.replace(old, new))

    assert not result.passed
    assert said in " ".join(result.said.split())


@pytest.mark.parametrize("end", ENDS)
def test_both_ends_of_the_version_range_are_offered(tmp_path: Path, end: End) -> None:
    versions = {one.name: one.version for one in providers(end)}

    assert versions["google"] == {"newest": "8.7.0", "oldest": "7.43.0"}[end]
    assert versions["azurerm"] == {"newest": "5.10.0", "oldest": "5.0.1"}[end]
    pinned = (
        "terraform {\n  required_providers {\n    google = {\n"
        f'      source  = "hashicorp/google"\n      version = "{versions["google"]}"\n    }}\n  }}\n}}\n'
    )
    folder = tmp_path / "sample"
    folder.mkdir()
    (folder / "main.tf").write_text(pinned + STORE)
    assert all(result.passed for result in check(tmp_path, end=end, only=["sample"]))


def test_terraform_tests_are_run_and_their_failures_told(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "main.tf").write_text(STORE)
    (tmp_path / "tests" / "all.tftest.hcl").write_text(
        'run "fails" {\n  command = plan\n\n  assert {\n'
        '    condition     = google_vertex_ai_feature_online_store.this.name == "other"\n'
        '    error_message = "it has another name"\n  }\n}\n'
    )

    _form, result = check(tmp_path, end="newest")

    assert not result.passed
    assert "it has another name" in result.said


def test_what_terraform_would_write_otherwise_is_told(tmp_path: Path) -> None:
    (tmp_path / "main.tf").write_text(BUCKET.replace("location         ", "location"))

    form, result = check(tmp_path, end="newest")

    assert not form.passed
    assert "+  location " in form.said
    assert result.passed


def test_nothing_is_left_in_the_tree(tmp_path: Path) -> None:
    (tmp_path / "main.tf").write_text(STORE)

    list(check(tmp_path, end="newest"))

    assert [path.name for path in tmp_path.iterdir()] == ["main.tf"]


@pytest.mark.parametrize("text", [STORE, STORE.replace("max_node_count", "max_nodes"), STORE.replace("= 1", "= 0")])
def test_stand_ins_that_stay_say_what_those_say_that_terraform_starts(tmp_path: Path, text: str) -> None:
    folder = tmp_path / "sample"
    folder.mkdir()
    (folder / "main.tf").write_text(text)
    variables = lay_out(tmp_path / "providers", providers("newest"), {"google_vertex_ai_feature_online_store"})
    assert run(folder, variables, "init", "-backend=false")[0] == 0

    started = run(folder, variables, "validate")
    with Attached(tmp_path / "providers" / "mirror") as attached:
        assert run(folder, {**variables, **attached.variables(folder)}, "validate") == started


def test_stand_ins_end_with_the_check(tmp_path: Path) -> None:
    (tmp_path / "main.tf").write_text(STORE)
    variables = lay_out(tmp_path / "providers", providers("newest"), {"google_vertex_ai_feature_online_store"})
    assert run(tmp_path, variables, "init", "-backend=false")[0] == 0

    with Attached(tmp_path / "providers" / "mirror") as attached:
        ((source, told),) = json.loads(attached.variables(tmp_path)["TF_REATTACH_PROVIDERS"]).items()
        os.kill(told["Pid"], 0)
        assert attached.variables(tmp_path) == attached.variables(tmp_path)

    assert source == "registry.terraform.io/hashicorp/google"
    assert not Path(told["Addr"]["String"]).exists()
    with pytest.raises(ProcessLookupError):
        os.kill(told["Pid"], 0)


def test_a_missing_terraform_fails_and_skips_nothing(tmp_path: Path) -> None:
    (tmp_path / "main.tf").write_text(STORE)
    command = [sys.executable, "-m", "tools.tfcheck", "check", str(tmp_path)]

    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "PATH": str(tmp_path)}, capture_output=True, text=True, check=False
    )

    assert done.returncode == 1
    assert "there is no terraform on the path: nothing was checked" in done.stdout


def test_a_tree_without_files_is_no_success(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tools.tfcheck", "check", "--only", "nowhere", str(tmp_path)]

    assert subprocess.run(command, cwd=ROOT, capture_output=True, check=False).returncode == 1


def test_every_listed_type_is_recorded_in_each_version_of_its_provider() -> None:
    listed = {line for line in TYPES.read_text().splitlines() if line and not line.startswith("#")}

    for one in recorded():
        names = one.resources.keys() | {f"data.{name}" for name in one.data}
        assert names == {name for name in listed if name.removeprefix("data.").startswith(f"{one.name}_")}


def test_recorded_schemas_lie_under_their_licence_and_are_written_as_they_are_read() -> None:
    notice = (FOLDER / "README.md").read_text()

    assert "Mozilla Public License 2.0" in notice
    for one in recorded():
        assert f"{one.name} {one.version}" in notice
        assert one.to_text() == (FOLDER / f"{one.name}-{one.version}.json").read_text()


def test_every_rule_is_about_something_that_is_there() -> None:
    newest = {one.name: one for one in providers("newest")}

    for kind, rules in read_rules().items():
        known = newest[kind.partition("_")[0]]
        for rule in rules:
            names = [rule["at"]] if "at" in rule else [name for count in COUNTS for name in rule.get(count, ())]
            assert names, (kind, rule)
            for name in names:
                assert _there(known.resources[kind], name.split(".")), (kind, name)
            for needed in rule.get("needs", ()):
                assert _there(known.resources[kind], [*rule["at"].split("."), needed]), (kind, needed)


def _there(block: Block, names: list[str]) -> bool:
    first, *rest = names
    if rest:
        return first in block.get("block_types", {}) and _there(block["block_types"][first]["block"], rest)
    return first in block.get("attributes", {}) or first in block.get("block_types", {})
