"""Workspaces, datastores, registries, roles and tokens have the names and statuses of the service's own answers.

The sets are distilled from recorded traffic (azure-sdk-assets, azure-ai-ml 1.12 to 1.32: `workspace` 2024-06,
`datastore` 2026-03, `registry` 2023-10), from learn.microsoft.com ("List Azure role definitions", "Microsoft identity
platform and the OAuth 2.0 client credentials flow") and from azure-rest-api-specs, Microsoft.Authorization 2022-04-01.
Other kinds have tables beside their own tests: test_models, test_assets, test_computes, test_features, test_schedules,
batch, blob, endpoints, eventgrid, jobs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

import httpx
import pytest

if TYPE_CHECKING:
    from conftest import Azure

RESOURCE = {"id", "name", "type", "properties", "systemData"}
SYSTEM_DATA = {"createdAt", "createdBy", "createdByType", "lastModifiedAt", "lastModifiedBy", "lastModifiedByType"}
WORKSPACE = {
    *("friendlyName", "description", "storageAccount", "keyVault", "applicationInsights", "hbiWorkspace", "tenantId"),
    *("provisioningState", "managedNetwork", "v1LegacyMode", "softDeleteEnabled", "creationTime", "storageHnsEnabled"),
    *("workspaceId", "linkedModelInventoryArmId", "privateLinkCount", "publicNetworkAccess", "ipAllowlist"),
    *("discoveryUrl", "mlFlowTrackingUri", "serverlessComputeSettings", "EnableSoftwareBillOfMaterials"),
    *("enableDataIsolation", "systemDatastoresAuthMode", "enableServiceSideCMKEncryption"),
}
"""But for `notebookInfo`, `sasGetterUri` and `sdkTelemetryAppInsightsKey`: of services that are not emulated."""
DATASTORE = {
    *("description", "tags", "properties", "isDefault", "credentials", "subscriptionId", "resourceGroup"),
    *("datastoreType", "accountName", "containerName", "endpoint", "protocol", "serviceDataAccessAuthIdentity"),
}
REGISTRY = {
    *("regionDetails", "intellectualPropertyPublisher", "publicNetworkAccess", "discoveryUrl"),
    *("managedResourceGroup", "mlFlowRegistryUri", "privateEndpointConnections"),
}
DEFINITION = {
    *("roleName", "type", "description", "assignableScopes", "permissions"),
    *("createdOn", "updatedOn", "createdBy", "updatedBy"),
}
ASSIGNMENT = {
    *("roleDefinitionId", "principalId", "principalType", "scope", "condition", "conditionVersion", "description"),
    *("createdOn", "updatedOn", "createdBy", "updatedBy", "delegatedManagedIdentityResourceId"),
}
REFUSED = {
    *("error", "error_description", "error_codes", "timestamp", "trace_id", "correlation_id", "error_uri"),
}


def call(azure: Azure, method: str, path: str, *, who: str = "owner", **more: Any) -> httpx.Response:
    token = azure.cloud.tokens.issue(azure.principal(who), "https://management.azure.com")
    return httpx.request(
        method,
        f"{azure.emulator.url}{path}",
        headers={"authorization": f"Bearer {token}"},
        params={"api-version": "2024-10-01-preview", **more.pop("params", {})},
        trust_env=False,
        **more,
    )


def ask_for_token(azure: Azure, **given: str) -> httpx.Response:
    form = {
        "grant_type": "client_credentials",
        "client_id": azure.principal("owner").client_id,
        "client_secret": azure.principal("owner").secret,
        "scope": "https://management.azure.com/.default",
        **given,
    }
    return httpx.post(
        f"{azure.emulator.url}/{azure.cloud.tokens.directory.tenant}/oauth2/v2.0/token",
        data={name: value for name, value in form.items() if value},
        headers={"host": "login.microsoftonline.com"},
        trust_env=False,
        verify=False,
    )


def test_a_workspace_has_the_services_names(azure: Azure) -> None:
    shown = call(azure, "GET", azure.workspace_id).json()

    assert set(shown) == RESOURCE | {"location", "tags", "etag", "identity", "kind", "sku"}
    assert set(shown["properties"]) == WORKSPACE
    assert set(shown["systemData"]) == SYSTEM_DATA
    assert shown["identity"].keys() == {"type", "principalId", "tenantId"}
    assert (shown["kind"], shown["etag"], shown["sku"]) == ("Default", None, {"name": "Basic", "tier": "Basic"})


def test_a_workspace_that_there_is_not_is_told_in_resource_managers_words(azure: Azure) -> None:
    reply = call(azure, "GET", f"{azure.workspace_id}-not")

    assert reply.status_code == 404
    assert reply.json()["error"].keys() == {"code", "message"}
    assert reply.json()["error"]["code"] == "ResourceNotFound"
    assert "under resource group" in reply.json()["error"]["message"]


def test_a_datastore_has_the_services_names_and_defaults(azure: Azure) -> None:
    given = {
        "datastoreType": "AzureBlob",
        "accountName": "account",
        "containerName": "testblob",
        "endpoint": "core.windows.net",
        "protocol": "https",
        "tags": {},
        "credentials": {
            "credentialsType": "AccountKey",
            "secrets": {"secretsType": "AccountKey", "key": "dGhpcyBpcyBmYWtlIGtleQ=="},
        },
    }
    path = f"{azure.workspace_id}/datastores/golden"

    made = call(azure, "PUT", path, params={"skipValidation": "true"}, json={"properties": given})

    assert made.status_code == 201
    assert made.headers["location"].startswith(f"https://management.azure.com{path}?api-version=")
    shown = call(azure, "GET", path).json()
    assert shown == made.json()
    assert set(shown) == RESOURCE
    assert set(shown["properties"]) == DATASTORE
    assert {name: shown["properties"][name] for name in ("description", "properties", "isDefault", "tags")} == {
        "description": None,
        "properties": None,
        "isDefault": False,
        "tags": {},
    }
    assert shown["properties"]["credentials"] == {"credentialsType": "AccountKey"}
    assert shown["properties"]["serviceDataAccessAuthIdentity"] == "None"
    secrets = call(azure, "POST", f"{path}/listSecrets", json={"expirableSecret": True, "expireAfterHours": 1})
    assert secrets.json().keys() == {"secretsType", "sasToken"}
    assert secrets.json()["secretsType"] == "Sas"
    assert set(secrets.json()["sasToken"].removeprefix("?").replace("&", "=").split("=")[::2]) == {
        *("sv", "sig", "se", "srt", "ss", "sp")
    }


def test_a_registry_has_the_services_names(azure: Azure) -> None:
    shown = call(azure, "GET", azure.cloud.ensure_registry(f"golden-{azure.workspace}", group="shared")).json()

    assert set(shown) == RESOURCE | {"location", "tags", "identity"}
    assert set(shown["properties"]) == REGISTRY
    assert shown["systemData"] is None
    (region,) = shown["properties"]["regionDetails"]
    assert region.keys() == {"location", "storageAccountDetails", "acrDetails"}
    (storage,), (images,) = region["storageAccountDetails"], region["acrDetails"]
    assert storage["userCreatedStorageAccount"] is images["userCreatedAcrAccount"] is None
    assert set(storage["systemCreatedStorageAccount"]) == {
        *("storageAccountName", "storageAccountType", "storageAccountHnsEnabled", "armResourceId")
    }
    assert set(images["systemCreatedAcrAccount"]) == {"acrAccountName", "acrAccountSku", "armResourceId"}


def test_a_registry_that_is_not_for_somebody_is_told_in_its_own_words(azure: Azure) -> None:
    name = f"closed-{azure.workspace}"
    azure.cloud.ensure_registry(name, group="shared")

    reply = call(azure, "GET", f"/registrymanagement/v1.0/registries/{name}/discovery", who="nobody")

    error = reply.json()["error"]
    assert reply.status_code == 403
    assert error["code"] == "UserError"
    assert error["message"] == f"User/tenant/subscription is not allowed to access registry {name}"


@pytest.mark.parametrize("built_in", [True, False], ids=["built in", "custom"])
def test_a_role_definition_has_the_services_names(azure: Azure, built_in: bool) -> None:
    group = azure.workspace_id.partition("/providers/")[0]
    name = "acdd72a7-3385-48ef-bd42-f606fba81ae7" if built_in else str(uuid4())
    path = f"{group}/providers/Microsoft.Authorization/roleDefinitions/{name}"
    if not built_in:
        properties = {
            "roleName": f"of {azure.workspace}",
            "assignableScopes": [group],
            "permissions": [{"actions": ["Microsoft.MachineLearningServices/workspaces/read"]}],
        }
        made = call(azure, "PUT", path, json={"properties": properties})
        assert (made.status_code, set(made.json()["properties"])) == (201, DEFINITION)

    shown = call(azure, "GET", path).json()

    assert set(shown) == {"id", "name", "type", "properties"}
    assert shown["type"] == "Microsoft.Authorization/roleDefinitions"
    assert set(shown["properties"]) == DEFINITION
    assert shown["properties"]["type"] == ("BuiltInRole" if built_in else "CustomRole")
    (permission,) = shown["properties"]["permissions"]
    assert permission.keys() == {"actions", "notActions", "dataActions", "notDataActions"}
    assert shown["properties"]["createdBy"] == (None if built_in else azure.principal("owner").object_id)


def test_a_role_assignment_has_the_services_names_and_statuses(azure: Azure) -> None:
    path = f"{azure.workspace_id}/providers/Microsoft.Authorization/roleAssignments/{uuid4()}"
    role = "/providers/Microsoft.Authorization/roleDefinitions/acdd72a7-3385-48ef-bd42-f606fba81ae7"
    given = {"roleDefinitionId": role, "principalId": azure.principal("nobody").object_id}

    made = call(azure, "PUT", path, json={"properties": given})

    assert made.status_code == 201
    assert set(made.json()) == {"id", "name", "type", "properties"}
    assert set(made.json()["properties"]) == ASSIGNMENT
    assert made.json()["properties"]["scope"] == azure.workspace_id
    assert [call(azure, "DELETE", path).status_code for _ in range(2)] == [200, 204]
    absent = call(azure, "GET", path)
    assert (absent.status_code, absent.json()["error"]["code"]) == (404, "RoleAssignmentNotFound")


def test_a_token_is_answered_with_the_services_names(azure: Azure) -> None:
    reply = ask_for_token(azure)

    assert reply.status_code == 200
    assert reply.json().keys() == {"token_type", "expires_in", "ext_expires_in", "access_token"}
    assert (reply.json()["token_type"], reply.headers["cache-control"]) == ("Bearer", "no-store, no-cache")


@pytest.mark.parametrize(
    ("given", "status", "error", "number"),
    [
        ({"client_secret": "wrong"}, 401, "invalid_client", 7000215),
        ({"client_secret": ""}, 401, "invalid_client", 7000216),
        ({"client_id": "00000000-0000-0000-0000-00000000ffff"}, 400, "unauthorized_client", 700016),
        ({"scope": ""}, 400, "invalid_request", 900144),
        ({"grant_type": "password"}, 400, "unsupported_grant_type", 70003),
    ],
    ids=["wrong secret", "no secret", "unknown client", "no scope", "other grant"],
)
def test_a_refused_token_is_told_with_the_services_names_and_numbers(
    azure: Azure, given: dict[str, str], status: int, error: str, number: int
) -> None:
    reply = ask_for_token(azure, **given)

    assert reply.status_code == status
    told = reply.json()
    assert set(told) == REFUSED
    assert (told["error"], told["error_codes"]) == (error, [number])
    assert told["error_description"].startswith(f"AADSTS{number}: ")
    assert told["error_uri"].endswith(f"/error?code={number}")


def test_a_device_code_is_refused_by_name(azure: Azure) -> None:
    reply = httpx.post(
        f"{azure.emulator.url}/{azure.cloud.tokens.directory.tenant}/oauth2/v2.0/devicecode",
        data={"client_id": azure.principal("owner").client_id, "scope": "openid"},
        headers={"host": "login.microsoftonline.com"},
        trust_env=False,
        verify=False,
    )

    assert reply.status_code == 501
    assert "device code flow is not emulated" in reply.json()["error_description"]
