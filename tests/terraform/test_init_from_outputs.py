"""From a stack's outputs to a project that is connected: `terraform output -json`, then `init`, then `doctor`.

The clouds are emulated, and hold what the stack's state says was made.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner, Result
from tests.terraform.applying import Applied, applied
from tests.terraform.test_azure_stack import COMPUTED as COMPUTED_BY_AZURE
from tests.terraform.test_azure_stack import EXAMPLES as OF_AZURE
from tests.terraform.test_google_stack import EXAMPLES as OF_GOOGLE
from tests.terraform.test_google_stack import PROJECT

import cloudmlops as cm
from cloudmlops import cli
from cloudmlops.emulators.azure import azureml_emulator
from cloudmlops.emulators.azure.cloud import SUBSCRIPTION, AzureCloud
from cloudmlops.emulators.core.emulator import Emulator
from cloudmlops.emulators.google import vertex_emulator
from cloudmlops.emulators.google.cloud import GoogleCloud
from cloudmlops.providers.azureml.sdk import ml
from cloudmlops.testing.contract.models import written_model
from cloudmlops.testing.model_folders import write_scaling_model


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a project, in which commands are given."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def given(*words: str, printed: str = "") -> Result:
    return CliRunner().invoke(cli.cli, words, input=printed)


@pytest.fixture
def google(monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    with vertex_emulator() as emulator:
        monkeypatch.setenv("CLOUDMLOPS_VERTEX_API_URL", emulator.url)
        yield emulator


@pytest.mark.parametrize("name", sorted(OF_GOOGLE))
def test_a_stack_of_google_becomes_a_project_that_is_connected(
    here: Path, google: Emulator, tmp_path: Path, name: str
) -> None:
    stack = applied(f"stacks/google/examples/{name}", tmp_path / "stack", OF_GOOGLE[name])

    began = given("init", "--from-terraform", "-", printed=json.dumps(stack.outputs))
    assert began.exit_code == 0, began.output
    assert "cloudmlops doctor --target vertex" in began.output

    before = given("doctor")
    assert before.exit_code == 1
    assert "FAIL Setting bucket: my-bucket: it is not there" in before.output
    make_on_google(google, stack)
    after = given("doctor")
    assert after.exit_code == 0, after.output
    for setting in ("bucket: my-bucket", f"topic: {name}-events", f"subscription: {name}-worker"):
        assert f"ok   Setting {setting}" in after.output
    with cm.connect() as platform:
        assert platform.models.register("churn", written_model(here / "model")).version == "1"


def make_on_google(emulator: Emulator, stack: Applied) -> None:
    """Make what `doctor` looks for, as the stack's state says it."""
    project = PROJECT["project"]
    (bucket,) = stack.resources("google_storage_bucket").values()
    emulator.cloud(GoogleCloud).objects.make_bucket(bucket["name"], project=project, location=bucket["location"])
    topics = {}
    for one in stack.resources("google_pubsub_topic").values():
        topics[one["id"]] = f"projects/{project}/topics/{one['name']}"
        httpx.put(f"{emulator.url}/v1/{topics[one['id']]}", json={}).raise_for_status()
    for one in stack.resources("google_pubsub_subscription").values():
        url = f"{emulator.url}/v1/projects/{project}/subscriptions/{one['name']}"
        # Without the policy of dead letters, which the emulator does not know.
        body = {"topic": topics[one["topic"]], "ackDeadlineSeconds": one["ack_deadline_seconds"]}
        httpx.put(url, json=body).raise_for_status()


@pytest.fixture
def azure(monkeypatch: pytest.MonkeyPatch) -> Iterator[AzureCloud]:
    with azureml_emulator() as emulator:
        for name, value in emulator.environment().items():
            monkeypatch.setenv(name, value)
        yield emulator.cloud(AzureCloud)


def test_a_stack_of_azure_becomes_a_project_that_is_connected(here: Path, azure: AzureCloud, tmp_path: Path) -> None:
    stack = applied("stacks/azure/examples/dev", tmp_path / "stack", {**OF_AZURE["dev"], "subscription": SUBSCRIPTION})

    began = given("init", "--from-terraform", "-", printed=printed_by_azure(stack))
    assert began.exit_code == 0, began.output
    assert "cloudmlops doctor --target azureml" in began.output

    azure.ensure_workspace("mlw-acme", group="rg-acme")
    before = given("doctor")
    assert before.exit_code == 1
    for setting in ("datastore: cloudmlops", "compute: cpu", "feature_store: mlfs-acme"):
        assert f"FAIL Setting {setting}: it is not there" in before.output
    make_on_azure(stack)
    after = given("doctor")
    assert "FAIL Setting" not in after.output
    for setting in ("workspace: mlw-acme", "compute: cpu: 0 to 2 STANDARD_DS3_V2, LowPriority", "feature_store: mlfs"):
        assert f"ok   Setting {setting}" in after.output
    assert after.exit_code == 0, after.output
    with cm.connect() as platform:
        assert platform.models.register("churn", write_scaling_model(here / "model")).version == "1"


def printed_by_azure(stack: Applied) -> str:
    """Return what `terraform output -json` prints, with what Azure would have computed."""
    text = json.dumps(stack.outputs)
    for made_up, real in COMPUTED_BY_AZURE.items():
        text = text.replace(f"made-up-{made_up}", real.replace(str(OF_AZURE["dev"]["subscription"]), SUBSCRIPTION))
    return text


def make_on_azure(stack: Applied) -> None:
    """Make what `doctor` looks for, as the stack's state says it; the workspace and its storage are there."""
    entities = ml().entities
    with cm.connect() as platform:
        client = platform.native
        storage = client.datastores.get_default()
        (datastore,) = stack.resources("azurerm_machine_learning_datastore_blobstorage").values()
        client.datastores.create_or_update(
            entities.AzureBlobDatastore(
                name=datastore["name"], account_name=storage.account_name, container_name=storage.container_name
            )
        )
        (cluster,) = stack.resources("azurerm_machine_learning_compute_cluster").values()
        (scale,) = cluster["scale_settings"]
        client.compute.begin_create_or_update(
            entities.AmlCompute(
                name=cluster["name"],
                size=cluster["vm_size"],
                tier={"LowPriority": "low_priority", "Dedicated": "dedicated"}[cluster["vm_priority"]],
                min_instances=scale["min_node_count"],
                max_instances=scale["max_node_count"],
            )
        ).result()
        (store,) = (
            one
            for one in stack.resources("azurerm_machine_learning_workspace").values()
            if one["kind"] == "FeatureStore"
        )
        wanted = entities.FeatureStore(name=store["name"], location=store["location"])
        client.feature_stores.begin_create(wanted, grant_materialization_permissions=False).result()
