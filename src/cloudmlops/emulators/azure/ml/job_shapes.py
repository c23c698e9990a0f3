"""How jobs are shown: the fields of each type, and what an api-version leaves out.

Key sets are those of recorded traffic of the real service (azure-sdk-assets, azure-ai-ml 1.32, 2026-02 and 2026-03):
command jobs put with 2025-01-01-preview, all jobs got with 2024-01-01-preview.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from cloudmlops.emulators.azure.arm.errors import UserError
from cloudmlops.emulators.azure.jobs.runs import Run
from cloudmlops.emulators.azure.ml import PROVIDER
from cloudmlops.emulators.azure.ml.default_datastores import ARTIFACT_STORE

TYPE: Final = f"{PROVIDER}/workspaces/jobs"
NEWER: Final = "2025-01-01-preview"
_INPUT: Final = ("description", "uri", "mode", "pathOnCompute", "jobInputType")
_OUTPUT: Final = (
    "description",
    "uri",
    "assetName",
    "assetVersion",
    "mode",
    "pathOnCompute",
    "autoDeleteSetting",
    "jobOutputType",
)
_RESOURCES: Final[Mapping[str, Any]] = {
    "instanceCount": 1,
    "maxInstanceCount": None,
    "instanceType": None,
    "locations": None,
    "properties": None,
    "shmSize": "2g",
    "dockerArgs": None,
    "dockerArgsList": None,
}
_SPARK: Final = (
    "resources",
    "args",
    "codeId",
    "entry",
    "environmentId",
    "pyFiles",
    "jars",
    "files",
    "archives",
    "conf",
    "environmentVariables",
)
"""What Spark jobs have of their own (azure-ai-ml 1.12, 2023-10, `feature_set`: materialisation jobs are Spark jobs)."""
_STUDIO_ONLY: Final = ("Spark", "Sweep")
_NOT_NEWER: Final[Mapping[str, frozenset[str]]] = {
    "": frozenset({"secretsConfiguration", "autologgerSettings"}),
    "resources": frozenset({"maxInstanceCount", "locations"}),
    "queueSettings": frozenset({"priority"}),
    "inputs": frozenset({"pathOnCompute"}),
    "outputs": frozenset({"assetVersion", "pathOnCompute", "autoDeleteSetting"}),
}
"""What command jobs do not have in the newer version, by where."""
_NOT_OLDER: Final[Mapping[str, frozenset[str]]] = {
    "": frozenset({"parentJobName"}),
    "resources": frozenset({"dockerArgsList"}),
}


_OF_ANY: Final = (
    "description",
    "displayName",
    "experimentName",
    "isArchived",
    "properties",
    "services",
    "status",
    "tags",
)


def check_members(given: Mapping[str, Any], kept: Mapping[str, Any]) -> None:
    """Refuse what a job would be kept without.

    Args:
        given: Its properties, as they were sent.
        kept: Its definition.

    Raises:
        Refused: There is a member that its type is not known to have, or one that has no effect here.
    """
    unknown = sorted({key for key, value in given.items() if value is not None} - set(kept) - set(_OF_ANY))
    if given.get("secretsConfiguration"):
        unknown.append("secretsConfiguration")
    if unknown:
        named = ", ".join(unknown)
        raise UserError("UNIMPLEMENTED", f"A {given['jobType']} job with {named} is not emulated.")


def definition(given: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return what is kept of a job that was submitted, beside what its run knows."""
    common = {
        "parentJobName": None,
        "computeId": given.get("computeId"),
        "identity": given.get("identity"),
        "componentId": given.get("componentId"),
        "notificationSetting": given.get("notificationSetting"),
        "secretsConfiguration": given.get("secretsConfiguration"),
        "jobType": given["jobType"],
        "inputs": {key: _input(one) for key, one in (given.get("inputs") or {}).items()},
    }
    outputs = {key: _output(one or {}) for key, one in (given.get("outputs") or {}).items()}
    if given["jobType"] == "Pipeline":
        return {
            **common,
            "settings": given.get("settings") or {},
            "jobs": given.get("jobs") or {},
            "inputs": common["inputs"] or None,
            "outputs": outputs,
            "sourceJobId": given.get("sourceJobId"),
        }
    default = {
        "uri": f"azureml://datastores/{ARTIFACT_STORE}/ExperimentRun/dcid.{name}",
        "jobOutputType": "uri_folder",
    }
    if given["jobType"] == "Sweep":
        return {**common, **_sweep(given), "outputs": {**outputs, "default": _output(default)}}
    if given["jobType"] == "Spark":
        return {
            **common,
            **{key: given.get(key) for key in _SPARK},
            "inputs": common["inputs"] or None,
            "outputs": {**outputs, "default": _output(default)},
            "queueSettings": {"jobTier": "Null", "priority": None, **_given(given.get("queueSettings"))},
        }
    return {
        **common,
        "resources": {**_RESOURCES, **_given(given.get("resources"))},
        "codeId": given.get("codeId"),
        "command": given.get("command"),
        "environmentId": given.get("environmentId"),
        "outputs": {**outputs, "default": _output(default)},
        "distribution": given.get("distribution"),
        "autologgerSettings": None,
        "limits": given.get("limits"),
        "environmentVariables": given.get("environmentVariables") or {},
        "parameters": {},
        "queueSettings": {"jobTier": "Null", "priority": None, **_given(given.get("queueSettings"))},
    }


