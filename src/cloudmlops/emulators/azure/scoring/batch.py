"""The front door of batch endpoints: a request begins a job and is answered with it; and the list of those jobs.

Answers follow recorded traffic of the real service (azure-sdk-for-python, azure-ai-ml 1.5, `batch_services`). The list
is served by the management front end at `*.api.azureml.ms`, where azure-ai-ml asks for it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final
from uuid import uuid4

from cloudmlops.emulators.azure.arm.errors import UserError, answer_error, not_found
from cloudmlops.emulators.azure.arm.world import World
from cloudmlops.emulators.azure.entra.tokens import Caller
from cloudmlops.emulators.azure.jobs.batch import BatchScoring, Invocation
from cloudmlops.emulators.azure.jobs.runs import Run, Runs
from cloudmlops.emulators.azure.ml import PROVIDER
from cloudmlops.emulators.azure.ml.batch_deployments import check_file_name, retries
from cloudmlops.emulators.azure.ml.endpoints import SUFFIX, EndpointHosts
from cloudmlops.emulators.azure.ml.jobs import SUBMIT, Jobs
from cloudmlops.emulators.azure.scoring.credentials import ENTRA_AUDIENCE
from cloudmlops.emulators.core.answering import Answer, Asked, Operation, answer_json, app
from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.core.service import Service

NAME: Final = "batch"
SCORE: Final = f"{PROVIDER}/workspaces/batchEndpoints/jobs/write"
READ: Final = f"{PROVIDER}/workspaces/batchEndpoints/jobs/read"
PINNED: Final = "azureml-model-deployment"
_PATH: Final = "/jobs"
_LIST: Final = re.compile(
    r"/mferp/managementfrontend(?P<endpoint>(?P<workspace>/subscriptions/[^/]+/resourceGroups/[^/]+/providers/"
    r"Microsoft\.MachineLearningServices/workspaces/[^/]+)/batchEndpoints/[^/]+)(?:/deployments/(?P<deployment>[^/]+))?/jobs/?",
    re.IGNORECASE,
)
_TYPES: Final = {
    "urifolder": "uri_folder",
    "urifile": "uri_file",
    "literal": "literal",
    "custommodel": "custom_model",
    "mlflowmodel": "mlflow_model",
    "tritonmodel": "triton_model",
}


class BatchDoor:
    """What answers at the hosts of batch endpoints."""

    def __init__(self, world: World, runs: Runs, scoring: BatchScoring, jobs: Jobs) -> None:
        self._world = world
        self._runs = runs
        self._scoring = scoring
        self._jobs = jobs
        self._hosts = EndpointHosts(world.surroundings.state, "batchEndpoints")
        self._made = world.surroundings.state.table("ml_batch_jobs")

    def endpoint(self, host: str) -> dict[str, Any] | None:
        """Return the batch endpoint at a host, if there is one."""
        known = self._hosts.endpoint(host.partition(":")[0]) if SUFFIX in host.lower() else None
        return self._world.resources.get(known) if known is not None else None

    def answer(self, asked: Asked, endpoint: Mapping[str, Any]) -> Answer:
        """Begin a job.

        Raises:
            Refused: The caller is nobody.
        """
        caller = self._world.tokens.caller(asked.headers.get("authorization"), audiences=(ENTRA_AUDIENCE,))
        try:
            return self._begun(asked, endpoint, caller)
        except Refused as refused:
            return answer_error(refused, now=self._world.surroundings.clock.now(), location=endpoint["location"])

    def _begun(self, asked: Asked, endpoint: Mapping[str, Any], caller: Caller) -> Answer:
        if (asked.method, asked.path.rstrip("/")) != ("POST", _PATH):
            raise Refused("UNIMPLEMENTED", f"{asked.method} {asked.path} at a batch endpoint is not emulated")
        workspace_id = str(endpoint["id"]).partition("/batchEndpoints/")[0]
        self._world.access.check(caller, SCORE, str(endpoint["id"]))
        self._world.access.check(caller, SUBMIT, workspace_id)
        workspace = self._world.resources.get(workspace_id) or {}
        deployment = self._deployment(endpoint, asked.headers.get(PINNED, ""))
        invocation = _read(asked.json(), endpoint, deployment)
        if "deploymentConfiguration" in deployment["properties"]:
            run = self._pipeline(workspace, invocation, caller)
        else:
            run = self._scoring.begin(workspace, invocation, caller)
        made = _resource(run, workspace, invocation)
        self._made.put(f"{str(endpoint['id']).lower()}/{run.created}/{run.name}", json.dumps(made).encode())
        location = f"https://{endpoint['location']}.api.azureml.ms/mferp/managementfrontend{made['id']}"
        return answer_json(made, status=201, headers={"location": location, PINNED: deployment["name"]})

    def _deployment(self, endpoint: Mapping[str, Any], pinned: str) -> dict[str, Any]:
        name = pinned or endpoint["properties"]["defaults"]["deploymentName"]
        if not name:
            raise UserError(
                "INVALID_ARGUMENT",
                f"The endpoint {endpoint['name']} has no default deployment: set one, or name one in {PINNED}.",
            )
        found = self._world.resources.get(f"{endpoint['id']}/deployments/{name}")
        if found is None:
            raise not_found("BatchDeploymentNotFound", f"Batch deployment {name} not found.")
        if found["properties"]["provisioningState"] != "Succeeded":
            raise UserError("FAILED_PRECONDITION", f"The deployment {name} is not ready.")
        return found

    def _pipeline(self, workspace: Mapping[str, Any], invocation: Invocation, caller: Caller) -> Run:
        """Submit the pipeline that a deployment's component is."""
        configured = invocation.deployment["properties"]["deploymentConfiguration"]
        component = str(configured["componentId"]["assetId"])
        found = self._world.resources.get(component)
        if found is None:
            raise UserError("NOT_FOUND", f"There is no component {component}.")
        specification: Mapping[str, Any] = found["properties"]["componentSpec"]
        settings: Mapping[str, Any] = configured["settings"]
        given = {
            "jobType": "Pipeline",
            "displayName": invocation.display_name,
            "experimentName": invocation.experiment,
            "tags": {"azureml.batchrun": "true", "azureml.deploymentname": invocation.deployment["name"]},
            "settings": {key: settings[key] for key in _SETTINGS if settings.get(key) is not None},
            "jobs": specification.get("jobs") or {},
            "inputs": {name: _input(name, one) for name, one in _defaulted(invocation, specification).items()},
            "outputs": {
                name: {"jobOutputType": str(one.get("type") or "uri_folder"), **_address(invocation.outputs.get(name))}
                for name, one in (specification.get("outputs") or {}).items()
            },
        }
        return self._jobs.submit(workspace, str(uuid4()), given, caller)

    def jobs_of(self, endpoint: str) -> list[dict[str, Any]]:
        """Return the jobs that requests to an endpoint began, the newest first, as they are now."""
        found = []
        for _, data in self._made.items(f"{endpoint.lower()}/"):
            made = json.loads(data)
            run = self._runs.get(endpoint.partition("/batchEndpoints/")[0], made["name"])
            if run is not None:
                found.append({**made, "properties": {**made["properties"], "status": run.status}})
        return found[::-1]

    def service(self) -> Service:
        """Build the service that lists jobs; calls are named `batch/jobs.list`."""

        def find(asked: Asked) -> tuple[str, Operation]:
            if asked.method == "GET" and _LIST.fullmatch(asked.path):
                return "jobs.list", self._listed
            raise Refused("UNIMPLEMENTED", f"{asked.method} {asked.path} is not emulated")

        def refusal(refused: Refused) -> Answer:
            return answer_error(refused, now=self._world.surroundings.clock.now(), location=self._world.location)

        return Service(
            name=NAME,
            hosts=("*.api.azureml.ms",),
            paths=("/mferp",),
            http=app(self._world.surroundings, NAME, find=find, refusal=refusal),
        )

    def _listed(self, asked: Asked) -> Answer:
        found = _LIST.fullmatch(asked.path)
        assert found is not None  # noqa: S101 what `find` has matched
        caller = self._world.tokens.caller(asked.headers.get("authorization"), audiences=(ENTRA_AUDIENCE,))
        self._world.access.check(caller, READ, found["endpoint"])
        endpoint = self._world.resources.get(found["endpoint"])
        if endpoint is None:
            name = found["endpoint"].rpartition("/")[2]
            raise not_found("BatchEndpointNotFound", f"Batch endpoint {name} not found.")
        deployment = (found["deployment"] or "").lower()
        jobs = self.jobs_of(endpoint["id"])
        shown = [one for one in jobs if not deployment or one["id"].split("/")[-3].lower() == deployment]
        return answer_json({"value": shown})


