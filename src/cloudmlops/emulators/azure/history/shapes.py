"""How run history shows runs.

Key sets are those of recorded traffic of the real service (azure-sdk-assets, azure-ai-ml 1.32, 2026-02).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from cloudmlops.emulators.azure.entra.principals import derived_id
from cloudmlops.emulators.azure.jobs.runs import TERMINAL, Run

_TRAITS: Final[Mapping[str, tuple[str, ...]]] = {
    "azureml.StepRun": (
        "azureml.StepRun",
        "scriptRun",
        "remote",
        "AlmostCommonRuntime",
        "OsType:Linux",
        "CommonRuntime",
    ),
    "azureml.PipelineRun": ("azureml.PipelineRun",),
    "hyperdrive": ("hyperdrive",),
    "azureml.scriptrun": ("scriptRun", "remote", "AlmostCommonRuntime", "OsType:Linux", "CommonRuntime"),
}
_NO_ERROR: Final[Mapping[str, Any]] = {
    "severity": None,
    "messageFormat": None,
    "messageParameters": {},
    "referenceCode": None,
    "detailsUri": None,
    "target": None,
    "details": [],
    "innerError": None,
    "debugInfo": None,
    "additionalInfo": None,
}
_UNTOLD: Final[Mapping[str, None]] = dict.fromkeys(
    (
        "token",
        "tokenExpiryTimeUtc",
        "warnings",
        "lastStartTimeUtc",
        "currentComputeTime",
        "effectiveStartTimeUtc",
        "cancelationReason",
        "scheduleId",
        "scriptName",
        "runDefinition",
        "jobSpecification",
        "primaryMetricName",
        "createdFrom",
        "retainForLifetimeOfWorkspace",
        "queueingInfo",
        "inputs",
    )
)
"""What of a run the service leaves null."""


def run_shown(run: Run, *, tenant: str, location: str, outputs: bool = False) -> dict[str, Any]:
    """Return a run.

    Args:
        run: To be shown.
        tenant: Of who submitted it.
        location: Of the workspace.
        outputs: Whether what it left is shown; lists of runs leave it out.
    """
    who = _user(run, tenant)
    return {
        **_UNTOLD,
        **_names(run),
        **_times(run),
        **_ways(run, location),
        **_machines(run),
        "createdBy": who,
        "lastModifiedBy": who,
        "userId": run.by["object_id"],
        "error": error_shown(run),
        "revision": run.revision,
        "statusRevision": run.revision,
        "currentAttemptId": 1,
        "status": run.status,
        "displayName": run.display_name,
        "name": run.component,
        "description": run.description,
        "hidden": run.hidden,
        "properties": dict(run.properties),
        "parameters": {},
        "tags": dict(run.tags),
        "settings": {},
        "services": {},
        "inputDatasets": [],
        "outputDatasets": [],
        "outputs": outputs_shown(run) if outputs else None,
    }


def _names(run: Run) -> dict[str, Any]:
    """Return the ids of a run and of what it belongs to."""
    parent_uuid = derived_id("run", f"{run.workspace}/{run.parent}") if run.parent else None
    return {
        "runNumber": run.number,
        "runId": run.name,
        "rootRunId": run.root or run.name,
        "parentRunId": run.parent or None,
        "runUuid": run.uuid,
        "parentRunUuid": parent_uuid,
        "rootRunUuid": parent_uuid or run.uuid,
        "experimentId": run.experiment_id,
        "dataContainerId": f"dcid.{run.name}",
    }


def _times(run: Run) -> dict[str, Any]:
    """Return when a run was, and how long."""
    lasted = _lasted(run)
    return {
        "createdUtc": run.created,
        "startTimeUtc": run.started or None,
        "endTimeUtc": run.ended or None,
        "lastModifiedUtc": run.ended or run.started or run.created,
        "computeDuration": lasted,
        "duration": lasted,
    }


def _ways(run: Run, location: str) -> dict[str, Any]:
    """Return what a run is ended and examined by."""
    parts = run.workspace.split("/")
    cancel = (
        f"https://{location}.api.azureml.ms/studioservice/apiv2/subscriptions/{parts[2]}/resourceGroups/{parts[4]}"
        f"/workspaces/{parts[8]}/runs/{run.name}/Cancel"
    )
    return {
        "cancelUri": cancel,
        "completeUri": None,
        "diagnosticsUri": "",
        "actionUris": {"Cancel": cancel, "Diagnose": ""},
    }


def _machines(run: Run) -> dict[str, Any]:
    """Return what kind of run it is, and where it runs."""
    return {
        "runType": run.run_type,
        "runTypeV2": {
            "orchestrator": "Execution",
            "traits": list(_TRAITS.get(run.run_type, ())),
            "attribution": "Aether" if run.run_type == "azureml.StepRun" else None,
            "computeType": "AmlcTrain",
        },
        "target": run.compute,
        "uniqueChildRunComputeTargets": [],
        "computeRequest": {"nodeCount": 1, "gpuCount": 0},
        "compute": {
            "target": run.compute,
            "targetType": "amlcompute",
            "vmSize": None,
            "instanceType": None,
            "instanceCount": 1,
            "gpuCount": 0,
            "priority": None,
            "region": None,
            "armId": None,
            "properties": None,
        },
    }


def details_shown(run: Run, *, tenant: str, logs: Mapping[str, str]) -> dict[str, Any]:
    """Return the details of a run.

    Args:
        run: To be shown.
        tenant: Of who submitted it.
        logs: URLs that can be read, by name.
    """
    return {
        "runId": run.name,
        "runUuid": run.uuid,
        "parentRunId": run.parent or None,
        "rootRunId": run.root or run.name,
        "target": run.compute,
        "status": run.status,
        "createdTimeUtc": run.created,
        "startTimeUtc": run.started or None,
        "endTimeUtc": run.ended or None,
        "error": error_shown(run),
        "warnings": [],
        "tags": dict(run.tags),
        "properties": dict(run.properties),
        "parameters": {},
        "services": {},
        "inputDatasets": [],
        "outputDatasets": [],
        "runDefinition": None,
        "logFiles": dict(logs),
        "revision": run.revision,
        "createdBy": _user(run, tenant),
        "userId": run.by["object_id"],
        "duration": _lasted(run),
        "inputs": None,
        "outputs": outputs_shown(run),
    }


def outputs_shown(run: Run) -> dict[str, Any]:
    """Return the assets that a run left."""
    return {name: {"assetId": one["assetId"], "type": one["type"]} for name, one in run.outputs.items()}


def error_shown(run: Run) -> dict[str, Any] | None:
    """Return the error of a run that has one."""
    if not run.error:
        return None
    return {
        "error": {"code": "UserError", "message": run.error, **_NO_ERROR},
        "correlation": None,
        "environment": None,
        "location": None,
        "time": "0001-01-01T00:00:00+00:00",
        "componentName": "CommonRuntime",
    }


def _user(run: Run, tenant: str) -> dict[str, Any]:
    return {
        "userObjectId": run.by["object_id"],
        "userPuId": None,
        "userIdp": None,
        "userAltSecId": None,
        "userIss": f"https://sts.windows.net/{tenant}/",
        "userTenantId": tenant,
        "userName": run.by["name"],
        "upn": None,
        "clientApplicationId": None,
        "applicationACR": None,
    }


def _lasted(run: Run) -> str | None:
    """Return how long a run that has ended took, such as `00:00:11.4005940`."""
    if run.status not in TERMINAL or not run.started or not run.ended:
        return None
    lasted = max(timedelta(0), _moment(run.ended) - _moment(run.started))
    seconds = lasted.total_seconds()
    return f"{int(seconds // 3600):02}:{int(seconds % 3600 // 60):02}:{seconds % 60:010.7f}"


def _moment(text: str) -> datetime:
    """Read a time with seven digits of a second."""
    return datetime.fromisoformat(text[:26] + text[27:])
