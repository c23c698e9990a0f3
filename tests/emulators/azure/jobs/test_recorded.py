"""Jobs and runs as recorded traffic of the real service shows them (azure-sdk-assets, azure-ai-ml 1.32, 2026-02, -03).

The tables hold the names of fields by api-version, read there; `nested` ones by where they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.emulators.azure.jobs.conftest import Jobs

OLDER, NEWER = "2024-01-01-preview", "2025-01-01-preview"
JOB = {
    "description",
    "tags",
    "properties",
    "displayName",
    "status",
    "experimentName",
    "services",
    "computeId",
    "isArchived",
    "identity",
    "componentId",
    "notificationSetting",
    "jobType",
    "inputs",
    "outputs",
}
COMMAND = JOB | {
    "resources",
    "codeId",
    "command",
    "environmentId",
    "distribution",
    "limits",
    "environmentVariables",
    "parameters",
    "queueSettings",
}
FIELDS = {
    OLDER: COMMAND | {"secretsConfiguration", "autologgerSettings"},
    NEWER: COMMAND | {"parentJobName"},
}
NESTED: dict[str, dict[str, set[str]]] = {
    OLDER: {
        "resources": {
            "instanceCount",
            "maxInstanceCount",
            "instanceType",
            "locations",
            "properties",
            "shmSize",
            "dockerArgs",
        },
        "queueSettings": {"jobTier", "priority"},
        "inputs.given": {"description", "uri", "mode", "pathOnCompute", "jobInputType"},
        "outputs.default": {
            "description",
            "uri",
            "assetName",
            "assetVersion",
            "mode",
            "pathOnCompute",
            "autoDeleteSetting",
            "jobOutputType",
        },
    },
    NEWER: {
        "resources": {"instanceCount", "instanceType", "properties", "shmSize", "dockerArgs", "dockerArgsList"},
        "queueSettings": {"jobTier"},
        "inputs.given": {"description", "uri", "mode", "jobInputType"},
        "outputs.default": {"description", "uri", "assetName", "mode", "jobOutputType"},
    },
}
SERVICE = {"jobServiceType", "port", "endpoint", "status", "errorMessage", "properties", "nodes"}
PIPELINE = JOB | {"secretsConfiguration", "settings", "jobs", "sourceJobId"}
RUN = {
    *(
        "runNumber",
        "rootRunId",
        "createdUtc",
        "createdBy",
        "userId",
        "token",
        "tokenExpiryTimeUtc",
        "error",
        "warnings",
    ),
    *(
        "revision",
        "statusRevision",
        "runUuid",
        "parentRunUuid",
        "rootRunUuid",
        "lastStartTimeUtc",
        "currentComputeTime",
    ),
    *("computeDuration", "effectiveStartTimeUtc", "lastModifiedBy", "lastModifiedUtc", "duration", "cancelationReason"),
    *("currentAttemptId", "runId", "parentRunId", "experimentId", "status", "startTimeUtc", "endTimeUtc", "scheduleId"),
    *("displayName", "name", "dataContainerId", "description", "hidden", "runType", "runTypeV2", "properties"),
    *("parameters", "actionUris", "scriptName", "target", "uniqueChildRunComputeTargets", "tags", "settings"),
    *("services", "inputDatasets", "outputDatasets", "runDefinition", "jobSpecification", "primaryMetricName"),
    *("createdFrom", "cancelUri", "completeUri", "diagnosticsUri", "computeRequest", "compute"),
    *("retainForLifetimeOfWorkspace", "queueingInfo", "inputs", "outputs"),
}
DISCOVERED = {
    *(
        "api",
        "catalog",
        "experimentation",
        "history",
        "hyperdrive",
        "labeling",
        "modelmanagement",
        "pipelines",
        "studio",
    ),
}
GIVEN = {
    "jobType": "Command",
    "command": "true",
    "environmentId": "azureml:AzureML-sklearn-1.0-ubuntu20.04-py38-cpu:33",
    "inputs": {
        "given": {
            "jobInputType": "uri_folder",
            "uri": "azureml://datastores/workspaceblobstore/paths/data/",
            "mode": "ReadOnlyMount",
        }
    },
    "outputs": {},
}


def put(jobs: Jobs, version: str, given: Any) -> Any:
    return jobs.call("PUT", f"{jobs.azure.workspace_id}/jobs/one?api-version={version}", json={"properties": given})


@pytest.mark.parametrize("version", [OLDER, NEWER])
def test_a_command_job_has_the_fields_of_the_version(jobs: Jobs, version: str) -> None:
    made = put(jobs, version, GIVEN)
    got = jobs.call("GET", f"{jobs.azure.workspace_id}/jobs/one?api-version={version}")

    assert made.status_code == 201
    assert made.headers["location"].startswith("https://management.azure.com/subscriptions/")
    assert made.json()["properties"]["status"] == "Starting"
    assert set(made.json()["systemData"]) == {"createdAt", "createdBy", "createdByType"}
    for shown in (made.json()["properties"], got.json()["properties"]):
        assert set(shown) == FIELDS[version]
        for path, fields in NESTED[version].items():
            first, _, second = path.partition(".")
            assert set(shown[first][second] if second else shown[first]) == fields, path
        assert set(shown["services"]["Studio"]) == SERVICE
        assert shown["outputs"]["default"]["uri"] == (
            "azureml://datastores/workspaceartifactstore/ExperimentRun/dcid.one"
        )
        assert shown["properties"] == {"_azureml.ComputeTargetType": "amlctrain", "_azureml.ClusterName": None}


def test_a_pipeline_job_has_the_fields_of_the_service(jobs: Jobs) -> None:
    made = put(jobs, OLDER, {"jobType": "Pipeline", "jobs": {}, "settings": {"_source": "YAML.JOB"}, "inputs": {}})

    assert made.status_code == 201
    shown = made.json()["properties"]
    assert set(shown) == PIPELINE
    assert (shown["status"], shown["inputs"], shown["outputs"], shown["properties"]) == ("NotStarted", None, {}, {})


def test_a_run_has_the_fields_of_the_service(jobs: Jobs) -> None:
    put(jobs, NEWER, {**GIVEN, "inputs": {}})

    run = jobs.ended("one")

    assert set(run) == RUN
    assert (run["status"], run["error"], run["dataContainerId"]) == ("Completed", None, "dcid.one")


def test_an_outputs_version_is_refused_by_the_newer_version_alone(jobs: Jobs) -> None:
    given = {**GIVEN, "outputs": {"left": {"jobOutputType": "uri_folder", "assetName": "kept", "assetVersion": "2"}}}

    refused = put(jobs, NEWER, given)

    assert refused.status_code == 400
    error = refused.json()["error"]
    assert (error["code"], error["message"]) == ("UserError", "Request is invalid and/or missing fields.")
    assert [one["code"] for one in error["details"]] == ["RequestInvalid"]
    assert put(jobs, OLDER, given).status_code == 201


def test_discovery_names_the_services(jobs: Jobs) -> None:
    found = jobs.call("GET", "/discovery")

    assert set(found.json()) == DISCOVERED


@pytest.mark.parametrize(
    ("who", "reads", "writes"),
    [("owner", 200, 200), ("scientist", 200, 200), ("reader", 200, 403), ("nobody", 403, 403)],
)
def test_who_may_read_and_change_runs(jobs: Jobs, who: str, reads: int, writes: int) -> None:
    put(jobs, NEWER, {**GIVEN, "inputs": {}})
    run = f"/history/v1.0{jobs.azure.workspace_id}/runs/one"

    assert [jobs.call("GET", f"{run}{what}", who=who).status_code for what in ("", "/details", "/children")] == [
        reads
    ] * 3
    assert jobs.call("PATCH", run, who=who, json={"tags": {"a": "b"}}).status_code == writes


def test_what_of_run_history_is_not_emulated_says_so(jobs: Jobs) -> None:
    path = f"/history/v1.0{jobs.azure.workspace_id}/experiments/one/runs:query"

    assert jobs.call("POST", path, json={}).status_code == 501
