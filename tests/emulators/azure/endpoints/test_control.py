"""What Azure Resource Manager says of endpoints and deployments."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import httpx
import pytest

if TYPE_CHECKING:
    from tests.emulators.azure.endpoints.conftest import Endpoints

from tests.emulators.azure.endpoints.conftest import deployment

pytestmark = pytest.mark.conformance(ci=True)

ENDPOINT = {
    "description",
    "properties",
    "scoringUri",
    "swaggerUri",
    "authMode",
    "provisioningState",
    "compute",
    "traffic",
    "mirrorTraffic",
    "publicNetworkAccess",
}
"""The properties of an endpoint in recorded traffic of 2026-03."""
DEPLOYMENT = {
    "description",
    "properties",
    "codeConfiguration",
    "environmentId",
    "environmentVariables",
    "scaleSettings",
    "requestSettings",
    "modelMountPath",
    "appInsightsEnabled",
    "livenessProbe",
    "readinessProbe",
    "provisioningState",
    "instanceType",
    "model",
    "privateNetworkConnection",
    "egressPublicNetworkAccess",
    "endpointComputeType",
}
"""The properties of a deployment in recorded traffic of 2022-10."""
BESIDE = {"id", "name", "type", "properties", "systemData", "tags", "location", "kind"}
SYSTEM = {"createdAt", "createdBy", "lastModifiedAt"}
PROBE = {"failureThreshold", "successThreshold", "timeout", "period", "initialDelay"}
AT = datetime(2026, 3, 2, 12, tzinfo=UTC)


def test_an_endpoint_is_shown_with_all_that_the_service_shows(endpoints: Endpoints) -> None:
    endpoints.emulator.clock.freeze(AT)
    endpoints.cloud.operations.takes = timedelta(minutes=1)
    path = f"/onlineEndpoints/{endpoints.prefix}-live"
    given = {
        "location": "westeurope",
        "tags": {"a": "b"},
        "identity": {"type": "SystemAssigned"},
        "properties": {"authMode": "AMLToken", "properties": {}, "mirrorTraffic": {}, "traffic": {}},
    }
    making = endpoints.call("PUT", path, json=given)

    shown = making.json()
    assert making.status_code == 201
    assert making.headers["location"].startswith(f"https://management.azure.com{endpoints.workspace}{path}?")
    assert set(shown) == BESIDE | {"identity"}
    assert set(shown["properties"]) == ENDPOINT
    assert set(shown["systemData"]) == SYSTEM
    assert (shown["properties"]["provisioningState"], shown["properties"]["scoringUri"]) == ("Creating", None)
    assert (shown["kind"], shown["tags"]) == ("Managed", {"a": "b"})
    assert set(shown["identity"]) == {"type", "principalId", "tenantId"}
    internal = shown["properties"]["properties"]
    assert internal["azureml.onlineendpointid"] == shown["id"].lower()
    assert internal["AzureAsyncOperationUri"] == making.headers["azure-asyncoperation"]

    endpoints.emulator.clock.advance(timedelta(minutes=1))
    made = endpoints.call("GET", path).json()
    host = f"https://{endpoints.prefix}-live.westeurope.inference.ml.azure.com"
    assert made["properties"]["provisioningState"] == "Succeeded"
    assert made["properties"]["scoringUri"] == f"{host}/score"
    assert made["properties"]["swaggerUri"] == f"{host}/swagger.json"
    endpoints.cloud.operations.takes = timedelta(0)


def test_a_deployment_is_shown_with_all_that_the_service_shows(endpoints: Endpoints) -> None:
    path = endpoints.endpoint()
    given = deployment(model=endpoints.mlflow(2.0), properties={}, scaleSettings={"scaleType": "Default"})
    making = endpoints.call("PUT", f"{path}/deployments/blue", json=given)

    shown = making.json()
    assert making.status_code == 201
    assert set(shown) == BESIDE | {"sku"}
    assert set(shown["properties"]) == DEPLOYMENT
    assert shown["properties"]["provisioningState"] == "Creating"
    assert shown["properties"]["livenessProbe"] is None
    assert shown["sku"] == {"name": "Default", "tier": "Standard", "capacity": 1}
    assert endpoints.followed(making)["status"] == "Succeeded"
    made = endpoints.call("GET", f"{path}/deployments/blue").json()["properties"]
    assert made["provisioningState"] == "Succeeded"
    assert set(made["livenessProbe"]) == set(made["readinessProbe"]) == PROBE
    assert made["requestSettings"] == {
        "maxQueueWait": "PT0S",
        "requestTimeout": "PT5S",
        "maxConcurrentRequestsPerInstance": 1,
    }
    again = endpoints.call("PUT", f"{path}/deployments/blue", json=given)
    assert (again.status_code, again.json()["properties"]["provisioningState"]) == (200, "Updating")
    endpoints.followed(again)


def test_a_script_that_does_not_start_fails_the_deployment_and_says_why(endpoints: Endpoints) -> None:
    path = endpoints.endpoint()
    ended = endpoints.script(
        path, script="def init():\n    raise RuntimeError('no such weights')\ndef run(data): ...\n"
    )

    assert (ended["status"], ended["error"]["code"]) == ("Failed", "ResourceNotReady")
    assert "RuntimeError: no such weights" in ended["error"]["message"]
    assert "RuntimeError: no such weights" in endpoints.logs(path)
    shown = endpoints.call("GET", f"{path}/deployments/blue").json()
    assert shown["properties"]["provisioningState"] == "Failed"
    assert endpoints.score(path, {}, **{"azureml-model-deployment": "blue"}).status_code == 503


def test_a_model_that_cannot_be_loaded_fails_the_deployment(endpoints: Endpoints) -> None:
    path = endpoints.endpoint()

    ended = endpoints.deploy(path, model=endpoints.mlflow(1.0, fails="the file is damaged"))

    assert ended["status"] == "Failed"
    assert "the file is damaged" in ended["error"]["message"]


def test_a_container_that_never_answers_its_probe_fails_the_deployment(endpoints: Endpoints) -> None:
    path = endpoints.endpoint()
    endpoints.cloud.fleet.patience_seconds = 0.5

    ended = endpoints.script(path, script="import time\ndef init(): time.sleep(60)\ndef run(data): ...\n")

    assert "did not become healthy in time" in ended["error"]["message"]


def test_an_update_that_fails_leaves_the_one_before_at_work(endpoints: Endpoints) -> None:
    path = endpoints.endpoint()
    endpoints.script(path, model=endpoints.factor(2.0))
    endpoints.endpoint(traffic={"blue": 100})

    assert endpoints.script(path, script="broken", model=endpoints.factor(2.0))["status"] == "Failed"

    assert endpoints.score(path, {"data": [1]}).json() == [2.0]
    assert endpoints.script(path, model=endpoints.factor(4.0))["status"] == "Succeeded"
    assert endpoints.score(path, {"data": [1]}).json() == [4.0]


def test_what_only_changes_its_size_is_not_started_again(endpoints: Endpoints) -> None:
    path = endpoints.endpoint()
    script = "import os\ndef run(data): return os.getpid()\n"
    endpoints.script(path, script=script)
    endpoints.endpoint(traffic={"blue": 100})
    before = endpoints.score(path, {}).json()

    assert endpoints.script(path, script=script, capacity=3)["status"] == "Succeeded"

    assert endpoints.score(path, {}).json() == before
    assert endpoints.call("GET", f"{path}/deployments/blue").json()["sku"]["capacity"] == 3
    size = endpoints.cloud.fleet.size(f"{endpoints.workspace}{path}/deployments/blue")
    assert size is not None
    assert size.instances == 3


def test_machines_above_the_quota_are_refused_in_the_services_words(endpoints: Endpoints) -> None:
    path = endpoints.endpoint()
    endpoints.cloud.fleet.cores = 6

    reply = endpoints.call("PUT", f"{path}/deployments/blue", json=deployment(model=endpoints.mlflow(1.0)))

    error = reply.json()["error"]
    assert (reply.status_code, error["code"], error["message"]) == (400, "BadRequest", "The request is invalid.")
    assert error["details"][0]["code"] == "InferencingClientCreateDeploymentFailed"
    assert "Not enough quota available for Standard_F4s_v2 in SubscriptionId" in error["details"][0]["message"]
    assert "Current usage/limit: 0/6. Additional needed: 8" in error["details"][0]["message"]
    assert endpoints.call("GET", f"{path}/deployments/blue").status_code == 404


def test_a_deployment_with_traffic_is_not_deleted(endpoints: Endpoints) -> None:
    path = endpoints.endpoint()
    endpoints.deploy(path, model=endpoints.mlflow(1.0))
    endpoints.endpoint(traffic={"blue": 100})

    refused = endpoints.call("DELETE", f"{path}/deployments/blue")
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "UserError")
    endpoints.endpoint(traffic={"blue": 0})
    gone = endpoints.call("DELETE", f"{path}/deployments/blue")
    assert gone.status_code == 202
    assert endpoints.followed(gone)["status"] == "Succeeded"
    assert endpoints.call("GET", f"{path}/deployments/blue").status_code == 404
    assert endpoints.call("DELETE", f"{path}/deployments/blue").status_code == 204


def test_one_operation_at_a_time_on_a_deployment(endpoints: Endpoints) -> None:
    path = endpoints.endpoint()
    endpoints.cloud.operations.stuck = True
    body = deployment(model=endpoints.mlflow(1.0))
    assert endpoints.call("PUT", f"{path}/deployments/blue", json=body).status_code == 201

    assert endpoints.call("PUT", f"{path}/deployments/blue", json=body).status_code == 409
    assert endpoints.call("DELETE", f"{path}/deployments/blue").status_code == 409
    endpoints.cloud.operations.stuck = False


@pytest.mark.parametrize(
    ("properties", "told"),
    [
        ({"traffic": {"blue": 60}}, "sums to 60"),
        ({"traffic": {"red": 100}}, "red, which does not exist"),
        ({"traffic": {"blue": 150, "green": -50}}, "no percentage"),
        ({"traffic": {"blue": 100}, "mirrorTraffic": {"blue": 10}}, "no live traffic"),
        ({"traffic": {"blue": 100}, "mirrorTraffic": {"green": 60}}, "at most 50 %"),
        ({"mirrorTraffic": {"blue": 10, "green": 10}}, "Only one deployment"),
        ({"authMode": "Password"}, "'Password'"),
        ({"authMode": "AADToken"}, "cannot be changed"),
    ],
)
def test_traffic_that_makes_no_sense_is_refused(endpoints: Endpoints, properties: dict[str, Any], told: str) -> None:
    path = endpoints.endpoint()
    endpoints.cloud.operations.stuck = True  # that they exist is enough
    for name in ("blue", "green"):
        endpoints.call("PUT", f"{path}/deployments/{name}", json=deployment(model=endpoints.mlflow(1.0, fails=name)))
    endpoints.cloud.operations.stuck = False

    reply = endpoints.call("PUT", path, json={"location": "x", "properties": {"authMode": "Key", **properties}})

    assert (reply.status_code, reply.json()["error"]["code"]) == (400, "UserError")
    assert told in reply.json()["error"]["message"]


@pytest.mark.parametrize(
    ("properties", "status", "told"),
    [
        ({"endpointComputeType": "Kubernetes"}, 501, "Kubernetes"),
        ({"dataCollector": {"collections": {}}}, 501, "data collector"),
        ({"model": "azureml://registries/azureml/models/x/versions/1"}, 400, "azureml://registries"),
        ({"instanceType": None}, 400, "instanceType"),
        ({"scaleSettings": {"scaleType": "TargetUtilization"}}, 400, "scale settings"),
        ({}, 400, "mlflow_model"),
    ],
)
def test_deployments_that_are_not_emulated_or_incomplete_are_refused(
    endpoints: Endpoints, properties: dict[str, Any], status: int, told: str
) -> None:
    path = endpoints.endpoint()

    reply = endpoints.call("PUT", f"{path}/deployments/blue", json=deployment(**properties))

    assert reply.status_code == status
    assert told in reply.json()["error"]["message"]


def test_what_there_is_not_is_an_error_of_the_user(endpoints: Endpoints) -> None:
    path = endpoints.endpoint()

    for wanted, code in (
        ("/onlineEndpoints/none", "OnlineEndpointNotFound"),
        ("/onlineEndpoints/none/deployments", "OnlineEndpointNotFound"),
        (f"{path}/deployments/none", "OnlineDeploymentNotFound"),
    ):
        reply = endpoints.call("GET", wanted)
        assert (reply.status_code, reply.json()["error"]["details"][0]["code"]) == (404, code)


def test_names_are_taken_once_in_a_region(endpoints: Endpoints) -> None:
    path = endpoints.endpoint()
    other = endpoints.cloud.ensure_workspace("another-with-endpoints", group="experiments")
    body = {"location": "westeurope", "properties": {"authMode": "Key"}}

    token = endpoints.cloud.tokens.issue(
        endpoints.cloud.tokens.directory.by_name("owner"), "https://management.azure.com"
    )
    reply = httpx.put(
        f"{endpoints.emulator.url}{other}{path}?api-version=2022-02-01-preview",
        json=body,
        headers={"authorization": f"Bearer {token}"},
        trust_env=False,
        verify=False,
    )
    assert reply.status_code == 409


@pytest.mark.parametrize(("who", "allowed"), [("scientist", True), ("reader", False), ("nobody", False)])
def test_endpoints_are_for_those_whose_role_allows_it(endpoints: Endpoints, who: str, allowed: bool) -> None:
    path = endpoints.endpoint()
    body = {"location": "westeurope", "properties": {"authMode": "Key"}}

    assert (endpoints.call("PUT", path, who=who, json=body).status_code == 200) == allowed
    assert (endpoints.call("POST", f"{path}/listKeys", who=who).status_code == 200) == allowed


def test_an_endpoint_that_is_deleted_while_a_deployment_starts_leaves_no_machine(endpoints: Endpoints) -> None:
    path = endpoints.endpoint()
    code = {"codeId": endpoints.code("import time\ndef init(): time.sleep(0.5)\ndef run(data): ...\n")}
    body = deployment(codeConfiguration={**code, "scoringScript": "score.py"}, environmentId=endpoints.environment())
    assert endpoints.call("PUT", f"{path}/deployments/blue", json=body).status_code == 201

    endpoints.followed(endpoints.call("DELETE", path))

    endpoints.cloud.fleet.settle()
    blue = f"{endpoints.workspace}{path}/deployments/blue".lower()
    assert endpoints.cloud.fleet.server(blue) is None
    assert blue not in endpoints.cloud.fleet.deployments()
