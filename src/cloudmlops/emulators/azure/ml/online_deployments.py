"""Deployments of online endpoints: models that are served by machines of their own.

Shapes and defaults follow recorded traffic of the real service (azure-sdk-for-python, azure-ai-ml 1.1,
`online_services`): probes and the request timeout are filled in once it is deployed. That a deployment which has live
traffic cannot be deleted is documented; the words of the refusal are not recorded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from cloudmlops.emulators.azure.arm.errors import UserError, not_found
from cloudmlops.emulators.azure.arm.paging import paged
from cloudmlops.emulators.azure.arm.routes import ArmRequest
from cloudmlops.emulators.azure.arm.world import World
from cloudmlops.emulators.azure.eventgrid.system_events import SystemEvents
from cloudmlops.emulators.azure.ml import PROVIDER
from cloudmlops.emulators.azure.ml.durations import duration
from cloudmlops.emulators.azure.ml.endpoints import check_name, check_room, shown
from cloudmlops.emulators.azure.ml.long_running import at_resource, in_background
from cloudmlops.emulators.azure.ml.online_endpoints import ENDPOINT, IN_WORK, check_idle, endpoint_of
from cloudmlops.emulators.azure.ml.workspaces import workspace_of
from cloudmlops.emulators.azure.scoring.fleet import Fleet, Size
from cloudmlops.emulators.azure.scoring.plans import Plan, planned
from cloudmlops.emulators.core.answering import Answer, answer_json
from cloudmlops.emulators.core.faults import Refused

DEPLOYMENTS: Final = f"{ENDPOINT}/deployments"
DEPLOYMENT: Final = f"{DEPLOYMENTS}/{{name}}"
TYPE: Final = f"{PROVIDER}/workspaces/onlineEndpoints/deployments"
_MODEL: Final = re.compile(r"/models/([^/]+)/versions/([^/]+)$")
_TIMEOUT: Final = "PT5S"
_PROBE: Final[Mapping[str, Any]] = {
    "failureThreshold": 30,
    "successThreshold": 1,
    "timeout": "PT2S",
    "period": "PT10S",
    "initialDelay": "PT10S",
}
_CONTAINERS: Final = ("inferenceserver", "storageinitializer")


class OnlineDeployments:
    """The handlers."""

    def __init__(self, world: World, fleet: Fleet, events: SystemEvents) -> None:
        self._world = world
        self._fleet = fleet
        self._events = events
        self._known = world.surroundings.state.table("ml_online_deployments")
        add = world.routes.add
        add("GET", DEPLOYMENTS, self.list)
        add("GET", DEPLOYMENT, self.get)
        add("PUT", DEPLOYMENT, self.put)
        add("DELETE", DEPLOYMENT, self.delete)
        add("POST", f"{DEPLOYMENT}/getLogs", self.get_logs)

    def resume(self) -> None:
        """Let the deployments of an emulator that was before come up again, beside the calls."""
        for data in dict(self._known.items()).values():
            found = self._world.resources.get(data.decode())
            if found is None or found["properties"]["provisioningState"] == "Failed":
                continue
            if found["properties"]["provisioningState"] == "Deleting":
                self._end(found["id"])
                continue
            self._fleet.take(found["id"], _size(found))
            operation = _operation(found)
            in_background(
                self._world,
                operation,
                work=partial(self._resumed, found),
                failed=partial(self._failed, found["id"]),
                start=self._fleet.work,
            )

    def list(self, request: ArmRequest) -> Answer:
        endpoint_of(self._world, request)
        return paged(request, [shown(one) for one in self._world.resources.directly_below(request.path)])

    def get(self, request: ArmRequest) -> Answer:
        return answer_json(shown(self._deployment(request)))

    def put(self, request: ArmRequest) -> Answer:
        name = request.names["name"]
        operations = self._world.operations
        with self._world.surroundings.state.transaction():
            endpoint = endpoint_of(self._world, request)
            check_name(name)
            known = self._world.resources.get(request.path)
            kept, sku = _kept(request.body, known)
            workspace = workspace_of(self._world, request)
            plan = planned(self._world.resources, self._fleet.images, workspace, kept)
            check_idle(self._world, endpoint)
            if known is None:
                check_room(self._world.resources, endpoint["id"])
            self._fleet.take(request.path, Size(instance_type=kept["instanceType"], instances=sku["capacity"]))
            operation = operations.start(request.path)
            headers = operations.followed(
                operation, request.names["subscription"], endpoint["location"], version=request.version
            )
            kept["properties"]["AzureAsyncOperationUri"] = headers["azure-asyncoperation"]
            made, _ = self._world.resources.put(
                request.path,
                TYPE,
                kept,
                request.caller,
                tags=request.body.get("tags") or {},
                location=endpoint["location"],
                kind="Managed",
                sku=sku,
            )
            self._known.put(made["id"].lower(), made["id"].encode())
        in_background(
            self._world,
            operation,
            work=lambda: self._provide(made["id"], plan),
            failed=lambda refused: self._failed(made["id"], refused),
            start=self._fleet.work,
        )
        return answer_json(shown(made), status=201 if known is None else 200, headers=at_resource(headers, request))

    def delete(self, request: ArmRequest) -> Answer:
        with self._world.surroundings.state.transaction():
            endpoint = endpoint_of(self._world, request)
            found = self._world.resources.get(request.path)
            if found is None:
                return Answer(status=204)
            check_idle(self._world, endpoint)
            for kind in ("traffic", "mirrorTraffic"):
                if endpoint["properties"][kind].get(found["name"]):
                    raise UserError(
                        "INVALID_ARGUMENT",
                        f"The deployment {found['name']} has {kind} of the endpoint: let it have none first.",
                    )
            found["properties"]["provisioningState"] = "Deleting"
            self._world.resources.update(found)
        operations = self._world.operations
        operation = operations.start(found["id"])
        in_background(
            self._world,
            operation,
            work=lambda: self._end(found["id"]),
            failed=lambda refused: self._failed(found["id"], refused),
            start=self._fleet.work,
        )
        headers = operations.followed(
            operation, request.names["subscription"], endpoint["location"], version=request.version
        )
        return answer_json(None, status=202, headers=headers)

    def get_logs(self, request: ArmRequest) -> Answer:
        found = self._deployment(request)
        kind, tail = str(request.body.get("containerType") or _CONTAINERS[0]), request.body.get("tail")
        if kind.lower() not in _CONTAINERS:
            raise UserError("INVALID_ARGUMENT", f"The containerType {kind!r} is not one of {', '.join(_CONTAINERS)}.")
        file = self._fleet.log_of(found["id"])
        lines = file.read_text(errors="replace").splitlines(keepends=True) if file.exists() else []
        initializing = kind.lower() == _CONTAINERS[1]
        told = [line for line in lines if line.startswith("Downloaded ") == initializing]
        return answer_json({"content": "".join(told[-tail:] if isinstance(tail, int) and tail > 0 else told)})

    def _plan(self, deployment: Mapping[str, Any]) -> Plan:
        workspace = self._world.resources.get(deployment["id"].partition("/onlineEndpoints/")[0])
        return planned(self._world.resources, self._fleet.images, workspace or {}, deployment["properties"])

    def _resumed(self, deployment: Mapping[str, Any]) -> None:
        self._provide(deployment["id"], self._plan(deployment))

    def _provide(self, path: str, plan: Plan) -> None:
        self._fleet.bring_up(path, plan)
        with self._world.surroundings.state.transaction():
            found = self._world.resources.get(path)
            new = found is not None and found["properties"]["provisioningState"] in IN_WORK
            self._change(
                path,
                lambda properties: {
                    "provisioningState": "Succeeded",
                    "livenessProbe": properties["livenessProbe"] or dict(_PROBE),
                    "readinessProbe": properties["readinessProbe"] or dict(_PROBE),
                },
            )
            if new:
                self._tell(path)

    def _tell(self, path: str) -> None:
        """Tell of a deployment that is done; whether the real service tells of managed ones is not documented."""
        workspace, _, rest = path.partition("/onlineEndpoints/")
        name = rest.partition("/")[0]
        endpoint = self._world.resources.get(f"{workspace}/onlineEndpoints/{name}")
        if endpoint is None:
            return
        told = [
            one["properties"]["model"] for one in self._world.resources.directly_below(f"{endpoint['id']}/deployments")
        ]
        models = [(found[1], found[2]) for one in told if (found := _MODEL.search(str(one))) is not None]
        self._events.model_deployed(
            workspace,
            service=name,
            compute_type="Managed",
            models=list(dict.fromkeys(models)),
            tags=endpoint.get("tags") or {},
            properties=endpoint["properties"].get("properties") or {},
        )

    def _failed(self, path: str, refused: Refused) -> None:
        with self._fleet.log_of(path).open("a", encoding="utf-8") as log:
            log.write(f"{refused.message.partition(chr(10))[0]}\n")
        self._change(path, lambda _: {"provisioningState": "Failed"})

    def _change(self, path: str, change: Any) -> None:
        with self._world.surroundings.state.transaction():
            found = self._world.resources.get(path)
            if found is not None:
                found["properties"] |= change(found["properties"])
                self._world.resources.update(found)

    def _end(self, path: str) -> None:
        self._fleet.stop(path)
        self._world.resources.delete(path)
        self._known.delete(path.lower())

    def _deployment(self, request: ArmRequest) -> dict[str, Any]:
        endpoint = endpoint_of(self._world, request)
        name = request.names["name"]
        found = self._world.resources.get(f"{endpoint['id']}/deployments/{name}")
        if found is None:
            raise not_found("OnlineDeploymentNotFound", f"Online deployment {name} not found.")
        return found


def _kept(body: Mapping[str, Any], known: Mapping[str, Any] | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what is kept of a request, and its size.

    Raises:
        Refused: Something is missing, or not emulated.
    """
    given: Mapping[str, Any] = body.get("properties") or {}
    kind = given.get("endpointComputeType") or "Managed"
    if kind != "Managed":
        raise UserError("UNIMPLEMENTED", f"a deployment of type {kind} is not emulated: only managed ones are")
    if given.get("dataCollector"):
        raise UserError("UNIMPLEMENTED", "the data collector of deployments is not emulated")
    if not given.get("instanceType"):
        raise UserError("INVALID_ARGUMENT", "The field instanceType of the deployment is required.")
    capacity = (body.get("sku") or {}).get("capacity", 1)
    if not isinstance(capacity, int) or capacity < 1:
        raise UserError("INVALID_ARGUMENT", f"The capacity of the sku must be a positive number, not {capacity}.")
    scale = given.get("scaleSettings") or {"scaleType": "Default"}
    if scale.get("scaleType") != "Default":
        raise UserError("INVALID_ARGUMENT", "Managed deployments have scale settings of type Default only.")
    asked: Mapping[str, Any] = given.get("requestSettings") or {}
    timeout = asked.get("requestTimeout") or _TIMEOUT
    if not duration(timeout):
        timeout = _TIMEOUT
    kept = {
        "description": given.get("description"),
        "properties": dict(given.get("properties") or {}),
        "codeConfiguration": given.get("codeConfiguration"),
        "environmentId": given.get("environmentId"),
        "environmentVariables": given.get("environmentVariables") or {},
        "scaleSettings": scale,
        "requestSettings": {
            "maxQueueWait": asked.get("maxQueueWait") or "PT0S",
            "requestTimeout": timeout,
            "maxConcurrentRequestsPerInstance": asked.get("maxConcurrentRequestsPerInstance") or 1,
        },
        "modelMountPath": given.get("modelMountPath"),
        "appInsightsEnabled": bool(given.get("appInsightsEnabled", False)),
        "livenessProbe": given.get("livenessProbe"),
        "readinessProbe": given.get("readinessProbe"),
        "provisioningState": "Creating" if known is None else "Updating",
        "instanceType": given["instanceType"],
        "model": given.get("model"),
        "privateNetworkConnection": bool(given.get("privateNetworkConnection", False)),
        "egressPublicNetworkAccess": given.get("egressPublicNetworkAccess") or "Enabled",
        "endpointComputeType": kind,
    }
    return kept, {"name": "Default", "tier": "Standard", "capacity": capacity}


def _size(deployment: Mapping[str, Any]) -> Size:
    return Size(instance_type=deployment["properties"]["instanceType"], instances=deployment["sku"]["capacity"])


def _operation(deployment: Mapping[str, Any]) -> str:
    """Return the name of the last operation on a deployment."""
    uri = str(deployment["properties"]["properties"]["AzureAsyncOperationUri"])
    return uri.partition("?")[0].rpartition("/")[2]
