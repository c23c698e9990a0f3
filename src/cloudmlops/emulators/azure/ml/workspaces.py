"""Workspaces: what everything else lies in."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

from cloudmlops.emulators.azure.arm.errors import UserError, not_found, resource_not_found
from cloudmlops.emulators.azure.arm.paging import paged
from cloudmlops.emulators.azure.arm.routes import ArmRequest
from cloudmlops.emulators.azure.arm.world import World
from cloudmlops.emulators.azure.entra.principals import derived_id
from cloudmlops.emulators.azure.entra.tokens import Caller
from cloudmlops.emulators.azure.ml import GROUP, PROVIDER, WORKSPACE, WORKSPACES
from cloudmlops.emulators.azure.ml.default_datastores import make_default_datastores
from cloudmlops.emulators.azure.ml.identities import SYSTEM as SYSTEM_ASSIGNED
from cloudmlops.emulators.azure.ml.identities import identity_given
from cloudmlops.emulators.core.answering import Answer, answer_json
from cloudmlops.emulators.core.faults import Refused

TYPE: Final = f"{PROVIDER}/workspaces"
FEATURE_STORE: Final = "FeatureStore"
_CHANGEABLE: Final = ("description", "friendlyName", "featureStoreSettings", "publicNetworkAccess")
SYSTEM: Final = Caller(object_id="", client_id="emulator", name="emulator", kind="Application", audience="")


def add_workspaces(world: World) -> None:
    """Let workspaces be asked for, changed and removed; what makes them are deployments."""

    def get(request: ArmRequest) -> Answer:
        return answer_json(workspace_of(world, request))

    def of_group(request: ArmRequest) -> Answer:
        return paged(request, of_kinds(world.resources.directly_below(request.path), request.query("kind")))

    def of_subscription(request: ArmRequest) -> Answer:
        within = f"/subscriptions/{request.names['subscription']}/".lower()
        found = [one for one in world.resources.of_type(TYPE) if one["id"].lower().startswith(within)]
        return paged(request, of_kinds(found, request.query("kind")))

    def of_kinds(found: Sequence[dict[str, Any]], kinds: str) -> list[dict[str, Any]]:
        wanted = [kind.strip().lower() for kind in kinds.split(",") if kind.strip()]
        return [one for one in found if not wanted or str(one["kind"]).lower() in wanted]

    def change(request: ArmRequest) -> Answer:
        known, body = workspace_of(world, request), request.body
        given: Mapping[str, Any] = body.get("properties") or {}
        unknown = [
            name
            for name, value in given.items()
            if name not in _CHANGEABLE and not _says_nothing_new(value, known["properties"].get(name))
        ]
        if unknown:
            raise Refused("UNIMPLEMENTED", f"The change of a workspace's {', '.join(sorted(unknown))} is not emulated.")
        known["tags"] = body.get("tags") if body.get("tags") is not None else known["tags"]
        changed = {name: value for name, value in given.items() if name in _CHANGEABLE and value is not None}
        known["properties"] |= changed
        beside = {name: known[name] for name in ("location", "kind", "tags", "etag", "identity", "sku")}
        made, _ = world.resources.put(known["id"], TYPE, known["properties"], request.caller, **beside)
        return answer_json(made)

    def delete(request: ArmRequest) -> Answer:
        known = world.resources.get(request.path)
        if known is None:
            return Answer(status=204)
        if known["kind"] == FEATURE_STORE:
            world.access.check(request.caller, f"{TYPE}/featurestores/delete", request.path)

        def work() -> None:
            world.resources.delete(request.path)
            world.tokens.system_identities.remove(request.path)

        headers = world.operations.begin(
            request.names["subscription"], known["location"], request.path, work=work, version=request.version
        )
        place = headers["azure-asyncoperation"].replace("/mfe", "/workspace")
        followed = {"azure-asyncoperation": f"{place}&type=async", "location": f"{place}&type=location"}
        return Answer(status=202, headers={**headers, **followed})

    def connections(request: ArmRequest) -> Answer:
        workspace_of(world, request)
        if request.query("includeAll", "false").lower() != "false":
            raise UserError("UNIMPLEMENTED", "The query includeAll, for datastores among connections, is not emulated.")
        found = world.resources.directly_below(request.path)
        for name in ("category", "target"):
            if wanted := request.query(name):
                found = [one for one in found if str(one["properties"].get(name)).lower() == wanted.lower()]
        return paged(request, found)

    def connection(request: ArmRequest) -> Answer:
        workspace_of(world, request)
        found = world.resources.get(request.path)
        if found is None:
            raise not_found("ConnectionNotFound", f"Connection {request.names['name']} not found.")
        return answer_json(found)

    add = world.routes.add
    add("GET", WORKSPACE, get)
    add("PATCH", WORKSPACE, change)
    add("DELETE", WORKSPACE, delete)
    add("GET", WORKSPACES, of_group)
    add("GET", f"/subscriptions/{{subscription}}/providers/{PROVIDER}/workspaces", of_subscription)
    add("GET", f"{WORKSPACE}/connections", connections)
    add("GET", f"{WORKSPACE}/connections/{{name}}", connection)


def _says_nothing_new(given: object, known: object) -> bool:
    """Say whether what an SDK sends back of what it has read is as it is: nothing, or the same in any case."""
    if isinstance(given, Mapping) and isinstance(known, Mapping):
        return all(_says_nothing_new(value, known.get(name)) for name, value in given.items())
    return given in (None, {}, []) or str(given).lower() == str(known).lower()


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


def ensure_workspace(
    world: World,
    subscription: str,
    group: str,
    name: str,
    *,
    location: str = "",
    caller: Caller = SYSTEM,
    identities: Sequence[str] = (),
) -> dict[str, Any]:
    """Return a workspace with its storage account and datastores; make it when there is none.

    Args:
        world: That it is in.
        subscription: Its id.
        group: The resource group.
        name: Of it.
        location: Of it; empty is the emulator's own.
        caller: Who asks for it.
        identities: Ids of the user-assigned identities that it is given, beside the one of its own.
    """
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
        "creationTime": world.surroundings.clock.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        **_AS_RECORDED,
    }
    identity = identity_given(world.tokens, id_, {"type": SYSTEM_ASSIGNED, **_users(identities)})
    made, _ = world.resources.put(
        id_,
        TYPE,
        properties,
        caller,
        location=location,
        kind="Default",
        tags={},
        etag=None,
        identity=identity,
        sku={"name": "Basic", "tier": "Basic"},
    )
    make_default_datastores(world, made, caller)
    return made


def _users(identities: Sequence[str]) -> dict[str, Any]:
    if not identities:
        return {}
    return {"type": f"{SYSTEM_ASSIGNED},UserAssigned", "userAssignedIdentities": {one: {} for one in identities}}


_AS_RECORDED: Final[Mapping[str, Any]] = {
    "managedNetwork": {
        "isolationMode": "Disabled",
        "changeableIsolationModes": ["AllowInternetOutbound", "AllowOnlyApprovedOutbound"],
    },
    "softDeleteEnabled": False,
    "storageHnsEnabled": False,
    "linkedModelInventoryArmId": None,
    "privateLinkCount": 0,
    "ipAllowlist": [],
    "serverlessComputeSettings": {"serverlessComputeCustomSubnet": None, "serverlessComputeNoPublicIP": False},
    "EnableSoftwareBillOfMaterials": False,
    "enableDataIsolation": True,
    "systemDatastoresAuthMode": "accesskey",
    "enableServiceSideCMKEncryption": False,
}
"""What a workspace has that nobody gave it (recorded: azure-sdk-assets, azure-ai-ml 1.17, 2024-06, `workspace`)."""


def storage_account(workspace: str) -> str:
    """Return the name of the storage account of a workspace, from the workspace's id."""
    return f"st{hashlib.sha256(workspace.lower().encode()).hexdigest()[:20]}"