_SETTINGS: Final = ("default_compute", "default_datastore", "continue_on_step_failure", "force_rerun")


def _read(body: Any, endpoint: Mapping[str, Any], deployment: Mapping[str, Any]) -> Invocation:
    """Read a request; names are compared without regard to case, as published examples write them either way.

    Raises:
        Refused: It wants what is not emulated, or makes no sense.
    """
    given = _lowered((_lowered(body).get("properties") if isinstance(body, dict) else None) or {})
    if unknown := sorted(given.keys() - _KNOWN):
        raise Refused("UNIMPLEMENTED", f"The field {unknown[0]} of a request to a batch endpoint is not emulated.")
    own: Mapping[str, Any] = deployment["properties"]
    settings: dict[str, Any] = {
        name: given.get(name.lower()) if given.get(name.lower()) is not None else own.get(name)
        for name in ("miniBatchSize", "errorThreshold", "outputFileName", "loggingLevel", "resources")
    }
    for name, least in (("miniBatchSize", 1), ("errorThreshold", -1)):
        if not isinstance(settings[name], int) or settings[name] < least:
            raise UserError(
                "INVALID_ARGUMENT", f"The {name} is {settings[name]!r}: it must be a number from {least} on."
            )
    check_file_name(str(settings["outputFileName"]))
    tried = _lowered(given.get("retrysettings") or {})
    changed = {key: tried[key.lower()] for key in ("maxRetries", "timeout") if tried.get(key.lower()) is not None}
    compute = _lowered(given.get("compute") or {}).get("target") or own.get("compute")
    more = _lowered(given.get("properties") or {})
    return Invocation(
        endpoint=endpoint,
        deployment=deployment,
        inputs={name: _cased(one) for name, one in (given.get("inputdata") or {}).items()},
        outputs=_outputs(given),
        settings={
            **settings,
            "retrySettings": retries({**own["retrySettings"], **changed}),
            "compute": compute or "serverless",
        },
        display_name=str(given.get("name") or f"{deployment['name']}_{uuid4().hex[:8]}"),
        experiment=str(more.get("experimentname") or endpoint["name"]),
    )


