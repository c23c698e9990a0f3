"""Backfills of feature sets: Spark jobs of the service's own program.

How a job is recorded follows recorded traffic of the real service (azure-sdk-assets, azure-ai-ml 1.12, 2023-10,
`feature_set`): name, tags, properties, arguments, the id of a code asset. The program itself is Microsoft's and not
public, so that the job fails and says so: nothing is ever materialised, and nothing pretends to be. A backfill is one
job, whatever its window.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from cloudmlops.emulators.azure.arm.errors import UserError
from cloudmlops.emulators.azure.arm.routes import ArmRequest
from cloudmlops.emulators.azure.arm.world import World
from cloudmlops.emulators.azure.entra.principals import derived_id
from cloudmlops.emulators.azure.jobs.runs import Run, Runs
from cloudmlops.emulators.azure.jobs.spark import PYTHON_ENTRY
from cloudmlops.emulators.azure.jobs.stopping import Stop
from cloudmlops.emulators.azure.ml.feature_sets import SET, FeatureSets
from cloudmlops.emulators.azure.ml.jobs import Jobs
from cloudmlops.emulators.azure.ml.workspaces import workspace_of
from cloudmlops.emulators.core.answering import Answer

STATUSES: Final = ("None", "Pending", "Incomplete", "Complete")
NOT_OURS: Final = (
    "NotImplemented: a materialization job runs a program of Azure Machine Learning's own, which is not emulated: "
    "materialize with a job of yours."
)
_PROGRAM: Final = "materialization_job_entry_script.py"
_RUNTIME: Final = "3.2.0"


class Materialization:
    """The handler."""

    def __init__(self, world: World, sets: FeatureSets, runs: Runs, jobs: Jobs) -> None:
        self._world = world
        self._sets = sets
        self._runs = runs
        self._jobs = jobs
        world.routes.add("POST", f"{SET}/backfill", self.backfill)

    def backfill(self, request: ArmRequest) -> Answer:
        """Begin a backfill; its result names the jobs."""
        workspace = workspace_of(self._world, request)
        made, body = self._sets.version_of(request, "/backfill"), request.body
        settings: Mapping[str, Any] = made["properties"]["materializationSettings"] or {}
        if settings.get("storeType", "None") == "None":
            raise UserError(
                "INVALID_ARGUMENT", f"The feature set {made['id']} has no store that it is materialized to."
            )
        if body.get("jobId"):
            raise UserError("UNIMPLEMENTED", "A backfill that repeats a job is not emulated.")
        if unknown := [one for one in body.get("dataAvailabilityStatus") or () if one not in STATUSES]:
            raise UserError("INVALID_ARGUMENT", f"The data status {unknown[0]!r} is not one of {', '.join(STATUSES)}.")
        start, end = _window(body.get("featureWindow") or {})
        names = request.names
        name = f"Featurestore-Materialization-BackfillJob-{names['name']}-{names['version']}-{secrets.token_hex(4)}"
        job = _job(made, settings, body, start, end, store=names["workspace"])
        self._jobs.submit(
            workspace, name, {**job, "displayName": body.get("displayName") or name}, request.caller, self._fail
        )
        headers = self._world.operations.begin(
            names["subscription"],
            workspace["location"],
            request.path,
            result={"jobIds": [name]},
            version=request.version,
        )
        return Answer(status=202, headers=headers)

    def _fail(self, run: Run, _: Stop) -> None:
        self._runs.move(run, "Failed", error=NOT_OURS)


def _window(given: Mapping[str, Any]) -> tuple[datetime, datetime]:
    read = []
    for field in ("featureWindowStart", "featureWindowEnd"):
        try:
            moment = datetime.fromisoformat(str(given.get(field)))
        except ValueError as error:
            raise UserError("INVALID_ARGUMENT", f"The {field} of a backfill is required, as a time.") from error
        read.append(moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC))
    if read[0] >= read[1]:
        raise UserError("INVALID_ARGUMENT", "The featureWindowEnd of a backfill is not after its featureWindowStart.")
    return read[0], read[1]


def _job(
    made: Mapping[str, Any],
    settings: Mapping[str, Any],
    body: Mapping[str, Any],
    start: datetime,
    end: datetime,
    *,
    store: str,
) -> dict[str, Any]:
    """Return the Spark job that a backfill is."""
    name, version = str(made["id"]).split("/")[-3], made["name"]
    properties = made["properties"]["properties"]
    offline, online = (properties.get(f"{kind}MaterializationVersion") for kind in ("offline", "online"))
    window = " ".join(
        f"--feature-window-{edge}-time {moment:%Y-%m-%dT%H:%M:%S.%f}0Z"
        for edge, moment in (("start", start), ("end", end))
    )
    stores = "".join(
        f" --{kind} --{kind}-prefix {prefix}" for kind, prefix in (("offline", offline), ("online", online)) if prefix
    )
    return {
        "jobType": "Spark",
        "description": body.get("description") or "Feature set Backfill Job",
        "experimentName": "default",
        "identity": {"identityType": "Managed", "clientId": None, "objectId": None, "resourceId": None},
        "tags": {
            **(body.get("tags") or {}),
            "featuresetName": name,
            "featuresetVersion": version,
            "featurestoreName": store,
            "isBackfill": "True",
            "featureWindowStart": f"{start:%Y-%m-%dT%H:%M:%S}+00:00",
            "featureWindowEnd": f"{end:%Y-%m-%dT%H:%M:%S}+00:00",
        },
        "properties": {
            "azureml.FeatureStoreJobType": "BackfillMaterialization",
            "azureml.FeatureSetName": name,
            "azureml.FeatureSetVersion": version,
            "azureml.FeatureStoreName": store,
            "azureml.FeatureWindowStart": f"{start:%Y-%m-%dT%H:%M:%SZ}",
            "azureml.FeatureWindowEnd": f"{end:%Y-%m-%dT%H:%M:%SZ}",
            "azureml.OfflineMaterializationVersion": offline,
            "azureml.OnlineMaterializationVersion": online,
        },
        "resources": {
            "instanceType": ((body.get("resource") or settings.get("resource")) or {}).get("instanceType"),
            "runtimeVersion": _RUNTIME,
        },
        "codeId": f"{str(made['id']).partition('/featuresets/')[0]}/codes/{derived_id('code', _PROGRAM)}/versions/1",
        "conf": body.get("sparkConfiguration") or settings.get("sparkConfiguration"),
        "entry": {"sparkJobEntryType": PYTHON_ENTRY, "file": _PROGRAM},
        "args": f"--featurestore-name {store} --featureset-name {name} --featureset-version {version} {window}{stores}"
        " --backfill",
    }
