"""Workspaces that are made by a deployment of Azure Resource Manager, as azure-ai-ml makes them.

A deployment is one operation: of its template no more is read than that it makes a workspace, and how is read from its
parameters, which are those of azure-ai-ml's own template. Other templates, and parameters that ask for networks, for
accounts of the user's own or for hubs and projects, are refused by name. What a deployment shows is documented
(learn.microsoft.com, "Deployments - Get").
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final
from uuid import uuid4

from cloudmlops.emulators.azure.arm.operations import POLL_MILLISECONDS
from cloudmlops.emulators.azure.arm.resources import written
from cloudmlops.emulators.azure.arm.routes import ArmRequest
from cloudmlops.emulators.azure.arm.world import World
from cloudmlops.emulators.azure.entra.principals import derived_id
from cloudmlops.emulators.azure.entra.tokens import Caller
from cloudmlops.emulators.azure.ml import GROUP, PROVIDER
from cloudmlops.emulators.azure.ml.workspaces import FEATURE_STORE, ensure_workspace, workspace_id
from cloudmlops.emulators.core.answering import Answer, answer_json
from cloudmlops.emulators.core.faults import Refused

DEPLOYMENT: Final = f"{GROUP}/providers/Microsoft.Resources/deployments/{{deployment}}"
TYPE: Final = "Microsoft.Resources/deployments"
CONNECTION_TYPE: Final = f"{PROVIDER}/workspaces/connections"
KINDS: Final[Mapping[str, str]] = {"": "Default", "default": "Default", "featurestore": FEATURE_STORE}
"""Of workspaces that can be made, by how a deployment names them."""
_PLAIN: Final[Mapping[str, tuple[str, ...]]] = {
    "privateEndpointType": ("", "none"),
    "storageAccountOption": ("", "new"),
    "keyVaultOption": ("", "new"),
    "applicationInsightsOption": ("", "new"),
    "containerRegistryOption": ("", "none", "new"),
    "offlineStoreStorageAccountOption": ("", "none", "new"),
    "online_store_resource_id": ("",),
    "materializationIdentityOption": ("", "none", "new"),
    "encryption_status": ("", "disabled"),
    "adbWorkspace": ("",),
    "primaryUserAssignedIdentity": ("",),
}
"""What parameters may say."""


class WorkspaceDeployments:
    """The handlers."""

    def __init__(self, world: World) -> None:
        self._world = world
        add = world.routes.add
        add("GET", DEPLOYMENT, self.get)
        add("PUT", DEPLOYMENT, self.put)
        add("GET", f"{GROUP}/deployments/{{deployment}}/operations", self.operations, action=f"{TYPE}/operations/read")
        add("GET", f"{DEPLOYMENT}/operationStatuses/{{operation}}", self.status)

    def get(self, request: ArmRequest) -> Answer:
        """Show a deployment."""
        return answer_json(self._shown(self._deployment(request)))

    def put(self, request: ArmRequest) -> Answer:
        """Begin a deployment."""
        names, given = request.names, request.body.get("properties") or {}
        values = {name: one.get("value") for name, one in (given.get("parameters") or {}).items()}
        _check(given.get("template") or {}, values)
        kind = KINDS[str(values.get("kind") or "").lower()]
        group = GROUP.format(subscription=names["subscription"], group=names["group"])
        self._world.access.check(request.caller, f"{PROVIDER}/workspaces/write", group)
        if kind == FEATURE_STORE:
            self._world.access.check(request.caller, f"{PROVIDER}/workspaces/featurestores/write", group)
        began, address = (
            self._world.surroundings.clock.now(),
            workspace_id({**names, "workspace": values["workspaceName"]}),
        )
        properties = {
            "templateHash": derived_id("template", json.dumps(given.get("template"), sort_keys=True)),
            "parameters": given.get("parameters"),
            "mode": given.get("mode") or "Incremental",
            "provisioningState": "Accepted",
            "timestamp": written(began),
            "duration": "PT0S",
            "correlationId": str(uuid4()),
            "providers": [{"namespace": PROVIDER, "resourceTypes": [{"resourceType": "workspaces"}]}],
            "dependencies": [],
            "workspace": address,
        }
        made, _ = self._world.resources.put(request.path, TYPE, properties, request.caller)

        def work() -> None:
            with self._world.surroundings.state.transaction():
                self._make(names, values, kind, request.caller)
            self._ended(request.path, "Succeeded", self._world.surroundings.clock.now() - began)

        headers = self._world.operations.begin(
            names["subscription"],
            self._world.location,
            request.path,
            work=work,
            failed=lambda _: self._ended(request.path, "Failed", self._world.surroundings.clock.now() - began),
            version=request.version,
        )
        operation = headers["azure-asyncoperation"].rpartition("/")[2].partition("?")[0]
        place = (
            f"https://management.azure.com{request.path}/operationStatuses/{operation}?api-version={request.version}"
        )
        followed = {"azure-asyncoperation": place, "retry-after-ms": POLL_MILLISECONDS}
        return answer_json(self._shown(made), status=201, headers=followed)

    def status(self, request: ArmRequest) -> Answer:
        """Tell how a deployment goes on."""
        found = self._world.operations.status(request.names["operation"], request.path)
        if found is None:
            raise Refused("NOT_FOUND", f"The operation {request.names['operation']} is not known.", reason="NotFound")
        status = "Running" if found["status"] == "InProgress" else found["status"]
        told = {"status": status, **({"error": found["error"]} if "error" in found else {})}
        return answer_json(told, headers={"retry-after-ms": POLL_MILLISECONDS})

    def operations(self, request: ArmRequest) -> Answer:
        """List what a deployment did: the workspace is all that is told."""
        address = DEPLOYMENT.format(**request.names)
        deployment = self._world.resources.get(address)
        if deployment is None:
            raise _unknown(request)
        properties, target = deployment["properties"], deployment["properties"]["workspace"]
        operation = derived_id("deployment", f"{address}/{target}")
        told = {
            "id": f"{address}/operations/{operation}",
            "operationId": operation,
            "properties": {
                "provisioningOperation": "Create",
                "provisioningState": properties["provisioningState"],
                "timestamp": properties["timestamp"],
                "duration": properties["duration"],
                "trackingId": str(uuid4()),
                "serviceRequestId": None,
                "statusCode": "OK" if properties["provisioningState"] == "Succeeded" else "Accepted",
                "targetResource": {
                    "id": target,
                    "resourceType": f"{PROVIDER}/workspaces",
                    "resourceName": target.rpartition("/")[2],
                },
            },
        }
        return answer_json({"value": [told]})

    def _deployment(self, request: ArmRequest) -> dict[str, Any]:
        found = self._world.resources.get(request.path)
        if found is None:
            raise _unknown(request)
        return found

    def _shown(self, deployment: Mapping[str, Any]) -> dict[str, Any]:
        properties = {name: value for name, value in deployment["properties"].items() if name != "workspace"}
        if properties["provisioningState"] == "Succeeded":
            properties["outputResources"] = [{"id": deployment["properties"]["workspace"]}]
        return {**{name: deployment[name] for name in ("id", "name", "type")}, "properties": properties}

    def _ended(self, address: str, state: str, lasted: timedelta) -> None:
        ended = {"provisioningState": state, "duration": f"PT{lasted.total_seconds()}S"}
        self._world.resources.change(address, lambda deployment: deployment["properties"].update(ended))

    def _make(self, names: Mapping[str, str], values: Mapping[str, Any], kind: str, caller: Caller) -> None:
        made = ensure_workspace(
            self._world,
            names["subscription"],
            names["group"],
            str(values["workspaceName"]),
            location=str(values.get("location") or "").lower().replace(" ", ""),
            caller=caller,
        )
        made |= {"kind": kind, "tags": values.get("tagValues") or {}}
        made["properties"] |= {
            "friendlyName": values.get("friendlyName") or made["name"],
            "description": values.get("description") or "",
        }
        if kind == FEATURE_STORE:
            offline = values.get("offline_store_connection_name") or None
            made["properties"]["featureStoreSettings"] = {
                "computeRuntime": {"sparkRuntimeVersion": values.get("spark_runtime_version") or None},
                "offlineStoreConnectionName": offline,
                "onlineStoreConnectionName": values.get("online_store_connection_name") or None,
            }
            if offline:
                self._connect(made, str(offline), caller)
        self._world.resources.update(made)

    def _connect(self, workspace: Mapping[str, Any], name: str, caller: Caller) -> None:
        """Make the connection to where a feature store keeps what is materialized: a container in its own account."""
        target = f"{workspace['properties']['storageAccount']}/blobServices/default/containers/offlinestore"
        properties = {"category": "ADLSGen2", "target": target, "authType": "ManagedIdentity", "metadata": {}}
        self._world.resources.put(f"{workspace['id']}/connections/{name}", CONNECTION_TYPE, properties, caller)


def _check(template: Mapping[str, Any], values: Mapping[str, Any]) -> None:
    """Refuse what is no workspace's deployment, or one that is not emulated."""
    types = [str(one.get("type")) for one in template.get("resources") or ()]
    if f"{PROVIDER}/workspaces" not in types or not values.get("workspaceName"):
        told = ", ".join(sorted(set(types))) or "nothing"
        raise Refused("UNIMPLEMENTED", f"A deployment of {told} is not emulated: only one of a workspace.")
    kind = str(values.get("kind") or "").lower()
    if kind not in KINDS:
        raise Refused("UNIMPLEMENTED", f"A workspace of the kind {values['kind']!r} is not emulated.")
    for name, allowed in _PLAIN.items():
        value = str(values.get(name) or "")
        if value.lower() not in allowed:
            raise Refused("UNIMPLEMENTED", f"The parameter {name}={value!r} of a workspace is not emulated.")
    isolation = str((values.get("managedNetwork") or {}).get("isolationMode") or "Disabled")
    if isolation != "Disabled":
        raise Refused("UNIMPLEMENTED", f"A managed network with isolation mode {isolation!r} is not emulated.")


def _unknown(request: ArmRequest) -> Refused:
    name = request.names["deployment"]
    return Refused("NOT_FOUND", f"Deployment '{name}' could not be found.", reason="DeploymentNotFound")
