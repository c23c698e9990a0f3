"""Batch endpoints: addresses at which a request begins a job that scores files.

Shapes follow recorded traffic of the real service (azure-sdk-assets, azure-ai-ml 1.12, and azure-sdk-for-python, 1.5,
`batch_services`): the scoring URI ends with `/jobs`, only Entra's tokens are taken, and while there is no default
deployment that field is null. How it refuses what makes no sense is not recorded.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from cloudmlops.emulators.azure.arm.errors import UserError, not_found
from cloudmlops.emulators.azure.arm.paging import page_size, paged
from cloudmlops.emulators.azure.arm.routes import ArmRequest
from cloudmlops.emulators.azure.arm.world import World
from cloudmlops.emulators.azure.ml import PROVIDER, WORKSPACE
from cloudmlops.emulators.azure.ml.endpoints import EndpointHosts, check_name, host_of, shown
from cloudmlops.emulators.azure.ml.long_running import at_resource
from cloudmlops.emulators.azure.ml.workspaces import workspace_of
from cloudmlops.emulators.core.answering import Answer, answer_json

ENDPOINTS: Final = f"{WORKSPACE}/batchEndpoints"
ENDPOINT: Final = f"{ENDPOINTS}/{{endpoint}}"
TYPE: Final = f"{PROVIDER}/workspaces/batchEndpoints"
TIMEOUT: Final = {"x-ms-async-operation-timeout": "PT30M"}
_MODE: Final = "AADToken"


class BatchEndpoints:
    """The handlers."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._hosts = EndpointHosts(world.surroundings.state, "batchEndpoints")
        add = world.routes.add
        add("GET", ENDPOINTS, self.list)
        add("GET", ENDPOINT, self.get)
        add("PUT", ENDPOINT, self.put)
        add("DELETE", ENDPOINT, self.delete)
        add("POST", f"{ENDPOINT}/listkeys", self.list_keys)

    def resume(self) -> None:
        """Finish what an emulator that was before had begun."""
        for host, endpoint in list(self._hosts):
            found = self._world.resources.get(endpoint)
            state = found["properties"]["provisioningState"] if found is not None else ""
            if found is not None and state == "Deleting":
                self._end(found)
            elif found is not None and state != "Succeeded":
                self._provided(found["id"], host)

    def list(self, request: ArmRequest) -> Answer:
        workspace_of(self._world, request)
        found = [shown(one) for one in self._world.resources.directly_below(request.path)]
        return paged(request, found, size=page_size(request, "count"))

    def get(self, request: ArmRequest) -> Answer:
        return answer_json(shown(batch_endpoint_of(self._world, request)))

    def put(self, request: ArmRequest) -> Answer:
        workspace = workspace_of(self._world, request)
        name = request.names["endpoint"]
        check_name(name)
        known = self._world.resources.get(request.path)
        location = known["location"] if known else request.body.get("location") or workspace["location"]
        kept = self._kept(request, known)
        host = host_of(name, location)
        if not self._hosts.take(host, request.path) and known is None:
            raise UserError("ALREADY_EXISTS", f"The endpoint name {name} is taken in {location}.")
        made, _ = self._world.resources.put(
            request.path, TYPE, kept, request.caller, tags=request.body.get("tags") or {}, location=location
        )
        answer = shown(made)
        headers = self._world.operations.begin(
            request.names["subscription"],
            location,
            request.path,
            work=lambda: self._provided(request.path, host),
            version=request.version,
        )
        return answer_json(
            answer, status=201 if known is None else 200, headers={**at_resource(dict(headers), request), **TIMEOUT}
        )

    def delete(self, request: ArmRequest) -> Answer:
        workspace_of(self._world, request)
        found = self._world.resources.get(request.path)
        if found is None:
            return Answer(status=204)
        found["properties"]["provisioningState"] = "Deleting"
        self._world.resources.update(found)
        headers = self._world.operations.begin(
            request.names["subscription"],
            found["location"],
            request.path,
            work=lambda: self._end(found),
            version=request.version,
        )
        return answer_json(None, status=202, headers={**headers, **TIMEOUT})

    def list_keys(self, request: ArmRequest) -> Answer:
        found = batch_endpoint_of(self._world, request)
        raise UserError("INVALID_ARGUMENT", f"The endpoint {found['name']} has no keys: its authMode is {_MODE}.")

    def _kept(self, request: ArmRequest, known: Mapping[str, Any] | None) -> dict[str, Any]:
        given: Mapping[str, Any] = request.body.get("properties") or {}
        mode = str(given.get("authMode") or "")
        if mode.lower() != _MODE.lower():
            raise UserError("INVALID_ARGUMENT", f"The authMode {mode!r} of a batch endpoint is not {_MODE}.")
        default = (given.get("defaults") or {}).get("deploymentName")
        if default and self._world.resources.get(f"{request.path}/deployments/{default}") is None:
            raise UserError(
                "INVALID_ARGUMENT", f"The default deployment {default} of the endpoint does not exist: make it first."
            )
        before = known["properties"] if known else {}
        born = {"BatchEndpointCreationApiVersion": request.version, "azureml.onlineendpointid": request.path}
        own = before.get("properties", born)
        return {
            "description": given.get("description"),
            "properties": {**(given.get("properties") or {}), **{key: own[key] for key in born}},
            "scoringUri": before.get("scoringUri"),
            "swaggerUri": None,
            "authMode": _MODE,
            "defaults": {"deploymentName": default or None},
            "provisioningState": "Updating" if known else "Creating",
        }

    def _provided(self, path: str, host: str) -> None:
        with self._world.surroundings.state.transaction():
            found = self._world.resources.get(path)
            if found is not None:
                found["properties"] |= {"scoringUri": f"https://{host}/jobs", "provisioningState": "Succeeded"}
                self._world.resources.update(found)

    def _end(self, endpoint: Mapping[str, Any]) -> None:
        self._world.resources.delete(endpoint["id"])
        self._hosts.free(host_of(endpoint["name"], endpoint["location"]))


def batch_endpoint_of(world: World, request: ArmRequest) -> dict[str, Any]:
    """Return the batch endpoint that a request is about.

    Raises:
        Refused: There is none of that name.
    """
    workspace = workspace_of(world, request)
    name = request.names["endpoint"]
    found = world.resources.get(f"{workspace['id']}/batchEndpoints/{name}")
    if found is None:
        raise not_found("BatchEndpointNotFound", f"Batch endpoint {name} not found.")
    return found
