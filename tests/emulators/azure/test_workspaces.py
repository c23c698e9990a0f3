from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError

if TYPE_CHECKING:
    from conftest import Azure

pytestmark = [
    # azure-ai-ml 1.35 is written for marshmallow 3, which tells of its fourth
    pytest.mark.filterwarnings("ignore::marshmallow.warnings.RemovedInMarshmallow4Warning"),
]
API = "2020-06-01"
WORKSPACE = "Microsoft.MachineLearningServices/workspaces"
_numbers = itertools.count(1)


def deploy(azure: Azure, *, who: str = "owner", types: tuple[str, ...] = (WORKSPACE,), **values: Any) -> httpx.Response:
    token = azure.cloud.tokens.issue(azure.principal(who), "https://management.azure.com")
    group = f"/subscriptions/{azure.subscription}/resourceGroups/{azure.group}"
    parameters = {"workspaceName": f"made-{next(_numbers)}", "location": "North Europe", **values}
    return httpx.put(
        f"{azure.emulator.url}{group}/providers/Microsoft.Resources/deployments/one",
        headers={"authorization": f"Bearer {token}"},
        params={"api-version": API},
        json={
            "properties": {
                "mode": "incremental",
                "template": {"resources": [{"type": one} for one in types]},
                "parameters": {name: {"value": value} for name, value in parameters.items()},
            }
        },
        trust_env=False,
        verify=False,
    )


def test_a_workspace_is_made_changed_listed_and_deleted(azure: Azure) -> None:
    from azure.ai.ml.entities import Workspace

    name = f"made-{next(_numbers)}"
    workspaces = azure.client().workspaces

    made = workspaces.begin_create(
        Workspace(name=name, location="northeurope", description="for flights", tags={"team": "a"})
    ).result()

    assert (made.name, made.location, made.description) == (name, "northeurope", "for flights")
    assert made.tags["team"] == "a"
    assert name in [one.name for one in workspaces.list()]
    assert name in [one.name for one in workspaces.list(scope="subscription")]
    made.description = "for flights and trains"
    assert workspaces.begin_update(made).result().description == "for flights and trains"
    token = azure.cloud.tokens.issue(azure.principal("owner"), "https://management.azure.com")
    assert (
        "default"
        in httpx.get(
            f"{azure.emulator.url}{made.id}/datastores/workspaceblobstore",
            headers={"authorization": f"Bearer {token}"},
            params={"api-version": "2024-10-01-preview"},
            trust_env=False,
            verify=False,
        ).text.lower()
    )
    workspaces.begin_delete(name, delete_dependent_resources=False).result()
    with pytest.raises(ResourceNotFoundError):
        workspaces.get(name)


def test_a_feature_store_is_a_workspace_of_its_own_kind(azure: Azure) -> None:
    from azure.ai.ml import MLClient
    from azure.ai.ml.entities import DataColumn, FeatureStore, FeatureStoreEntity

    name = f"store-{next(_numbers)}"
    stores = azure.client().feature_stores

    made = stores.begin_create(FeatureStore(name=name, location="westeurope", tags={"team": "a"})).result()

    assert (made.name, made.location, made.tags["team"]) == (name, "westeurope", "a")
    assert made.compute_runtime.spark_runtime_version == "3.4.0"
    assert name in [one.name for one in stores.list()]
    assert azure.workspace not in [one.name for one in stores.list()]
    inside = MLClient(azure.credential(), azure.subscription, azure.group, name, enable_telemetry=False)
    inside.feature_store_entities.begin_create_or_update(
        FeatureStoreEntity(name="flight", version="1", index_columns=[DataColumn(name="flight", type="string")])
    ).result()
    assert [one.name for one in inside.feature_store_entities.list()] == ["flight"]
    stores.begin_delete(name).result()
    with pytest.raises(ResourceNotFoundError):
        stores.get(name)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"kind": "hub"}, "kind 'hub'"),
        ({"kind": "project"}, "kind 'project'"),
        ({"privateEndpointType": "AutoApproval"}, "privateEndpointType"),
        ({"storageAccountOption": "existing"}, "storageAccountOption"),
        ({"managedNetwork": {"isolationMode": "AllowInternetOutbound"}}, "AllowInternetOutbound"),
        ({"types": ("Microsoft.Web/sites",)}, "Microsoft.Web/sites"),
    ],
)
def test_a_deployment_that_is_not_emulated_is_refused_by_name(azure: Azure, values: dict[str, Any], told: str) -> None:
    reply = deploy(azure, **values)

    assert reply.status_code == 501
    assert told in reply.json()["error"]["message"]


def test_who_deploys_must_be_allowed_to_make_what_is_deployed(azure: Azure) -> None:
    reply = deploy(azure, who="scientist")
    assert reply.status_code == 403
    assert "Microsoft.Resources/deployments/write" in reply.json()["error"]["message"]
    deployer = azure.cloud.access.define(
        {
            "name": "00000000-0000-0000-0000-0000000000d1",
            "properties": {
                "roleName": "Deployer",
                "assignableScopes": ["/"],
                "permissions": [{"actions": ["Microsoft.Resources/deployments/*", f"{WORKSPACE}/write"]}],
            },
        }
    )
    group = f"/subscriptions/{azure.subscription}/resourceGroups/{azure.group}"
    given = azure.cloud.access.assign(group, azure.principal("nobody").object_id, deployer)
    try:
        assert deploy(azure, who="nobody").status_code == 201
        refused = deploy(azure, who="nobody", kind="featurestore")
    finally:
        azure.cloud.access.unassign(given["name"])
    assert refused.status_code == 403
    assert "workspaces/featurestores/write" in refused.json()["error"]["message"]


def test_what_is_no_feature_store_is_not_deleted_as_one(azure: Azure) -> None:
    with pytest.raises(Exception, match="is not a feature store"):
        azure.client().feature_stores.begin_delete(azure.workspace)


def test_a_data_scientist_deletes_no_workspace(azure: Azure) -> None:
    with pytest.raises(HttpResponseError, match=r"workspaces/(read|delete)") as refused:
        azure.client("scientist").workspaces.begin_delete(azure.workspace, delete_dependent_resources=False)

    assert refused.value.status_code == 403
