"""Deployments of batch endpoints: what a request's job does with the files that it names.

Shapes and defaults follow recorded traffic of the real service (azure-sdk-for-python, azure-ai-ml 1.5, and
azure-sdk-assets, 1.12, `batch_services`). A deployment is a model with a scoring script, a model of MLflow without
one, or a pipeline component.
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
from cloudmlops.emulators.azure.ml import PROVIDER
from cloudmlops.emulators.azure.ml.batch_endpoints import ENDPOINT, TIMEOUT, batch_endpoint_of
from cloudmlops.emulators.azure.ml.durations import duration
from cloudmlops.emulators.azure.ml.endpoints import EndpointHosts, check_name, check_room, shown
from cloudmlops.emulators.azure.ml.long_running import at_resource
from cloudmlops.emulators.core.answering import Answer, answer_json
from cloudmlops.emulators.core.faults import Refused

DEPLOYMENTS: Final = f"{ENDPOINT}/deployments"
DEPLOYMENT: Final = f"{DEPLOYMENTS}/{{name}}"
TYPE: Final = f"{PROVIDER}/workspaces/batchEndpoints/deployments"
COMPONENT: Final = "PipelineComponent"
APPEND: Final = "AppendRow"
ACTIONS: Final = (APPEND, "SummaryOnly")
LEVELS: Final = ("Info", "Warning", "Debug")
_ID: Final = re.compile(r"/subscriptions/.+/(\w+)/([^/]+)/versions/([^/]+)", re.IGNORECASE)
_FILE: Final = re.compile(r"[\w.-]+")
_RETRIES: Final = {"maxRetries": 3, "timeout": "PT30S"}
_MLFLOW: Final = "mlflow_model"


class BatchDeployments:
    """The handlers."""

    def __init__(self, world: World) -> None:
        self._world = world
        add = world.routes.add
        add("GET", DEPLOYMENTS, self.list)
        add("GET", DEPLOYMENT, self.get)
        add("PUT", DEPLOYMENT, self.put, as_one=True)
        add("DELETE", DEPLOYMENT, self.delete, as_one=True)

    def resume(self) -> None:
        """Finish what an emulator that was before had begun."""
        for _, endpoint in list(EndpointHosts(self._world.surroundings.state, "batchEndpoints")):
            for found in self._world.resources.directly_below(f"{endpoint}/deployments"):
                if found["properties"]["provisioningState"] != "Succeeded":
                    self._provided(found["id"])

    def list(self, request: ArmRequest) -> Answer:
        batch_endpoint_of(self._world, request)
        return paged(request, [shown(one) for one in self._world.resources.directly_below(request.path)])

    def get(self, request: ArmRequest) -> Answer:
        endpoint = batch_endpoint_of(self._world, request)
        name = request.names["name"]
        found = self._world.resources.get(f"{endpoint['id']}/deployments/{name}")
        if found is None:
            raise not_found("BatchDeploymentNotFound", f"Batch deployment {name} not found.")
        return answer_json(shown(found))

    def put(self, request: ArmRequest) -> Answer:
        endpoint = batch_endpoint_of(self._world, request)
        name = request.names["name"]
        check_name(name)
        known = self._world.resources.get(request.path)
        kept = self._kept(request.body.get("properties") or {})
        if known is None:
            check_room(self._world.resources, endpoint["id"])
        kept["provisioningState"] = "Updating" if known else "Creating"
        kept["properties"] = {**kept["properties"], "azureml.onlineendpointid": endpoint["id"]}
        made, _ = self._world.resources.put(
            request.path,
            TYPE,
            kept,
            request.caller,
            tags=request.body.get("tags") or {},
            location=endpoint["location"],
        )
        answer = shown(made)
        headers = self._world.operations.begin(
            request.names["subscription"],
            endpoint["location"],
            request.path,
            work=partial(self._provided, request.path),
            version=request.version,
        )
        return answer_json(
            answer, status=201 if known is None else 200, headers={**at_resource(dict(headers), request), **TIMEOUT}
        )

    def delete(self, request: ArmRequest) -> Answer:
        endpoint = batch_endpoint_of(self._world, request)
        if self._world.resources.get(request.path) is None:
            return Answer(status=204)
        headers = self._world.operations.begin(
            request.names["subscription"],
            endpoint["location"],
            request.path,
            work=partial(self._end, request.path),
            version=request.version,
        )
        return answer_json(None, status=202, headers={**headers, **TIMEOUT})

    def _end(self, path: str) -> None:
        self._world.resources.delete(path)

    def _provided(self, path: str) -> None:
        with self._world.surroundings.state.transaction():
            found = self._world.resources.get(path)
            if found is not None:
                found["properties"]["provisioningState"] = "Succeeded"
                self._world.resources.update(found)

    def _kept(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return what is kept of a deployment.

        Raises:
            Refused: Something is missing, does not exist, or is not emulated.
        """
        configured = given.get("deploymentConfiguration")
        common = {"description": given.get("description"), "properties": dict(given.get("properties") or {})}
        if configured:
            return {**common, **_settings(given), "deploymentConfiguration": self._component(configured)}
        model = self._model(given.get("model"))
        code = given.get("codeConfiguration")
        if code:
            if not code.get("codeId") or not code.get("scoringScript"):
                raise UserError("INVALID_ARGUMENT", "The code configuration needs a codeId and a scoringScript.")
            self._asset(code["codeId"], "codes")
            if not given.get("environmentId"):
                raise UserError("INVALID_ARGUMENT", "A deployment with a scoring script needs an environment.")
        elif model is None or str(model["properties"]["modelType"]).lower() != _MLFLOW:
            raise UserError("INVALID_ARGUMENT", f"Only a model of type {_MLFLOW} is deployed without a scoring script.")
        environment = str(given.get("environmentId") or "")
        if _ID.fullmatch(environment):
            self._asset(environment, "environments")
        compute = given.get("compute")
        if not compute:
            raise UserError("INVALID_ARGUMENT", "The field compute of a batch deployment is required.")
        if str(compute).startswith("/") and self._world.resources.get(str(compute)) is None:
            raise UserError("INVALID_ARGUMENT", f"Unable to find compute target {str(compute).rpartition('/')[2]}.")
        return {
            **common,
            "codeConfiguration": code,
            "environmentId": given.get("environmentId"),
            "environmentVariables": given.get("environmentVariables") or {},
            "compute": compute,
            "model": given.get("model"),
            **_settings(given),
        }

    def _model(self, reference: Mapping[str, Any] | None) -> dict[str, Any] | None:
        if not reference:
            return None
        if reference.get("referenceType") != "Id":
            raise UserError(
                "UNIMPLEMENTED", f"A model by a reference of type {reference.get('referenceType')!r} is not emulated."
            )
        return self._asset(str(reference.get("assetId")), "models")

    def _asset(self, reference: str, kind: str) -> dict[str, Any]:
        found = _ID.fullmatch(reference)
        if found is None or found[1].lower() != kind:
            raise Refused("UNIMPLEMENTED", f"{reference!r} as one of {kind} is not emulated: only ids in a workspace")
        known = self._world.resources.get(reference)
        if known is None:
            raise UserError("INVALID_ARGUMENT", f"There is no version {found[3]} of {found[2]} in {kind}.")
        return known

    def _component(self, configured: Mapping[str, Any]) -> dict[str, Any]:
        kind = configured.get("deploymentConfigurationType")
        if kind != COMPONENT:
            raise UserError("UNIMPLEMENTED", f"A deployment configuration of type {kind!r} is not emulated.")
        reference = str((configured.get("componentId") or {}).get("assetId") or "").removeprefix("azureml:")
        known = self._asset(reference, "components")
        if known["properties"]["componentSpec"].get("type") != "pipeline":
            raise UserError("INVALID_ARGUMENT", "The component of a batch deployment must be of type pipeline.")
        return {
            "deploymentConfigurationType": COMPONENT,
            "componentId": {"referenceType": "Id", "assetId": reference},
            "description": configured.get("description"),
            "settings": configured.get("settings") or {},
            "tags": configured.get("tags") or {},
        }


