"""What the front door answers to those who score."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from cloudmlops.emulators.azure.scoring.images import ServingImage
from cloudmlops.emulators.core.faults import Fault, Refused

if TYPE_CHECKING:
    from tests.emulators.azure.endpoints.conftest import Endpoints

ENTRA = "https://ml.azure.com"
ROWS = [[2.0, 0.0], [3.0, 0.0]]
AT = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.fixture
def live(endpoints: Endpoints) -> str:
    """An endpoint whose deployment `blue` multiplies by two."""
    path = endpoints.endpoint()
    assert endpoints.deploy(path, model=endpoints.mlflow(2.0))["status"] == "Succeeded"
    endpoints.endpoint(traffic={"blue": 100})
    return path


@pytest.mark.conformance(ci=True)
def test_an_mlflow_model_scores_without_code(endpoints: Endpoints, live: str) -> None:
    reply = endpoints.score(live, {"input_data": ROWS})

    assert (reply.status_code, reply.json()) == (200, [4.0, 6.0])
    assert reply.headers["azureml-model-deployment"] == "blue"
    assert reply.headers["server"] == "azureml-frontdoor"
    assert reply.headers["x-request-id"]


@pytest.mark.conformance(ci=True)
def test_a_script_scores_with_its_model_and_what_it_prints_is_in_the_log(endpoints: Endpoints) -> None:
    path = endpoints.endpoint()
    made = endpoints.script(path, model=endpoints.factor(3.0), environmentVariables={"A": "b"})
    endpoints.endpoint(traffic={"blue": 100})

    reply = endpoints.score(path, {"data": [1, 2]})

    assert made["status"] == "Succeeded"
    assert (reply.status_code, reply.json()) == (200, [3.0, 6.0])
    assert reply.headers["x-ms-run-function-failed"] == "False"
    assert float(reply.headers["x-ms-run-fn-exec-ms"]) >= 0
    assert "the factor is 3.0" in endpoints.logs(path)
    assert "scoring [1, 2]" in endpoints.logs(path)
    assert endpoints.logs(path, tail=1).count("\n") == 1
    assert "Downloaded 1 files of the model factor/" in endpoints.logs(path, containerType="StorageInitializer")


@pytest.mark.conformance(ci=True)
def test_a_model_of_a_registry_scores(endpoints: Endpoints) -> None:
    registry = endpoints.cloud.ensure_registry(f"{endpoints.prefix}-shared", group="ml").rpartition("/")[2]
    source = endpoints.mlflow(4.0)
    workspace = endpoints.cloud.resources.get(endpoints.workspace)
    assert workspace is not None
    guid = workspace["properties"]["workspaceId"]
    name, version = source.split("/")[-3], source.rpartition("/")[2]
    given = {
        "referenceType": "Id",
        "sourceAssetId": f"azureml://locations/westeurope/workspaces/{guid}/models/{name}/versions/{version}",
    }
    front = f"/mferp/managementfrontend{endpoints.cloud.ensure_registry(registry, group='ml')}"
    endpoints.post(f"{front}/import", {"properties": given})
    path = endpoints.endpoint()

    made = endpoints.deploy(path, model=f"azureml://registries/{registry}/models/{name}/versions/{version}")

    assert made["status"] == "Succeeded"
    endpoints.endpoint(traffic={"blue": 100})
    assert endpoints.score(path, {"input_data": ROWS}).json() == [8.0, 12.0]


@pytest.mark.conformance(ci=True)
def test_our_serving_image_scores_as_a_cloud_starts_it(endpoints: Endpoints) -> None:
    path = endpoints.endpoint()
    route = {"port": 8080, "path": "/predict"}
    routes = {"scoringRoute": route, "livenessRoute": {"port": 8080, "path": "/healthz"}}
    environment = endpoints.environment("any.azurecr.io/cloudmlops/serving:1", inferenceConfig=routes)
    endpoints.deploy(path, model=endpoints.mlflow(5.0), environmentId=environment)
    endpoints.endpoint(traffic={"blue": 100})

    assert endpoints.score(path, {"instances": ROWS}).json() == {"predictions": [10.0, 15.0]}
    assert endpoints.score(path, ROWS, path="/invocations?any=1").status_code == 424


@pytest.mark.conformance(ci=True)
def test_images_can_be_added_to_those_that_stand_for_a_command(endpoints: Endpoints) -> None:
    path = endpoints.endpoint()
    environment = endpoints.environment("contoso.azurecr.io/ours:3")
    given = {"environmentId": environment, "instanceType": "Standard_F4s_v2", "endpointComputeType": "Managed"}

    refused = endpoints.call("PUT", f"{path}/deployments/blue", json={"properties": given})
    assert refused.status_code == 501
    assert "contoso.azurecr.io/ours:3" in refused.json()["error"]["message"]

    script = endpoints.folder / "score.py"
    script.write_text("def run(raw_data):\n    return raw_data\n")
    command = (sys.executable, "-m", "cloudmlops.emulators.azure.scoring.runner", str(script), "--port", "{port}")
    endpoints.cloud.fleet.images.let("contoso.azurecr.io/*", ServingImage(command=command))
    assert endpoints.deploy(path, environmentId=environment)["status"] == "Succeeded"
    assert endpoints.score(path, {"a": 1}, **{"azureml-model-deployment": "blue"}).json() == '{"a":1}'


@pytest.mark.conformance(ci=True)
def test_traffic_is_shared_by_weight_and_repeats_with_its_seed(endpoints: Endpoints, live: str) -> None:
    endpoints.deploy(live, "green", model=endpoints.mlflow(7.0))
    endpoints.endpoint(traffic={"blue": 90, "green": 10})

    def answered() -> list[str]:
        endpoints.cloud.fleet.chance.seed(4)
        return [endpoints.score(live, {"data": ROWS}).headers["azureml-model-deployment"] for _ in range(60)]

    first = answered()
    assert 0 < Counter(first)["green"] < 15
    assert answered() == first


@pytest.mark.conformance(ci=True)
def test_a_header_pins_a_deployment_that_has_no_traffic(endpoints: Endpoints, live: str) -> None:
    endpoints.deploy(live, "green", model=endpoints.mlflow(7.0))

    pinned = endpoints.score(live, {"data": ROWS}, **{"azureml-model-deployment": "green"})

    assert (pinned.json(), pinned.headers["azureml-model-deployment"]) == ([14.0, 21.0], "green")
    unknown = endpoints.score(live, {"data": ROWS}, **{"azureml-model-deployment": "red"})
    assert unknown.status_code == 404


@pytest.mark.conformance(ci=True)
def test_mirrored_requests_are_copies_whose_answers_nobody_gets(endpoints: Endpoints, live: str) -> None:
    endpoints.script(live, "shadow", model=endpoints.factor(1.0))
    endpoints.endpoint(traffic={"blue": 100}, mirrorTraffic={"shadow": 50})

    for number in range(20):
        assert endpoints.score(live, {"data": [[float(number), 0.0]]}).json() == [2.0 * number]
    endpoints.cloud.fleet.settle()

    copies = endpoints.logs(live, "shadow").count("scoring [[")
    assert 3 <= copies <= 17


def test_an_endpoint_without_traffic_is_not_found(endpoints: Endpoints) -> None:
    path = endpoints.endpoint()

    assert endpoints.score(path, {}).status_code == 404
    assert endpoints.score("/none", {}, token="any").status_code == 404


@pytest.mark.conformance(ci=True)
def test_what_the_model_does_not_answer_with_200_is_a_failed_dependency(endpoints: Endpoints, live: str) -> None:
    reply = endpoints.score(live, {"data": [["no number", 0]]})

    assert reply.status_code == 424
    assert reply.headers["ms-azureml-model-error-reason"] == "model_error"
    assert reply.headers["ms-azureml-model-error-statuscode"] == "400"
    assert "no number" in reply.text


@pytest.mark.conformance(ci=True)
def test_an_error_in_the_script_is_told_by_the_log(endpoints: Endpoints) -> None:
    path = endpoints.endpoint()
    endpoints.script(path, script="def run(raw_data):\n    raise ValueError('of the model')\n")
    endpoints.endpoint(traffic={"blue": 100})

    reply = endpoints.score(path, {})

    assert reply.status_code == 424
    assert reply.headers["ms-azureml-model-error-statuscode"] == "500"
    assert "An unexpected error occurred in scoring script" in reply.json()["message"]
    assert "ValueError: of the model" in endpoints.logs(path)


@pytest.mark.conformance(ci=True)
def test_a_model_that_takes_longer_than_the_request_timeout_is_cut_off(endpoints: Endpoints) -> None:
    path = endpoints.endpoint()
    settings = {"requestTimeout": "PT0.2S"}
    endpoints.deploy(path, model=endpoints.mlflow(2.0), requestSettings=settings)
    endpoints.endpoint(traffic={"blue": 100})

    assert endpoints.score(path, {"data": [[1.0, 1.0]]}).status_code == 408
    while endpoints.score(path, {"data": [[1.0, 0.0]]}).status_code == 408:
        pass  # the model still works on the first
    assert endpoints.score(path, {"data": [[1.0, 0.0]]}).json() == [2.0]


@pytest.mark.conformance(ci=True)
def test_a_container_that_dies_is_not_there_and_then_is_again(endpoints: Endpoints, live: str) -> None:
    assert endpoints.score(live, {"data": [[1.0, -1.0]]}).status_code == 503
    endpoints.cloud.fleet.settle()
    assert endpoints.score(live, {"data": ROWS}).status_code == 200


@pytest.mark.conformance(ci=True)
def test_too_many_requests_at_once_are_turned_away(endpoints: Endpoints, live: str) -> None:
    server = endpoints.cloud.fleet.server(f"{endpoints.workspace}{live}/deployments/blue")
    assert server is not None
    with server.asked(most=10), server.asked(most=10):
        assert endpoints.score(live, {"data": ROWS}).status_code == 429
    assert endpoints.score(live, {"data": ROWS}).status_code == 200


@pytest.mark.conformance(ci=True)
@pytest.mark.parametrize(
    ("mode", "token"),
    [
        ("Key", lambda endpoints, path: endpoints.key(path)),
        ("Key", lambda endpoints, path: endpoints.call("POST", f"{path}/listKeys").json()["secondaryKey"]),
        ("AMLToken", lambda endpoints, path: endpoints.call("POST", f"{path}/token").json()["accessToken"]),
        ("AADToken", lambda endpoints, path: entra(endpoints, "scientist")),
    ],
    ids=["the first key", "the second key", "a token of the endpoint", "a token of Entra"],
)
def test_each_mode_has_its_own_credential(
    endpoints: Endpoints, mode: str, token: Callable[[Endpoints, str], str]
) -> None:
    path = endpoints.endpoint(mode=mode)

    # There is no deployment: who is let in is told that.
    assert endpoints.score(path, {}, token=token(endpoints, path)).status_code == 404
    for wrong in ("", "wrong", entra(endpoints, "owner") if mode != "AADToken" else management(endpoints)):
        reply = endpoints.score(path, {}, token=wrong)
        assert reply.status_code == 401
        assert "www-authenticate" in reply.headers


def entra(endpoints: Endpoints, who: str) -> str:
    return endpoints.cloud.tokens.issue(endpoints.cloud.tokens.directory.by_name(who), ENTRA)


def management(endpoints: Endpoints) -> str:
    return endpoints.cloud.tokens.issue(
        endpoints.cloud.tokens.directory.by_name("owner"), "https://management.azure.com"
    )


def test_entra_lets_only_those_score_whose_role_allows_it(endpoints: Endpoints) -> None:
    path = endpoints.endpoint(mode="AADToken")

    reply = endpoints.score(path, {}, token=entra(endpoints, "reader"))

    assert reply.status_code == 403
    assert "Microsoft.MachineLearningServices/workspaces/onlineEndpoints/score/action" in reply.text


def test_a_token_expires_on_the_clock_and_is_for_one_endpoint(endpoints: Endpoints) -> None:
    endpoints.emulator.clock.freeze(AT)
    path, other = (endpoints.endpoint(name, mode="AMLToken") for name in ("one", "other"))
    shown = endpoints.call("POST", f"{path}/token").json()

    assert set(shown) == {"accessToken", "tokenType", "expiryTimeUtc", "refreshAfterTimeUtc"}
    assert shown["expiryTimeUtc"] == AT.timestamp() + 24 * 3600
    assert shown["refreshAfterTimeUtc"] == AT.timestamp() + 12 * 3600
    assert endpoints.score(other, {}, token=shown["accessToken"]).status_code == 401
    endpoints.emulator.clock.advance(timedelta(hours=23, minutes=59))
    assert endpoints.score(path, {}, token=shown["accessToken"]).status_code == 404
    endpoints.emulator.clock.advance(timedelta(minutes=1))
    assert endpoints.score(path, {}, token=shown["accessToken"]).status_code == 401


def test_a_renewed_key_lets_nobody_in_who_has_the_one_before(endpoints: Endpoints) -> None:
    path = endpoints.endpoint()
    before = endpoints.call("POST", f"{path}/listKeys").json()

    renewed = endpoints.call("POST", f"{path}/regenerateKeys", json={"keyType": "Primary"})

    assert endpoints.followed(renewed)["status"] == "Succeeded"
    after = endpoints.call("POST", f"{path}/listKeys").json()
    assert after["primaryKey"] != before["primaryKey"]
    assert after["secondaryKey"] == before["secondaryKey"]
    assert endpoints.score(path, {}, token=before["primaryKey"]).status_code == 401
    assert endpoints.score(path, {}, token=after["primaryKey"]).status_code == 404


@pytest.mark.conformance(ci=True)
def test_requests_are_traced_by_the_clients_id(endpoints: Endpoints, live: str) -> None:
    reply = endpoints.score(
        live, {"data": ROWS}, **{"x-ms-client-request-id": "my/id" + "x" * 60, "x-request-id": "no"}
    )

    assert reply.headers["x-ms-client-request-id"] == ("myid" + "x" * 60)[:40]
    assert reply.headers["x-request-id"] != "no"


@pytest.mark.conformance(ci=True)
def test_scoring_can_be_let_fail(endpoints: Endpoints, live: str) -> None:
    down = Refused("UNAVAILABLE", "no healthy upstream", retry_after_seconds=3)
    endpoints.emulator.faults.set(Fault(matching="scoring/POST", times=1, refused=down))

    failed: Any = endpoints.score(live, {"data": ROWS})
    assert (failed.status_code, failed.headers["retry-after"]) == (503, "3")
    assert endpoints.score(live, {"data": ROWS}).status_code == 200