def _sweep(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what sweep jobs have of their own (azure-ai-ml 1.32, 2026-03, `sweep_job`)."""
    trial, limits = given.get("trial") or {}, given.get("limits") or {}
    resources = {**_RESOURCES, **_given(trial.get("resources"))}
    sampling = given.get("samplingAlgorithm") or {}
    random = (
        {"seed": None, "logbase": None, "rule": "Random"} if sampling.get("samplingAlgorithmType") == "Random" else {}
    )
    return {
        "searchSpace": given.get("searchSpace"),
        "samplingAlgorithm": {**random, **_given(sampling)},
        "limits": {
            "timeout": limits.get("timeout"),
            "jobLimitsType": "Sweep",
            "maxTotalTrials": limits.get("maxTotalTrials"),
            "maxConcurrentTrials": limits.get("maxConcurrentTrials"),
            "trialTimeout": limits.get("trialTimeout"),
        },
        "earlyTermination": given.get("earlyTermination"),
        "objective": given.get("objective"),
        "trial": {
            "codeId": trial.get("codeId"),
            "command": trial.get("command"),
            "environmentId": trial.get("environmentId"),
            "environmentVariables": trial.get("environmentVariables") or {},
            "distribution": trial.get("distribution"),
            "resources": resources,
        },
        "queueSettings": {"jobTier": "Null", "priority": None, **_given(given.get("queueSettings"))},
        "resources": resources,
        "componentConfiguration": given.get("componentConfiguration"),
    }


def shown(run: Run, workspace: Mapping[str, Any], version: str) -> dict[str, Any]:
    """Return a job as it is shown; of a pipeline's step no more than that it is there."""
    resource = {"id": f"{run.workspace}/jobs/{run.name}", "name": run.name, "type": TYPE}
    system = {"createdAt": run.created, "createdBy": run.by["client_id"], "createdByType": _kind(run)}
    if run.job is None:
        return {**resource, "properties": None, "systemData": system}
    properties = {
        "description": run.description,
        "tags": dict(run.tags),
        "properties": dict(run.properties),
        "displayName": run.display_name,
        "status": run.status,
        "experimentName": run.experiment,
        "services": _services(run, workspace),
        "isArchived": run.hidden,
        **run.job,
    }
    return {**resource, "properties": _of_version(properties, version), "systemData": system}


def _of_version(properties: Mapping[str, Any], version: str) -> dict[str, Any]:
    newer = version == NEWER and properties["jobType"] == "Command"
    without = _NOT_NEWER if newer else _NOT_OLDER
    kept = {key: value for key, value in properties.items() if key not in without[""]}
    for key in ("resources", "queueSettings"):
        if isinstance(kept.get(key), dict):
            kept[key] = {name: one for name, one in kept[key].items() if name not in without.get(key, ())}
    for key in ("inputs", "outputs"):
        kept[key] = kept[key] and {
            name: {field: value for field, value in one.items() if field not in without.get(key, ())}
            for name, one in kept[key].items()
        }
    return kept


def _services(run: Run, workspace: Mapping[str, Any]) -> dict[str, Any]:
    parts = run.workspace.split("/")
    short = f"/subscriptions/{parts[2]}/resourcegroups/{parts[4]}/workspaces/{parts[8]}"
    endpoints = {
        "Tracking": f"{workspace['properties']['mlFlowTrackingUri']}?",
        "Studio": f"https://ml.azure.com/runs/{run.name}?wsid={short}",
    }
    if run.job is not None and run.job["jobType"] in _STUDIO_ONLY:
        del endpoints["Tracking"]
    empty = dict.fromkeys(("status", "errorMessage", "properties", "nodes"))
    return {
        kind: {"jobServiceType": kind, "port": None, "endpoint": endpoint, **empty}
        for kind, endpoint in endpoints.items()
    }


def _input(given: Mapping[str, Any]) -> dict[str, Any]:
    if given.get("jobInputType") == "literal":
        return {"description": given.get("description"), "jobInputType": "literal", "value": given.get("value")}
    return {**{key: given.get(key) for key in _INPUT}, "mode": given.get("mode") or "ReadOnlyMount"}


def _output(given: Mapping[str, Any]) -> dict[str, Any]:
    return {**{key: given.get(key) for key in _OUTPUT}, "mode": given.get("mode") or "ReadWriteMount"}


def _given(values: Mapping[str, Any] | None) -> dict[str, Any]:
    return {key: value for key, value in (values or {}).items() if value is not None}


def _kind(run: Run) -> str:
    return {"User": "User", "ManagedIdentity": "ManagedIdentity"}.get(run.by["kind"], "Application")
