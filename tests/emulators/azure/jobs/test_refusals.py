"""What a job, a step or a component is refused for when it is put, and how a cancel is answered; by the wire."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import httpx
    from tests.emulators.azure.jobs.conftest import Jobs

COMPONENT = "components/step/versions/1"
NAMES = ["../../escaped", "/escaped", "a-b", ""]


def put(at: Jobs, path: str, /, **properties: Any) -> httpx.Response:
    reply: httpx.Response = at.call(
        "PUT",
        f"{at.azure.workspace_id}/{path}",
        params={"api-version": "2024-01-01-preview"},
        json={"properties": properties},
    )
    return reply


def submitted(jobs: Jobs, **properties: Any) -> httpx.Response:
    given = {"jobType": "Command", "command": "true", "environmentId": "ubuntu:22.04", **properties}
    return put(jobs, "jobs/refused", **given)


def component(jobs: Jobs, **specification: Any) -> httpx.Response:
    return put(jobs, COMPONENT, componentSpec={"type": "command", "command": "true", **specification})


def piped(jobs: Jobs, component: str = COMPONENT, **node: Any) -> httpx.Response:
    step = {"type": "command", "componentId": f"{jobs.azure.workspace_id}/{component}", **node}
    return put(jobs, "jobs/refused", jobType="Pipeline", jobs={"step": step})


def there_is_none(jobs: Jobs) -> bool:
    found = jobs.call("GET", f"{jobs.azure.workspace_id}/jobs", params={"api-version": "2024-01-01-preview"})
    return bool(found.json()["value"] == [])


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_is_none_of_an_input_or_an_output_is_refused_when_it_is_put(jobs: Jobs, name: str) -> None:
    given = {name: {"jobInputType": "literal", "value": "1"}}
    left = {name: {"jobOutputType": "uri_folder"}}
    component(jobs).raise_for_status()
    refused = [
        submitted(jobs, inputs=given),
        submitted(jobs, outputs=left),
        put(jobs, "jobs/refused", jobType="Pipeline", jobs={}, inputs=given),
        put(jobs, "jobs/refused", jobType="Pipeline", jobs={}, outputs=left),
        piped(jobs, inputs={name: {"job_input_type": "literal", "value": "1"}}),
        component(jobs, inputs={name: {"type": "string"}}),
        component(jobs, outputs={name: {"type": "uri_file"}}),
        put(jobs, COMPONENT, componentSpec={"type": "pipeline", "jobs": {"step": {"outputs": {name: {}}}}}),
    ]

    assert [reply.status_code for reply in refused] == [400] * len(refused)
    for reply in refused:
        (detail,) = reply.json()["error"]["details"]
        assert detail["code"] == "RequestInvalid"
        assert repr(name) in detail["message"]
    assert there_is_none(jobs)


def test_files_whose_names_lead_out_of_a_job_s_folder_are_not_brought(jobs: Jobs) -> None:
    store = jobs.azure.cloud.resources.get(f"{jobs.azure.workspace_id}/datastores/workspaceblobstore")
    assert store is not None
    account, container = store["properties"]["accountName"], store["properties"]["containerName"]
    jobs.azure.cloud.blobs.write(account, container, "given/../../escaped", b"out")
    uri = "azureml://datastores/workspaceblobstore/paths/given/"

    submitted(jobs, inputs={"given": {"jobInputType": "uri_folder", "uri": uri}}).raise_for_status()

    run = jobs.ended("refused")
    assert run["status"] == "Failed"
    assert "resource name contains invalid characters" in run["error"]["error"]["message"]


def test_names_of_groups_have_dots(jobs: Jobs) -> None:
    given = {"group.rate": {"jobInputType": "literal", "value": "1"}, "_x9": {"jobInputType": "literal", "value": "2"}}

    assert submitted(jobs, inputs=given).status_code == 201
    assert jobs.ended("refused")["status"] == "Completed"


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ("{workspace}/environments/steps/versions/4", "name: steps, version: 4, label: "),
        ("azureml:{workspace}/environments/steps/versions/4", "name: steps, version: 4, label: "),
        ("azureml:steps:4", "name: steps, version: 4, label: "),
        ("azureml://registries/contoso/environments/any/versions/2", "name: any, version: 2, label: "),
    ],
)
def test_an_environment_that_is_not_registered_is_refused_in_the_service_s_words(
    jobs: Jobs, environment: str, words: str
) -> None:
    named = environment.format(workspace=jobs.azure.workspace_id)
    sweep = {"jobType": "Sweep", "trial": {"command": "true", "environmentId": named}}
    sweep |= {"objective": {"primaryMetric": "loss", "goal": "Minimize"}, "limits": {"maxTotalTrials": 1}}
    sweep |= {"searchSpace": {"x": ["choice", [[1]]]}, "samplingAlgorithm": {"samplingAlgorithmType": "Grid"}}
    refused = [
        submitted(jobs, environmentId=named),
        put(jobs, "jobs/refused", **sweep),
        component(jobs, environment=named),
    ]

    for reply in refused:
        error = reply.json()["error"]
        assert (reply.status_code, error["code"]) == (404, "UserError")
        assert error["message"] == f"No environment exists for {words}"
    assert there_is_none(jobs)


@pytest.mark.parametrize("environment", ["azureml:AzureML-sklearn-1.0:33", "{workspace}/environments/own/versions/1"])
def test_environments_of_the_service_and_registered_ones_are_taken(jobs: Jobs, environment: str) -> None:
    jobs.azure.cloud.ensure_environment("own", "1", workspace=jobs.azure.workspace_id)

    assert submitted(jobs, environmentId=environment.format(workspace=jobs.azure.workspace_id)).status_code == 201
    assert jobs.ended("refused")["status"] == "Completed"


def test_a_component_that_is_not_there_is_refused_as_recorded(jobs: Jobs) -> None:
    reply = piped(jobs, "components/nothing/versions/7")

    error = reply.json()["error"]
    key = f"{jobs.azure.workspace_id}/components/nothing/versions/7"
    assert (reply.status_code, error["code"], error["details"]) == (404, "NotFound", [])
    assert error["message"] == f"key: {key}, Message: Not found component nothing (version: 7)."


def test_code_that_is_not_registered_is_refused(jobs: Jobs) -> None:
    reply = submitted(jobs, codeId=f"{jobs.azure.workspace_id}/codes/nothing/versions/1")

    assert reply.status_code == 404
    assert reply.json()["error"]["details"][0]["code"] == "CodeNotFound"


def test_a_cancel_is_accepted_and_followed_as_recorded_until_the_job_has_ended(jobs: Jobs) -> None:
    submitted(jobs, command="trap '' TERM; sleep 600").raise_for_status()
    assert jobs.became("refused", "Running")
    path = f"{jobs.azure.workspace_id}/jobs/refused/cancel"

    reply = jobs.call("POST", path, params={"api-version": "2023-04-01-preview"})

    assert (reply.status_code, reply.text) == (202, "null")
    assert reply.headers["x-ms-async-operation-timeout"] == "PT1H"
    assert "azure-asyncoperation" not in reply.headers
    workspace = jobs.azure.cloud.resources.get(jobs.azure.workspace_id)
    assert workspace is not None
    place = reply.headers["location"].removeprefix("https://management.azure.com")
    assert f"/mfeOperationResults/jc:{workspace['properties']['workspaceId']}:refused?api-version=" in place
    while (followed := jobs.call("GET", place)).status_code == 202:
        assert (followed.json(), followed.headers["location"]) == ({}, reply.headers["location"])
    assert (followed.status_code, followed.content) == (200, b"")
    assert jobs.run("refused")["status"] == "Canceled"
