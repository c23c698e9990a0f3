"""Computes: clusters that grow with their runs, and instances that somebody starts and stops.

Shapes and states follow recorded traffic of the real service (azure-sdk-assets and azure-sdk-for-python, azure-ai-ml
0.1 to 1.24, `compute`): sizes in upper case, passwords never shown, counts of nodes null until there is an answer.
What an absent compute is answered with is not recorded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from cloudmlops.emulators.azure.arm.errors import UserError, not_found
from cloudmlops.emulators.azure.arm.paging import paged
from cloudmlops.emulators.azure.arm.resources import written
from cloudmlops.emulators.azure.arm.routes import ArmRequest
from cloudmlops.emulators.azure.arm.world import World
from cloudmlops.emulators.azure.ml import PROVIDER, WORKSPACE
from cloudmlops.emulators.azure.ml.clusters import Cluster, Clusters
from cloudmlops.emulators.azure.ml.durations import duration
from cloudmlops.emulators.azure.ml.identities import identity_given
from cloudmlops.emulators.azure.ml.long_running import of_computes
from cloudmlops.emulators.azure.ml.workspaces import workspace_of
from cloudmlops.emulators.core.answering import Answer, answer_json
from cloudmlops.emulators.core.faults import Refused

COMPUTES: Final = f"{WORKSPACE}/computes"
COMPUTE: Final = f"{COMPUTES}/{{name}}"
TYPE: Final = f"{PROVIDER}/workspaces/computes"
CLUSTER: Final = "AmlCompute"
INSTANCE: Final = "ComputeInstance"
_IDLE: Final = "PT2M"
"""How long an idle node stays when nobody says, as the SDK and the portal have it."""
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9-]{1,30}[A-Za-z0-9]|[A-Za-z][A-Za-z0-9-]")


class Computes:
    """The handlers."""

    def __init__(self, world: World, clusters: Clusters) -> None:
        self._world = world
        self._clusters = clusters
        self._known = world.surroundings.state.table("ml_computes")
        add = world.routes.add
        add("GET", COMPUTES, self.list)
        add("GET", COMPUTE, self.get)
        add("PUT", COMPUTE, self.put)
        add("PATCH", COMPUTE, self.patch)
        add("DELETE", COMPUTE, self.delete)
        add("POST", f"{COMPUTE}/listNodes", self.list_nodes)
        add("POST", f"{COMPUTE}/resize", self.resize)
        for verb in ("start", "stop", "restart"):
            add("POST", f"{COMPUTE}/{verb}", self.switch)

    def resume(self) -> None:
        """Finish what an emulator that was before had begun."""
        for compute in dict(self._known.items()).values():
            found = self._world.resources.get(compute.decode())
            state = found["properties"]["provisioningState"] if found is not None else ""
            if state == "Creating":
                self._provide(compute.decode())
            elif state == "Deleting":
                self._end(compute.decode())

    def list(self, request: ArmRequest) -> Answer:
        workspace_of(self._world, request)
        found = self._world.resources.directly_below(request.path)
        if kind := request.query("computeType"):
            found = [one for one in found if one["properties"]["computeType"] == kind]
        return paged(request, [{**self._shown(one), "systemData": one["systemData"]} for one in found])

    def get(self, request: ArmRequest) -> Answer:
        return answer_json(self._shown(self._compute(request)))

    def put(self, request: ArmRequest) -> Answer:
        workspace = workspace_of(self._world, request)
        name = request.names["name"]
        if not _NAME.fullmatch(name):
            raise UserError(
                "INVALID_ARGUMENT",
                f"The name {name!r} is invalid: 2 to 32 letters, digits and '-', a letter first, no '-' last.",
            )
        kept = _kept(request.body.get("properties") or {})
        known = self._world.resources.get(request.path)
        if known is not None:
            _check_same(known["properties"], kept)
        now = written(self._world.surroundings.clock.now())
        kept["createdOn"] = known["properties"]["createdOn"] if known else now
        kept["modifiedOn"] = now
        kept["provisioningState"] = "Creating"
        kept["state"] = known["properties"]["state"] if known else "Running"
        beside: dict[str, Any] = {
            "location": request.body.get("location") or workspace["location"],
            "tags": request.body.get("tags") or {},
        }
        if request.body.get("identity"):
            beside["identity"] = identity_given(self._world.tokens, request.path, request.body["identity"])
        made, _ = self._world.resources.put(request.path, TYPE, kept, request.caller, **beside)
        self._known.put(made["id"].lower(), made["id"].encode())
        return self._begun(request, made, lambda: self._provide(request.path), status=201)

    def patch(self, request: ArmRequest) -> Answer:
        made = self._compute(request)
        given = (request.body.get("properties") or {}).get("properties") or {}
        if set(given) - {"scaleSettings"}:
            raise Refused("UNIMPLEMENTED", f"changing {', '.join(sorted(given))} of a compute is not emulated")
        if made["properties"]["computeType"] != CLUSTER:
            raise UserError("INVALID_ARGUMENT", "Only an AmlCompute has scale settings.")
        if given.get("scaleSettings"):
            made["properties"]["properties"]["scaleSettings"] = _scale(given["scaleSettings"])
        made["properties"]["modifiedOn"] = written(self._world.surroundings.clock.now())
        self._world.resources.update(made)
        return self._begun(request, made, lambda: self._provide(request.path), status=200)

    def delete(self, request: ArmRequest) -> Answer:
        found = self._world.resources.get(request.path)
        workspace_of(self._world, request)
        if found is None:
            return Answer(status=204)
        action = request.query("underlyingResourceAction")
        if action.lower() not in ("delete", "detach"):
            raise UserError("INVALID_ARGUMENT", "underlyingResourceAction must be Delete or Detach.")
        if action.lower() == "detach":
            kind = found["properties"]["computeType"]
            raise UserError("INVALID_ARGUMENT", f"Detach is not supported for the compute type {kind}.")
        found["properties"]["provisioningState"] = "Deleting"
        self._world.resources.update(found)
        return self._begun(request, None, lambda: self._end(request.path))

    def list_nodes(self, request: ArmRequest) -> Answer:
        found = self._compute(request)
        cluster = self._clusters.get(found["id"])
        nodes = cluster.nodes if cluster is not None else ()
        shown = [
            {
                "nodeId": node.id,
                "privateIpAddress": f"10.0.0.{number + 4}",
                "publicIpAddress": None,
                "port": 50000 + number,
                "nodeState": "running" if node.run else "idle",
                "runId": node.run or None,
            }
            for number, node in enumerate(nodes)
        ]
        return answer_json({"nodes": shown})

    def resize(self, request: ArmRequest) -> Answer:
        found = self._compute(request)
        if found["properties"]["computeType"] != CLUSTER:
            raise UserError("INVALID_ARGUMENT", "Only an AmlCompute can be resized.")
        scale = found["properties"]["properties"]["scaleSettings"]
        count = request.body.get("targetNodeCount")
        if not isinstance(count, int) or not scale["minNodeCount"] <= count <= scale["maxNodeCount"]:
            raise UserError(
                "INVALID_ARGUMENT",
                f"targetNodeCount must be from {scale['minNodeCount']} to {scale['maxNodeCount']}, not {count}.",
            )
        return self._begun(request, None, lambda: self._clusters.resize(found["id"], count))

    def switch(self, request: ArmRequest) -> Answer:
        """Start, stop or restart an instance."""
        found = self._compute(request)
        verb = request.path.rpartition("/")[2].lower()
        if found["properties"]["computeType"] != INSTANCE:
            raise UserError("INVALID_ARGUMENT", f"Only a ComputeInstance can {verb}.")
        going = {"start": "Starting", "stop": "Stopping", "restart": "Restarting"}[verb]
        found["properties"]["state"] = going
        self._world.resources.update(found)
        return self._begun(request, None, lambda: self._switched(found["id"], verb))

    def _switched(self, compute: str, verb: str) -> None:
        found = self._world.resources.get(compute)
        if found is None:
            return
        now = written(self._world.surroundings.clock.now())
        found["properties"]["state"] = "Stopped" if verb == "stop" else "Running"
        found["properties"]["modifiedOn"] = now
        found["properties"]["lastOperation"] = {
            "operationName": verb.capitalize(),
            "operationTime": now,
            "operationStatus": "Succeeded",
            "operationTrigger": "User",
        }
        self._apply(found)

    def _provide(self, path: str) -> None:
        """Let a compute be there, with the nodes that it always has."""
        made = self._world.resources.get(path)
        if made is None:
            return
        made["properties"]["provisioningState"] = "Succeeded"
        made["properties"].setdefault(
            "lastOperation",
            {
                "operationName": "Create",
                "operationTime": written(self._world.surroundings.clock.now()),
                "operationStatus": "Succeeded",
                "operationTrigger": "User",
            },
        )
        self._apply(made)

    def _apply(self, compute: Mapping[str, Any]) -> None:
        """Keep what has changed of a compute, and let its nodes follow."""
        self._world.resources.update(compute)
        properties = compute["properties"]
        self._clusters.define(compute["id"], _cluster(properties))
        if properties["computeType"] == INSTANCE and properties["state"] == "Running":
            self._clusters.resize(compute["id"], 1)

    def _end(self, path: str) -> None:
        self._world.resources.delete(path)
        self._world.tokens.system_identities.remove(path)
        self._known.delete(path.lower())
        self._clusters.remove(path)

    def _begun(self, request: ArmRequest, made: Mapping[str, Any] | None, work: Any, *, status: int = 202) -> Answer:
        workspace = workspace_of(self._world, request)
        body = self._shown(made) if made is not None else None
        headers = self._world.operations.begin(
            request.names["subscription"], workspace["location"], request.path, work=work, version=request.version
        )
        told = of_computes(headers)
        return Answer(status=status, headers=told) if body is None else answer_json(body, status=status, headers=told)

    def _compute(self, request: ArmRequest) -> dict[str, Any]:
        workspace_of(self._world, request)
        path = request.path.rpartition("/")[0] if request.asked.method == "POST" else request.path
        found = self._world.resources.get(path)
        if found is None:
            name = request.names["name"]
            raise not_found("ComputeNotFound", f"Unable to find compute target {name}.")
        return found

    def _shown(self, resource: Mapping[str, Any]) -> dict[str, Any]:
        kept = dict(resource["properties"])
        state, last = kept.pop("state"), kept.pop("lastOperation", None)
        ready = kept["provisioningState"] != "Creating"
        inner = dict(kept["properties"])
        if kept["computeType"] == CLUSTER:
            inner |= self._counts(resource["id"]) if ready else dict.fromkeys(_COUNTS)
        else:
            inner |= {"state": self._state(resource["id"], state) if ready else None, "lastOperation": last}
        if ready:
            kept["computeLocation"] = resource["location"]
        shown = {name: value for name, value in resource.items() if name != "systemData"}
        return {**shown, "properties": {**kept, "properties": inner}}

    def _counts(self, compute: str) -> dict[str, Any]:
        cluster = self._clusters.get(compute)
        busy, idle = (cluster.busy, cluster.idle) if cluster is not None else (0, 0)
        return {
            "currentNodeCount": busy + idle,
            "targetNodeCount": busy + idle,
            "nodeStateCounts": {
                "preparingNodeCount": 0,
                "runningNodeCount": busy,
                "idleNodeCount": idle,
                "unusableNodeCount": 0,
                "leavingNodeCount": 0,
                "preemptedNodeCount": 0,
            },
            "allocationState": "Steady",
        }

    def _state(self, compute: str, state: str) -> str:
        """Return the state of an instance: one that was idle for long has stopped by itself."""
        cluster = self._clusters.get(compute)
        return "Stopped" if state == "Running" and cluster is not None and not cluster.nodes else state


_COUNTS: Final = ("currentNodeCount", "targetNodeCount", "nodeStateCounts", "allocationState")


def _kept(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is kept of a request.

    Raises:
        Refused: It is not one of the two types that are emulated, or lacks something.
    """
    kind = str(given.get("computeType", ""))
    inner: Mapping[str, Any] = given.get("properties") or {}
    if kind not in (CLUSTER, INSTANCE):
        known = f"{CLUSTER} and {INSTANCE}"
        raise Refused("UNIMPLEMENTED", f"a compute of type {kind or 'none'} is not emulated: only {known} are")
    if not inner.get("vmSize"):
        raise UserError("INVALID_ARGUMENT", "The field vmSize of the compute is required.")
    return {
        "disableLocalAuth": bool(given.get("disableLocalAuth", False)),
        "description": given.get("description"),
        "resourceId": None,
        "computeType": kind,
        "provisioningErrors": None,
        "provisioningWarnings": None,
        "isAttachedCompute": False,
        "properties": _cluster_properties(inner) if kind == CLUSTER else _instance_properties(inner),
    }


