"""Workspaces: what everything else lies in."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final

from cloudmlops.emulators.azure.arm.errors import resource_not_found
from cloudmlops.emulators.azure.arm.paging import paged
from cloudmlops.emulators.azure.arm.routes import ArmRequest
from cloudmlops.emulators.azure.arm.world import World
from cloudmlops.emulators.azure.entra.principals import derived_id
from cloudmlops.emulators.azure.entra.tokens import Caller
from cloudmlops.emulators.azure.ml import GROUP, PROVIDER, WORKSPACE, WORKSPACES
from cloudmlops.emulators.azure.ml.default_datastores import make_default_datastores
from cloudmlops.emulators.core.answering import Answer, answer_json

TYPE: Final = f"{PROVIDER}/workspaces"
SYSTEM: Final = Caller(object_id="", client_id="emulator", name="emulator", kind="Application", audience="")


def add_workspaces(world: World) -> None:
    """Let workspaces be asked for."""

    def get(request: ArmRequest) -> Answer:
        return answer_json(workspace_of(world, request))

    def of_group(request: ArmRequest) -> Answer:
        return paged(request, world.resources.directly_below(request.path))

    world.routes.add("GET", WORKSPACE, get)
    world.routes.add("GET", WORKSPACES, of_group)


def workspace_of(world: World, request: ArmRequest) -> dict[str, Any]:
    """Return the workspace that a request is about.

    Raises:
        Refused: There is none of that name.
    """
    names = request.names
    found = world.resources.get(workspace_id(names))
    if found is None:
        raise resource_not_found(f"{TYPE}/{names['workspace']}", names["group"])
    return found


def workspace_id(names: Mapping[str, str]) -> str:
    """Return a workspace's id from the names of a route."""
    return WORKSPACE.format(**{key: names[key] for key in ("subscription", "group", "workspace")})


def ensure_workspace(world: World, subscription: str, group: str, name: str, *, location: str = "") -> dict[str, Any]:
    """Return a workspace with its storage account and datastores; make it when there is none."""
    id_ = workspace_id({"subscription": subscription, "group": group, "workspace": name})
    known = world.resources.get(id_)
    if known is not None:
        return known
    location = location or world.location
    account = storage_account(id_)
    of_group = GROUP.format(subscription=subscription, group=group)
    properties = {
        "friendlyName": name,
        "description": "",
        "storageAccount": f"{of_group}/providers/Microsoft.Storage/storageAccounts/{account}",
        "keyVault": f"{of_group}/providers/Microsoft.Keyvault/vaults/{account}",
        "applicationInsights": f"{of_group}/providers/Microsoft.insights/components/{account}",
        "hbiWorkspace": False,
        "provisioningState": "Succeeded",
        "v1LegacyMode": False,
        "workspaceId": derived_id("workspace", id_.lower()),
        "discoveryUrl": f"https://{location}.api.azureml.ms/discovery",
        "mlFlowTrackingUri": f"azureml://{location}.api.azureml.ms/mlflow/v1.0{id_}",
        "publicNetworkAccess": "Enabled",
        "tenantId": world.tokens.directory.tenant,
    }
    identity = {
        "type": "SystemAssigned",
        "principalId": derived_id("object", id_.lower()),
        "tenantId": world.tokens.directory.tenant,
    }
    made, _ = world.resources.put(
        id_,
        TYPE,
        properties,
        SYSTEM,
        location=location,
        kind="Default",
        tags={},
        etag=None,
        identity=identity,
        sku={"name": "Basic", "tier": "Basic"},
    )
    make_default_datastores(world, made, SYSTEM)
    return made


def storage_account(workspace: str) -> str:
    """Return the name of the storage account of a workspace, from the workspace's id."""
    return f"st{hashlib.sha256(workspace.lower().encode()).hexdigest()[:20]}"
