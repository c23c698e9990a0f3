"""What the SDK is told of a refusal, over either transport."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from google.api_core import exceptions
from google.cloud import aiplatform_v1 as v1
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from cloudmlops.emulators.core.emulator import Emulator
from cloudmlops.emulators.core.faults import Fault, Refused

from .conftest import Connect


@pytest.fixture(params=["grpc", "rest"])
def transport(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def faults(vertex_emulator: Emulator) -> Iterator[Any]:
    yield vertex_emulator.faults
    vertex_emulator.faults.clear()


def details(error: exceptions.GoogleAPICallError) -> list[dict[str, Any]]:
    """Return the details in the form that JSON has for them."""
    return [
        {"@type": f"type.googleapis.com/{detail.DESCRIPTOR.full_name}", **MessageToDict(detail)}
        if isinstance(detail, Message)
        else detail
        for detail in error.details
    ]


def test_reason_and_time_to_wait_of_a_refusal_are_its_details(
    connect: Connect, faults: Any, transport: str, parent: str
) -> None:
    refused = Refused("RESOURCE_EXHAUSTED", "too fast", reason="RATE_LIMIT_EXCEEDED", retry_after_seconds=2.5)
    faults.set(Fault(matching="aiplatform/ModelService.GetModel", refused=refused))

    with pytest.raises(exceptions.ResourceExhausted if transport == "grpc" else exceptions.TooManyRequests) as caught:
        connect(v1.ModelServiceClient, transport).get_model(name=f"{parent}/models/m", retry=None)

    assert (caught.value.reason, caught.value.domain) == ("RATE_LIMIT_EXCEEDED", "aiplatform.googleapis.com")
    told = {detail["@type"].rpartition(".")[2]: detail for detail in details(caught.value)}
    assert told.keys() == {"ErrorInfo", "RetryInfo"}
    assert float(told["RetryInfo"]["retryDelay"].removesuffix("s")) == 2.5


def test_a_refusal_of_a_stream_has_its_details_too(connect: Connect, faults: Any, parent: str) -> None:
    refused = Refused("UNAVAILABLE", "away", reason="BACKEND_DOWN", retry_after_seconds=1)
    faults.set(Fault(matching="aiplatform/PredictionService.StreamRawPredict", refused=refused))

    with pytest.raises(exceptions.ServiceUnavailable) as caught:
        list(connect(v1.PredictionServiceClient).stream_raw_predict(endpoint=f"{parent}/endpoints/1", retry=None))

    assert caught.value.reason == "BACKEND_DOWN"
    assert {detail["@type"].rpartition(".")[2] for detail in details(caught.value)} == {"ErrorInfo", "RetryInfo"}


def test_a_plain_refusal_has_no_details(connect: Connect, transport: str, parent: str) -> None:
    with pytest.raises(exceptions.NotFound) as caught:
        connect(v1.ModelServiceClient, transport).get_model(name=f"{parent}/models/none")
    assert caught.value.details == []


def test_the_time_to_wait_is_in_the_header_over_rest(vertex_emulator: Emulator, faults: Any, parent: str) -> None:
    refused = Refused("UNAVAILABLE", "away", retry_after_seconds=3)
    faults.set(Fault(matching="aiplatform/ModelService.ListModels", refused=refused))

    answer = httpx.get(f"{vertex_emulator.url}/v1/{parent}/models", verify=False)

    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "3"


@pytest.mark.parametrize("query", ["filter.x=1", "pageSize=many", "colour=red"])
def test_a_query_that_no_field_has_is_a_bad_request(vertex_emulator: Emulator, parent: str, query: str) -> None:
    answer = httpx.get(f"{vertex_emulator.url}/v1/{parent}/models?{query}", verify=False)
    assert answer.status_code == 400
    assert answer.json()["error"]["status"] == "INVALID_ARGUMENT"