_KNOWN: Final = {
    "inputdata",
    "outputdata",
    "outputdataset",
    "outputfilename",
    "minibatchsize",
    "errorthreshold",
    "retrysettings",
    "compute",
    "name",
    "properties",
}


def _lowered(given: Mapping[str, Any]) -> dict[str, Any]:
    return {str(key).lower(): value for key, value in given.items()}


def _cased(given: Mapping[str, Any]) -> dict[str, Any]:
    names = {"jobinputtype": "jobInputType", "joboutputtype": "jobOutputType", "uri": "uri", "value": "value"}
    return {names.get(str(key).lower(), key): value for key, value in given.items()}


def _outputs(given: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    outputs = {name: _cased(one) for name, one in (given.get("outputdata") or {}).items()}
    if not (placed := _lowered(given.get("outputdataset") or {})):
        return outputs
    datastore = str(placed.get("datastoreid") or "").rpartition("/")[2]
    uri = f"azureml://datastores/{datastore}/paths/{str(placed.get('path') or '').strip('/')}"
    return {**outputs, "score": {"jobOutputType": "UriFolder", "uri": uri}}


def _defaulted(invocation: Invocation, specification: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the inputs of a pipeline; those that are not given have what the component says."""
    declared: Mapping[str, Mapping[str, Any]] = specification.get("inputs") or {}
    if unknown := sorted(invocation.inputs.keys() - declared.keys()):
        raise UserError("INVALID_ARGUMENT", f"The component of the deployment has no input {unknown[0]}.")
    defaults = {
        name: {"jobInputType": "Literal", "value": one["default"]} for name, one in declared.items() if "default" in one
    }
    return {**defaults, **invocation.inputs}


def _input(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    kind = _TYPES.get(str(given.get("jobInputType")).lower())
    if kind is None:
        raise Refused("UNIMPLEMENTED", f"An input of type {given.get('jobInputType')!r} is not emulated: {name}.")
    if kind == "literal":
        return {"jobInputType": kind, "value": str(given.get("value"))}
    return {"jobInputType": kind, "uri": given.get("uri"), "mode": given.get("mode")}


def _address(given: Mapping[str, Any] | None) -> dict[str, Any]:
    return {"uri": given["uri"]} if given and given.get("uri") else {}


def _resource(run: Run, workspace: Mapping[str, Any], invocation: Invocation) -> dict[str, Any]:
    """Return a job as the front end shows it."""
    parts = run.workspace.split("/")
    short = f"/subscriptions/{parts[2]}/resourcegroups/{parts[4]}/workspaces/{parts[8]}"
    endpoints = {
        "Tracking": f"{workspace['properties']['mlFlowTrackingUri']}?",
        "Studio": f"https://ml.azure.com/runs/{run.name}?wsid={short}",
    }
    settings = invocation.settings
    return {
        "id": f"{invocation.deployment['id']}/jobs/{run.name}",
        "name": run.name,
        "type": f"{PROVIDER}/workspaces/batchEndpoints/deployments/jobs",
        "properties": {
            "provisioningState": "Succeeded",
            "inputData": {
                name: {"description": None, "mode": "ReadOnlyMount", **one} for name, one in invocation.inputs.items()
            },
            "miniBatchSize": settings["miniBatchSize"],
            "errorThreshold": settings["errorThreshold"],
            "compute": {
                "target": settings["compute"],
                "instanceCount": None,
                "isLocal": False,
                "location": None,
                "instanceType": None,
                "properties": None,
            },
            "outputFileName": settings["outputFileName"],
            "retrySettings": settings["retrySettings"],
            "status": run.status,
            "loggingLevel": settings["loggingLevel"],
            "interactionEndpoints": {
                kind: {"jobEndpointType": kind, "port": None, "endpoint": endpoint, "properties": None}
                for kind, endpoint in endpoints.items()
            },
            "tags": dict(run.tags),
            "properties": dict(run.properties),
            "name": run.display_name,
        },
        "systemData": {
            "createdAt": run.created,
            "createdBy": run.by["client_id"],
            "createdByType": {"User": "User", "ManagedIdentity": "ManagedIdentity"}.get(run.by["kind"], "Application"),
        },
    }
