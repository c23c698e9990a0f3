"""The stack of Azure: what it tells is what the library's settings take, and Event Grid takes what azapi sends."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import hcl2
import pytest
from azure.identity import DefaultAzureCredential
from azure.mgmt.eventgrid import EventGridManagementClient
from azure.mgmt.eventgrid.models import EventSubscription, Namespace, NamespaceTopic, Subscription, SystemTopic
from tests.terraform.applying import TERRAFORM, Applied, applied
from tests.terraform.pricing import FREE, PRICES, price_faults

from cloudmlops import connect
from cloudmlops.cli.from_terraform import target_from
from cloudmlops.domain.events import ModelRegistered
from cloudmlops.emulators.azure import azureml_emulator
from cloudmlops.emulators.azure.cloud import SUBSCRIPTION, AzureCloud
from cloudmlops.providers.azureml.mapping.computes import Kept, idle_fault
from cloudmlops.providers.azureml.mapping.machines import MACHINES
from cloudmlops.providers.azureml.settings import AzureMLSettings
from cloudmlops.testing.model_folders import write_scaling_model

UUID = "00000000-0000-0000-0000-00000000000{}"
PROJECT = {
    "budget_start_month": "2026-12",
    "prefix": "acme",
    "repository": "acme/flights",
    "subscription": UUID.format(1),
    "team": UUID.format(3),
    "tenant": UUID.format(2),
}
EXAMPLES: Mapping[str, Mapping[str, object]] = {
    "dev": PROJECT,
    "prod": PROJECT | {"approvers": UUID.format(4), "budget_emails": ["mlops@example.com"]},
}
COMPUTED = {
    "azurerm_container_registry[cracme].login_server": "cracme.azurecr.io",
    "azurerm_managed_redis[redis-acme].hostname": "redis-acme.westeurope.redis.azure.net",
    "azurerm_user_assigned_identity[id-acme-serve].id": f"/subscriptions/{PROJECT['subscription']}/resourceGroups"
    "/rg-acme/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id-acme-serve",
}
"""What Azure would have computed, as it writes such things."""


UNTOLD = {
    "as_of": "a choice of whoever looks back",
    "auth_mode": "a choice of whoever deploys",
    "batch_timeout": "a choice of whoever predicts batches",
    "cloud_url": "only an emulator, or another cloud of Azure's, has one",
    "compute_machine": "the stack makes the cluster",
    "compute_max_nodes": "the stack makes the cluster",
    "compute_min_nodes": "the stack makes the cluster",
    "environment": "a choice of whoever defines steps: the registry's host is told in `about`",
    "machine": "a choice of whoever deploys",
    "prefix": "the container holds one platform",
    "push_account": "Event Grid's own application, which is the default",
    "push_key": "a secret; tokens take its place",
    "push_origins": "Azure's public cloud, which is the default",
    "push_unproven": "pushes are proven",
    "redis_forget_after": "a choice of whoever defines features",
    "redis_unencrypted": "Redis is encrypted",
    "reporter": "a choice: Event Grid tells of what the library tells as well",
    "serving": "a choice of whoever deploys",
    "spark_from_mib": "a choice of whoever joins features",
    "spark_hourly_cost": "a choice of whoever joins features",
    "timeout": "a choice of whoever calls",
}
"""Settings that are no output, and why."""


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Applied]:
    return {
        name: applied(f"stacks/azure/examples/{name}", tmp_path_factory.mktemp(name), variables)
        for name, variables in EXAMPLES.items()
    }


@pytest.fixture(params=sorted(EXAMPLES))
def example(request: pytest.FixtureRequest, examples: Mapping[str, Applied]) -> Applied:
    return examples[request.param]


def test_what_an_example_tells_is_a_target_of_the_library(example: Applied) -> None:
    settings = _settings(example)

    assert settings.target == AzureMLSettings.from_target(settings.target).target
    assert settings.workspace_id.endswith("/rg-acme/providers/Microsoft.MachineLearningServices/workspaces/mlw-acme")
    assert (settings.datastore, settings.compute, settings.compute_idle_cost) == ("cloudmlops", "cpu", 0)
    assert settings.feature_store == "mlfs-acme"
    assert settings.serving_image == "cracme.azurecr.io/cloudmlops/serving:latest"
    assert settings.endpoint_identity.endswith("/id-acme-serve")


def test_what_serves_and_what_brings_events_is_told_where_there_is_one(examples: Mapping[str, Applied]) -> None:
    dev, prod = _settings(examples["dev"]), _settings(examples["prod"])

    assert (dev.redis_url, dev.topic, dev.event_subscription) == (None, "", "")
    assert str(prod.redis_url).startswith("rediss://redis-acme.westeurope.redis.azure.net:")
    assert prod.topic_id.endswith("/providers/Microsoft.EventGrid/namespaces/evgns-acme/topics/mlops")
    assert prod.event_subscription == "worker"


def test_an_example_keeps_no_machine_and_no_key(example: Applied) -> None:
    (cluster,) = example.resources("azurerm_machine_learning_compute_cluster").values()

    assert cluster["scale_settings"][0]["min_node_count"] == 0
    for redis in example.resources("azurerm_managed_redis").values():
        assert not redis["default_database"][0]["access_keys_authentication_enabled"]
    assert len(example.resources("azurerm_storage_account")) == 2
    for account in example.resources("azurerm_storage_account").values():
        assert not account["shared_access_key_enabled"]
        assert not account["allow_nested_items_to_be_public"]
    for container in example.resources("azurerm_storage_container").values():
        assert container["container_access_type"] == "private"
    for workspace in example.resources("azurerm_machine_learning_workspace").values():
        assert workspace["storage_account_access_type"] == "Identity"


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_an_example_tells_all_that_the_stack_does(name: str) -> None:
    assert _outputs("stacks/azure/examples/" + name) == _outputs("stacks/azure")


def test_every_setting_is_told_or_left_to_the_user_for_a_reason() -> None:
    told = _outputs("stacks/azure") - {"about", "provider"}

    assert told == AzureMLSettings.model_fields.keys() - UNTOLD.keys()
    assert UNTOLD.keys() <= AzureMLSettings.model_fields.keys()


def test_everything_that_an_example_makes_has_a_price_or_is_known_to_be_free(examples: Mapping[str, Applied]) -> None:
    assert price_faults("azure", examples) == []


def test_what_has_no_price_and_what_is_made_more_often_than_it_is_priced_is_found(
    examples: Mapping[str, Applied], monkeypatch: pytest.MonkeyPatch
) -> None:
    (namespace,) = [one for one in PRICES if one["made"] == "azurerm_eventgrid_namespace"]
    monkeypatch.setitem(namespace, "prod", 2)
    monkeypatch.delitem(FREE, "azurerm_key_vault")  # type: ignore[arg-type] # of a dictionary that was read

    amount, *missing = price_faults("azure", {"prod": examples["prod"]})

    assert amount == "prod: Event Grid namespace, a throughput unit is priced 2 times, and made 1 times"
    assert missing == [
        "prod: module.mlops.module.workspace.azurerm_key_vault.this has no price, and is not listed as free"
    ]


def test_machines_that_were_agreed_to_without_a_known_price_are_not_refused_by_the_library(tmp_path: Path) -> None:
    kept = {"machine": "Standard_HB176rs_v4", "machine_usd": 7.2, "min_nodes": 1, "idle_cost": 5256}
    variables = {key: PROJECT[key] for key in ("prefix", "subscription", "tenant")}
    made = applied(
        "stacks/azure",
        tmp_path,
        variables
        | {"budget": {"amount": 1, "start_month": "2026-12"}, "location": "westeurope", "events": None}
        | {"compute": kept},
    )

    settings = _settings(made)
    (cluster,) = made.resources("azurerm_machine_learning_compute_cluster").values()
    nodes = cluster["scale_settings"][0]["min_node_count"]
    seen = Kept(compute=settings.compute, machine=cluster["vm_size"], nodes=nodes)
    assert settings.unpriced_machines == "Standard_HB176rs_v4"
    assert idle_fault(seen, settings) == ""
    assert idle_fault(seen, settings.model_copy(update={"unpriced_machines": ""}))
    assert made.outputs["about"]["value"]["idle_cost_per_month"] == pytest.approx(5256)


def test_prices_of_machines_are_the_librarys() -> None:
    told = hcl2.loads((TERRAFORM / "modules/azure/compute/prices.tf").read_text())
    (prices,) = [one["hourly_usd"] for one in told["locals"] if "hourly_usd" in one]

    assert {name: price for name, price in prices.items() if not name.startswith("__")} == {
        one.name.lower(): one.hourly_usd for one in MACHINES if one.hourly_usd is not None
    }


@pytest.fixture
def azure(monkeypatch: pytest.MonkeyPatch) -> Iterator[AzureCloud]:
    with azureml_emulator() as emulator:
        for name, value in emulator.environment().items():
            monkeypatch.setenv(name, value)
        cloud = emulator.cloud(AzureCloud)
        cloud.ensure_workspace("mlw-acme", group="rg-acme")
        yield cloud


def test_a_model_that_is_registered_in_the_workspace_reaches_the_worker(
    azure: AzureCloud, examples: Mapping[str, Applied], tmp_path: Path
) -> None:
    """The bodies that azapi sends, which no schema checks, are sent to the emulated Event Grid."""
    model = write_scaling_model(tmp_path / "model")
    bodies = _bodies(examples["prod"])
    workspace = (
        f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-acme/providers/Microsoft.MachineLearningServices"
        "/workspaces/mlw-acme"
    )
    with EventGridManagementClient(DefaultAzureCredential(), SUBSCRIPTION) as manage:
        manage.namespaces.begin_create_or_update("rg-acme", "evgns-acme", Namespace(location="westeurope")).result()
        topic = manage.namespace_topics.begin_create_or_update(
            "rg-acme", "evgns-acme", "mlops", NamespaceTopic()
        ).result()
        source = SystemTopic(
            location="westeurope", source=workspace, topic_type="Microsoft.MachineLearningServices.Workspaces"
        )
        manage.system_topics.begin_create_or_update("rg-acme", "evgt-acme", source).result()
        known = {"azurerm_eventgrid_namespace_topic[mlops].id": topic.id}
        manage.namespace_topic_event_subscriptions.begin_create_or_update(
            "rg-acme", "evgns-acme", "mlops", "worker", _read(Subscription, bodies["worker"], known)
        ).result()
        manage.system_topic_event_subscriptions.begin_create_or_update(
            "rg-acme", "evgt-acme", "to-topic", _read(EventSubscription, bodies["to_topic"], known)
        ).result()
    seen: list[ModelRegistered] = []
    host = "evgns-acme.westeurope-1.eventgrid.azure.net"
    target = f"azureml://{SUBSCRIPTION}/rg-acme/mlw-acme?topic=https://{host}/topics/mlops&event_subscription=worker"
    with connect(f"{target}&reporter=event-grid") as platform:
        platform.access.grant("deployer", platform.actor.id)
        platform.events.on(ModelRegistered, handler="see")(lambda event, _context: seen.append(event))
        platform.models.register("churn", model)
        assert azure.event_grid.deliveries.settle(timedelta(seconds=30))
        platform.events.process()

    assert [(one.model, one.version) for one in seen] == [("churn", "1")]


def _settings(stack: Applied) -> AzureMLSettings:
    told = json.dumps(stack.outputs)
    for made_up, real in COMPUTED.items():
        told = told.replace(f"made-up-{made_up}", real)
    settings = target_from(told)
    assert isinstance(settings, AzureMLSettings)
    return settings


def _bodies(stack: Applied) -> Mapping[str, Any]:
    return {re.sub(r".*\.", "", address): one["body"] for address, one in stack.resources("azapi_resource").items()}


def _read(kind: Any, body: Any, known: Mapping[str, str]) -> Any:
    """Read a body as Azure's SDK does; what the SDK does not know is an error."""
    text = json.dumps(body)
    for made_up, real in known.items():
        text = text.replace(f"made-up-{made_up}", real)
    text = re.sub(r"made-up-azurerm_storage_account\[stacme\]\.id", "/subscriptions/s/storageAccounts/stacme", text)
    model = kind.deserialize(json.loads(text))
    assert model.serialize() == json.loads(text)
    return model


def _outputs(root: str) -> set[str]:
    told = hcl2.loads((TERRAFORM / root / "outputs.tf").read_text())
    return {name.strip('"') for one in told["output"] for name in one}