def _cluster_properties(given: Mapping[str, Any]) -> dict[str, Any]:
    kept = {
        "vmSize": str(given["vmSize"]).upper(),
        "vmPriority": given.get("vmPriority") or "Dedicated",
        "scaleSettings": _scale(given.get("scaleSettings") or {}),
        "subnet": given.get("subnet"),
        "errors": None,
        "remoteLoginPortPublicAccess": given.get("remoteLoginPortPublicAccess") or "NotSpecified",
        "osType": given.get("osType") or "Linux",
        "virtualMachineImage": given.get("virtualMachineImage"),
        "isolatedNetwork": bool(given.get("isolatedNetwork", False)),
        "enableNodePublicIp": given.get("enableNodePublicIp", True),
        "enableBatchPrivateLink": False,
    }
    if account := given.get("userAccountCredentials"):
        kept["userAccountCredentials"] = {**account, "adminUserPassword": None}
    return kept


def _instance_properties(given: Mapping[str, Any]) -> dict[str, Any]:
    if idle := given.get("idleTimeBeforeShutdown"):
        duration(idle)
    return {
        "vmSize": str(given["vmSize"]).upper(),
        "subnet": given.get("subnet"),
        "sshSettings": given.get("sshSettings"),
        "autologgerSettings": None,
        "errors": [],
        "connectivityEndpoints": None,
        "applications": [],
        "applicationSharingPolicy": given.get("applicationSharingPolicy") or "Shared",
        "computeInstanceAuthorizationType": given.get("computeInstanceAuthorizationType") or "personal",
        "personalComputeInstanceSettings": given.get("personalComputeInstanceSettings"),
        "setupScripts": given.get("setupScripts"),
        "idleTimeBeforeShutdown": given.get("idleTimeBeforeShutdown"),
        "enableNodePublicIp": given.get("enableNodePublicIp", True),
        "enableSSO": given.get("enableSSO", True),
        "enableRootAccess": given.get("enableRootAccess", True),
        "enableOSPatching": given.get("enableOSPatching", False),
        "releaseQuotaOnStop": given.get("releaseQuotaOnStop", False),
    }