def _settings(given: Mapping[str, Any]) -> dict[str, Any]:
    resources: Mapping[str, Any] = given.get("resources") or {}
    kept = {
        "errorThreshold": _number(given, "errorThreshold", -1, least=-1),
        "retrySettings": retries({**_RETRIES, **_given(given.get("retrySettings"))}),
        "miniBatchSize": _number(given, "miniBatchSize", 10, least=1),
        "loggingLevel": given.get("loggingLevel") or LEVELS[0],
        "maxConcurrencyPerInstance": _number(given, "maxConcurrencyPerInstance", 1, least=1),
        "outputAction": given.get("outputAction") or APPEND,
        "outputFileName": given.get("outputFileName") or "predictions.csv",
        "resources": {
            "instanceCount": _number(resources, "instanceCount", 1, least=1),
            "instanceType": resources.get("instanceType"),
            "properties": resources.get("properties") or None,
        },
    }
    for field, known in (("outputAction", ACTIONS), ("loggingLevel", LEVELS)):
        if kept[field] not in known:
            raise UserError("INVALID_ARGUMENT", f"The {field} {kept[field]!r} is not one of {', '.join(known)}.")
    check_file_name(str(kept["outputFileName"]))
    return kept


def retries(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return retry settings.

    Raises:
        Refused: They are none.
    """
    if not duration(str(given.get("timeout"))):
        raise UserError("INVALID_ARGUMENT", f"The timeout {given.get('timeout')!r} of the retry settings is none.")
    return {"maxRetries": _number(given, "maxRetries", 3, least=0), "timeout": str(given["timeout"])}


def check_file_name(name: str) -> None:
    """Refuse a name for the output's file that has folders.

    Raises:
        Refused: It has.
    """
    if not _FILE.fullmatch(name) or name in (".", ".."):
        raise UserError("INVALID_ARGUMENT", f"The outputFileName {name!r} is no name of a file.")


def _number(given: Mapping[str, Any], field: str, default: int, *, least: int) -> int:
    value = given.get(field)
    if value is None:
        return default
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise UserError("INVALID_ARGUMENT", f"The {field} is {value!r}: it must be a number from {least} on.")
    return value


def _given(part: Mapping[str, Any] | None) -> dict[str, Any]:
    return {key: value for key, value in (part or {}).items() if value is not None}
