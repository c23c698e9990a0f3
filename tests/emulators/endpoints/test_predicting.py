from __future__ import annotations

import json

import httpx
import pytest
from google.api import httpbody_pb2
from google.api_core import exceptions
from google.cloud import aiplatform_v1 as v1
from google.cloud import aiplatform_v1beta1 as v1beta1

from .conftest import Served


@pytest.fixture
def endpoint(served: Served) -> str:
    name = served.endpoint()
    served.deploy(name, served.model(2.0), id="42", split={"0": 100})
    return name


def post(served: Served, endpoint: str, verb: str, body: object, **headers: str) -> httpx.Response:
    return httpx.post(
        f"{served.emulator.url}/v1/{endpoint}:{verb}", content=json.dumps(body), headers=headers, verify=False
    )


def test_all_ways_of_asking_reach_the_same_container(served: Served, endpoint: str) -> None:
    instances = {"instances": [[1.5, 0], [4, 0]]}

    predicted = served.predictions.predict(endpoint=endpoint, instances=instances["instances"])
    raw = served.predictions.raw_predict(
        endpoint=endpoint,
        http_body=httpbody_pb2.HttpBody(content_type="application/json", data=json.dumps(instances).encode()),
    )
    over_rest = post(served, endpoint, "predict", instances).json()
    raw_over_rest = post(served, endpoint, "rawPredict", instances)
    beta = served.client(v1beta1.PredictionServiceClient).predict(endpoint=endpoint, instances=instances["instances"])

    assert list(predicted.predictions) == list(beta.predictions) == over_rest["predictions"] == [3.0, 8.0]
    assert json.loads(raw.data) == raw_over_rest.json() == {"predictions": [3.0, 8.0]}
    assert predicted.deployed_model_id == over_rest["deployedModelId"] == "42"
    assert raw_over_rest.headers["X-Vertex-AI-Deployed-Model-Id"] == "42"
    assert raw_over_rest.headers["X-Vertex-AI-Model"] == predicted.model
    assert predicted.model_version_id == "1"


def test_what_a_container_refuses_is_passed_on(served: Served, endpoint: str) -> None:
    bad = {"instances": [[1, 0], ["x", 0]]}

    raw = post(served, endpoint, "rawPredict", bad)
    plain = post(served, endpoint, "predict", bad)

    assert raw.status_code == plain.status_code == 400
    assert raw.json()["error"]["faults"][0]["row"] == 1
    assert "row 1" in plain.json()["error"]["message"]
    with pytest.raises(exceptions.InvalidArgument, match="row 1"):
        served.predictions.predict(endpoint=endpoint, instances=bad["instances"])


def test_a_container_that_dies_over_a_request_is_up_for_the_next(served: Served, endpoint: str) -> None:
    with pytest.raises(exceptions.ServiceUnavailable):
        served.predictions.predict(endpoint=endpoint, instances=[[1, -1]])

    assert served.predict(endpoint, 2.0) == 4.0


def test_a_request_that_is_too_large_for_the_shared_name_is_refused(served: Served, endpoint: str) -> None:
    with pytest.raises(exceptions.FailedPrecondition, match=r"exceeds 1\.500MB limit"):
        served.predictions.predict(endpoint=endpoint, instances=["x" * 1_600_000])


def test_explanations_are_refused_with_the_date_of_their_end(served: Served, endpoint: str) -> None:
    with pytest.raises(exceptions.MethodNotImplemented, match="2027-03-16"):
        served.predictions.explain(endpoint=endpoint, instances=[[1, 0]])
    for streaming in (served.predictions.stream_raw_predict, served.predictions.server_streaming_predict):
        with pytest.raises(exceptions.MethodNotImplemented, match="is not emulated"):
            list(streaming(request={"endpoint": endpoint}))


def test_a_dedicated_endpoint_answers_under_its_own_name_only(served: Served) -> None:
    endpoint = served.endpoint(dedicated_endpoint_enabled=True)
    served.deploy(endpoint, served.model(2.0), split={"0": 100})
    name = served.endpoints.get_endpoint(name=endpoint).dedicated_endpoint_dns
    body = {"instances": [[1, 0]]}

    own = post(served, endpoint, "predict", body, host=name)
    shared = post(served, endpoint, "predict", body, host="europe-west4-aiplatform.googleapis.com")
    other = post(served, endpoint, "predict", body, host="1.europe-west4-2.prediction.vertexai.goog")

    assert name.endswith(".prediction.vertexai.goog")
    assert own.json()["predictions"] == [2.0]
    assert shared.status_code == 400
    assert name in shared.json()["error"]["message"]
    assert other.status_code == 404


def test_a_private_endpoint_is_recorded_and_not_reached_from_outside(served: Served) -> None:
    endpoint = served.endpoint(network="projects/123/global/networks/vpc")
    identity = served.deploy(endpoint, served.model(2.0), split={"0": 100})

    shown = served.endpoints.get_endpoint(name=endpoint)

    assert shown.network == "projects/123/global/networks/vpc"
    assert shown.deployed_models[0].private_endpoints.predict_http_uri.endswith(f"/models/{identity}:predict")
    with pytest.raises(exceptions.FailedPrecondition, match="is private"):
        served.predict(endpoint)
    with pytest.raises(exceptions.InvalidArgument):
        served.endpoint(network="projects/1/global/networks/v", dedicated_endpoint_enabled=True)


def test_an_unknown_endpoint_is_not_found(served: Served) -> None:
    with pytest.raises(exceptions.NotFound, match="not found"):
        served.predictions.predict(endpoint=f"{served.parent}/endpoints/1", instances=[[1]])
    assert isinstance(served.predictions, v1.PredictionServiceClient)