def _scale(given: Mapping[str, Any]) -> dict[str, Any]:
    least, most = given.get("minNodeCount") or 0, given.get("maxNodeCount", 1)
    if not (isinstance(least, int) and isinstance(most, int) and 0 <= least <= most):
        raise UserError(
            "INVALID_ARGUMENT", f"The scale settings are invalid: from {least} to {most} nodes is no range of counts."
        )
    idle = given.get("nodeIdleTimeBeforeScaleDown") or _IDLE
    duration(idle)
    return {"maxNodeCount": most, "minNodeCount": least, "nodeIdleTimeBeforeScaleDown": idle}


def _check_same(known: Mapping[str, Any], kept: Mapping[str, Any]) -> None:
    """Refuse to make something else of a compute than it is."""
    for what, before, after in (
        ("computeType", known["computeType"], kept["computeType"]),
        ("vmSize", known["properties"]["vmSize"], kept["properties"]["vmSize"]),
        ("vmPriority", known["properties"].get("vmPriority"), kept["properties"].get("vmPriority")),
    ):
        if before != after:
            raise UserError("INVALID_ARGUMENT", f"The {what} of an existing compute cannot be changed.")


def _cluster(properties: Mapping[str, Any]) -> Cluster:
    """Return the settings of the nodes of a compute."""
    inner = properties["properties"]
    if properties["computeType"] == CLUSTER:
        scale = inner["scaleSettings"]
        return Cluster(
            vm_size=inner["vmSize"],
            priority=inner["vmPriority"],
            minimum=scale["minNodeCount"],
            maximum=scale["maxNodeCount"],
            idle_seconds=duration(scale["nodeIdleTimeBeforeScaleDown"]).total_seconds(),
        )
    runs = properties["state"] != "Stopped"
    idle = inner.get("idleTimeBeforeShutdown")
    return Cluster(
        vm_size=inner["vmSize"],
        priority="Dedicated",
        minimum=0 if idle or not runs else 1,
        maximum=1 if runs else 0,
        idle_seconds=duration(idle).total_seconds() if idle else 0.0,
    )
