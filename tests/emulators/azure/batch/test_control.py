"""Batch endpoints and their deployments as resources, and who may do what with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.emulators.azure.batch.conftest import Batch

pytestmark = pytest.mark.conformance(ci=True)

# Recorded of the real service: azure-sdk-assets (azure-ai-ml 1.12) and azure-sdk-for-python (1.5), `batch_services`.
ENDPOINT = {"description", "properties", "scoringUri", "swaggerUri", "authMode", "defaults", "provisioningState"}
DEPLOYMENT: dict[str, Any] = {
    "description": None,
    "environmentVariables": {},
    "errorThreshold": -1,
    "retrySettings": {"maxRetries": 3, "timeout": "PT30S"},
    "miniBatchSize": 10,
    "loggingLevel": "Info",
    "maxConcurrencyPerInstance": 1,
    "outputAction": "AppendRow",
    "outputFileName": "predictions.csv",
    "resources": {"instanceCount": 1, "instanceType": None, "properties": None},
    "provisioningState": "Succeeded",
}
OF_DEPLOYMENT = {*DEPLOYMENT, "properties", "codeConfiguration", "environmentId", "compute", "model"}
JOB = {
    "provisioningState",
    "inputData",
    "miniBatchSize",
    "errorThreshold",
    "compute",
    "outputFileName",
    "retrySettings",
    "status",
    "loggingLevel",
    "interactionEndpoints",
    "tags",
    "properties",
    "name",
}


def test_an_endpoint_has_the_recorded_fields(batch: Batch) -> None:
    reply = batch.call("PUT", batch.endpoint, json={"location": "westeurope", "properties": {"authMode": "aadToken"}})

    made, told = reply.json(), batch.call("GET", batch.endpoint).json()
    assert reply.status_code == 201
    assert reply.headers["x-ms-async-operation-timeout"] == "PT30M"
    assert (made["properties"]["scoringUri"], made["properties"]["provisioningState"]) == (None, "Creating")
    assert set(told["properties"]) == ENDPOINT
    assert set(told) == {"id", "name", "type", "properties", "systemData", "tags", "location"}
    assert set(told["systemData"]) == {"createdAt", "createdBy", "lastModifiedAt"}
    assert told["properties"]["properties"] == {
        "BatchEndpointCreationApiVersion": "2023-10-01",
        "azureml.onlineendpointid": f"{batch.azure.workspace_id}{batch.endpoint}",
    }
    assert told["properties"]["authMode"] == "AADToken"
    assert told["properties"]["defaults"] == {"deploymentName": None}


def test_a_deployment_has_the_recorded_fields_and_defaults(batch: Batch) -> None:
    made = batch.deploy()

    assert set(made["properties"]) == OF_DEPLOYMENT
    assert {key: made["properties"][key] for key in DEPLOYMENT} == DEPLOYMENT


def test_a_request_is_answered_with_the_recorded_fields(batch: Batch) -> None:
    batch.deploy()

    reply = batch.invoke(batch.numbers(1), name="by-hand", properties={"experimentName": "scoring"})

    told = reply.json()
    assert reply.headers["azureml-model-deployment"] == "blue"
    assert told["id"].endswith(f"{batch.endpoint}/deployments/blue/jobs/{told['name']}")
    assert told["type"] == "Microsoft.MachineLearningServices/workspaces/batchEndpoints/deployments/jobs"
    assert set(told["properties"]) == JOB
    assert told["properties"]["tags"] == {"azureml.batchrun": "true", "azureml.deploymentname": "blue"}
    job = batch.ended(reply)
    of_job = job["properties"]
    assert of_job["description"] == f"Pipeline submission for endpoint: {batch.name}, deployment: blue."
    assert (of_job["displayName"], of_job["experimentName"], of_job["jobType"]) == ("by-hand", "scoring", "Pipeline")
    assert [of_job[key] for key in ("settings", "jobs", "inputs", "outputs", "computeId")] == [None] * 5
    parameters = '{"run_max_try":"3","run_invocation_timeout":"30","mini_batch_size":"10","logging_level":"INFO",'
    assert of_job["properties"]["azureml.parameters"].startswith(parameters)


def test_requests_are_taken_in_the_letters_of_published_examples(batch: Batch) -> None:
    batch.deploy()
    given = {"UriFolderInput": {"JobInputType": "UriFolder", "Uri": batch.numbers(1)}}

    reply = batch.post({"properties": {"InputData": given, "RetrySettings": {"MaxRetries": 1}}})

    assert reply.json()["properties"]["retrySettings"] == {"maxRetries": 1, "timeout": "PT30S"}
    assert batch.ended(reply)["properties"]["status"] == "Completed"


@pytest.mark.parametrize(
    ("properties", "said"),
    [
        ({"authMode": "Key"}, "is not AADToken"),
        ({"authMode": "aadToken", "defaults": {"deploymentName": "gone"}}, "does not exist"),
    ],
)
def test_an_endpoint_that_makes_no_sense_is_refused(batch: Batch, properties: dict[str, Any], said: str) -> None:
    reply = batch.call("PUT", batch.endpoint, json={"location": "westeurope", "properties": properties})

    assert (reply.status_code, reply.json()["error"]["code"]) == (400, "UserError")
    assert said in reply.json()["error"]["message"]


@pytest.mark.parametrize(
    ("properties", "said"),
    [
        ({"compute": ""}, "compute of a batch deployment is required"),
        ({"compute": "/subscriptions/s/resourceGroups/g/x/computes/gone"}, "Unable to find compute target gone"),
        ({"miniBatchSize": 0}, "miniBatchSize is 0"),
        ({"errorThreshold": -2}, "errorThreshold is -2"),
        ({"outputAction": "Print"}, "is not one of AppendRow, SummaryOnly"),
        ({"outputFileName": "../x.csv"}, "is no name of a file"),
        ({"retrySettings": {"timeout": "soon"}}, "not in the format of ISO 8601"),
        ({"codeConfiguration": None}, "Only a model of type mlflow_model"),
        ({"environmentId": None}, "needs an environment"),
    ],
)
def test_a_deployment_that_makes_no_sense_is_refused(batch: Batch, properties: dict[str, Any], said: str) -> None:
    known = batch.deploy()["properties"]

    path = f"{batch.endpoint}/deployments/green"
    reply = batch.call("PUT", path, json={"location": "westeurope", "properties": {**known, **properties}})

    assert reply.status_code == 400
    assert said in reply.json()["error"]["message"]
    assert batch.call("GET", path).status_code == 404


def test_what_is_not_emulated_says_so(batch: Batch) -> None:
    known = batch.deploy()["properties"]
    model = {"referenceType": "OutputPath", "path": "model"}

    path = f"{batch.endpoint}/deployments/green"
    by_path = batch.call("PUT", path, json={"location": "w", "properties": {**known, "model": model}})
    field = batch.invoke(batch.numbers(1), partitionKeys=["a"])

    assert (by_path.status_code, field.status_code) == (501, 501)
    assert "partitionkeys" in field.json()["error"]["message"]


def test_a_request_that_makes_no_sense_begins_no_job(batch: Batch) -> None:
    batch.open()
    nobody = batch.invoke(batch.numbers(1))
    batch.deploy()
    two = {"a": {"jobInputType": "UriFolder", "uri": "x"}, "b": {"jobInputType": "UriFolder", "uri": "x"}}
    replies = [
        nobody,
        batch.invoke(batch.numbers(1), to="gone"),
        batch.invoke(batch.numbers(1), miniBatchSize=0),
        batch.post({"properties": {"inputData": two}}),
        batch.post({"properties": {}}),
    ]

    assert [reply.status_code for reply in replies] == [400, 404, 400, 400, 400]
    assert "has no default deployment" in nobody.json()["error"]["message"]
    assert batch.call("GET", "/jobs", api="2024-01-01-preview").json()["value"] == []


def test_a_job_whose_files_are_not_there_fails_and_says_why(batch: Batch) -> None:
    batch.deploy()

    job = batch.ended(batch.invoke("azureml://datastores/workspaceblobstore/paths/nowhere/"))

    assert job["properties"]["status"] == "Failed"
    assert "there is nothing at" in batch.step(job)["error"]["error"]["message"]


@pytest.mark.parametrize(("who", "status"), [("owner", 201), ("scientist", 201), ("reader", 403), ("nobody", 403)])
def test_who_may_begin_jobs_is_decided_by_roles(batch: Batch, who: str, status: int) -> None:
    batch.deploy()

    reply = batch.invoke(batch.numbers(1), who=who)

    assert reply.status_code == status
    if status == 201:
        assert batch.ended(reply)["systemData"]["createdBy"] == batch.azure.principal(who).client_id


def test_a_token_of_another_service_or_none_is_401(batch: Batch) -> None:
    batch.deploy()
    other = batch.azure.cloud.tokens.issue(batch.azure.principal("owner"), "https://management.azure.com")

    assert [batch.post({}, token=token).status_code for token in (other, "nonsense")] == [401, 401]


def test_names_are_shared_with_online_endpoints(batch: Batch) -> None:
    batch.open()

    online = f"/onlineEndpoints/{batch.name}"
    reply = batch.call("PUT", online, json={"location": "westeurope", "properties": {"authMode": "Key"}})

    assert reply.status_code == 409
    assert "is taken" in reply.json()["error"]["message"]


def test_what_is_deleted_is_gone_and_its_jobs_stay(batch: Batch) -> None:
    batch.deploy()
    job = batch.ended(batch.invoke(batch.numbers(1)))

    assert batch.call("DELETE", f"{batch.endpoint}/deployments/blue").status_code == 202
    assert batch.call("GET", f"{batch.endpoint}/deployments").json()["value"] == []
    assert batch.invoke(batch.numbers(1)).status_code == 404
    assert batch.call("DELETE", batch.endpoint).status_code == 202
    assert batch.call("GET", batch.endpoint).status_code == 404
    assert batch.call("DELETE", batch.endpoint).status_code == 204
    assert batch.invoke(batch.numbers(1)).status_code == 404
    assert batch.call("GET", f"/jobs/{job['name']}", api="2024-01-01-preview").status_code == 200


def test_calls_are_recorded_and_their_versions_noted(batch: Batch) -> None:
    batch.deploy()
    batch.ended(batch.invoke(batch.numbers(1)))

    (call,) = batch.azure.emulator.calls.list("scoring/POST jobs")
    assert call.request["body"]["properties"]["inputData"]["data"]["jobInputType"] == "UriFolder"
    assert batch.azure.cloud.versions["PUT workspaces/batchEndpoints"] == {"2023-10-01"}
