"""Event Grid's two schemas and the workspace's own kinds of event, read as strangers write them."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from azure.eventgrid import SystemEventNames
from hypothesis import given
from hypothesis import strategies as st

from cloudmlops.domain.events import Envelope
from cloudmlops.errors import InvalidRequestError
from cloudmlops.providers.azureml.mapping import events as mapping
from cloudmlops.providers.azureml.mapping.events import Deployed, Drifted, Ended, Registered, pushed, told

WORKSPACE = (
    "/subscriptions/00000000-0000-0000-0000-00000000e001/resourceGroups/g"
    "/providers/Microsoft.MachineLearningServices/workspaces/w"
)
WHEN = "2026-01-31T12:00:00.1234567Z"
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


def grid_event(kind: str = "ModelRegistered", **more: Any) -> dict[str, Any]:
    return {
        "topic": WORKSPACE,
        "subject": "models/churn:3",
        "eventType": f"Microsoft.MachineLearningServices.{kind}",
        "eventTime": WHEN,
        "id": "7",
        "data": {"ModelName": "churn", "ModelVersion": 3},
        "dataVersion": "",
        "metadataVersion": "1",
        **more,
    }


def cloud_event(**more: Any) -> dict[str, Any]:
    given = grid_event()
    return {
        "specversion": "1.0",
        "source": given["topic"],
        "subject": given["subject"],
        "type": given["eventType"],
        "time": WHEN,
        "id": given["id"],
        "data": given["data"],
        **more,
    }


def event(kind: str, data: dict[str, Any], source: str = WORKSPACE) -> Envelope:
    return Envelope(id="7", source=source, type=f"Microsoft.MachineLearningServices.{kind}", time=NOON, data=data)


@pytest.mark.parametrize("written", [[grid_event()], grid_event(), [cloud_event()], cloud_event()])
def test_both_schemas_alone_or_in_an_array_are_one_event(written: Any) -> None:
    found = pushed(json.dumps(written).encode())

    assert isinstance(found, list)
    (read,) = found
    assert (read.id, read.source, read.subject) == ("7", WORKSPACE, "models/churn:3")
    assert read.type == SystemEventNames.MachineLearningServicesModelRegisteredEventName
    assert read.time == datetime(2026, 1, 31, 12, 0, 0, 123456, tzinfo=UTC)
    assert (read.data, read.extensions) == ({"ModelName": "churn", "ModelVersion": 3}, {})


def test_an_array_may_hold_several_events_of_both_schemas() -> None:
    found = pushed(
        json.dumps([grid_event(), cloud_event(id="8", traceparent="00-1"), grid_event(id="9", data=None)]).encode()
    )

    assert isinstance(found, list)
    assert [one.id for one in found] == ["7", "8", "9"]
    assert found[1].extensions == {"traceparent": "00-1"}
    assert found[2].data == {}


def test_names_of_event_grids_attributes_are_read_in_any_case() -> None:
    found = pushed(json.dumps([{name.upper(): value for name, value in grid_event().items()}]).encode())

    assert isinstance(found, list)
    assert found[0].id == "7"


def test_all_faults_of_an_array_are_told_and_none_of_it_is_read() -> None:
    listed = [
        grid_event(),
        grid_event(id=""),
        grid_event(eventTime="yesterday"),
        cloud_event(time="2026-01-31T12:00:00"),
        "text",
        grid_event(eventType="Microsoft.EventGrid.SubscriptionValidationEvent", data={"validationCode": "512d"}),
    ]

    with pytest.raises(InvalidRequestError) as caught:
        pushed(json.dumps(listed).encode())
    assert [fault.partition(":")[0] for fault in caught.value.faults] == [f"event {place}" for place in range(1, 6)]


def test_events_that_come_with_a_validation_event_are_not_forgotten_over_it() -> None:
    asked = grid_event(eventType="Microsoft.EventGrid.SubscriptionValidationEvent", data={"validationCode": "512d"})

    with pytest.raises(InvalidRequestError, match="none of it was stored"):
        pushed(json.dumps([asked, grid_event()]).encode())


@pytest.mark.parametrize(
    "body", [b"", b"nothing", b"7", b'"text"', b'{"message": {}}', b"[[]]", b'["\\ud800"]', b"[" * 10_000]
)
def test_what_is_no_event_of_event_grids_is_left_to_others(body: bytes) -> None:
    assert pushed(body) is None


def test_an_empty_array_holds_nothing() -> None:
    assert pushed(b"[]") == ()


def test_a_validation_event_gives_its_code() -> None:
    asked = grid_event(eventType="Microsoft.EventGrid.SubscriptionValidationEvent", data={"validationCode": "512d"})

    assert pushed(json.dumps([asked]).encode()) == mapping.Validation(code="512d")
    with pytest.raises(InvalidRequestError, match="no validationCode"):
        pushed(json.dumps([{**asked, "data": {}}]).encode())


CASES = [
    ("ModelRegistered", {"ModelName": "churn", "ModelVersion": 3}, Registered(model="churn", number="3")),
    ("ModelRegistered", {"modelName": "churn", "modelVersion": "2026-03"}, Registered(model="churn", number="2026-03")),
    (
        "ModelRegistered",
        {"MODELNAME": "churn", "modelversion": 3, "ModelProperties": {"a": 1, "b": None}, "ModelTags": {}},
        Registered(model="churn", number="3", properties={"a": "1"}),
    ),
    ("ModelRegistered", {"ModelName": "churn"}, None),
    ("ModelRegistered", {"ModelName": True, "ModelVersion": 1}, None),
    (
        "ModelDeployed",
        {"ServiceName": "live", "ModelIds": "a:1, b:2,x", "ServiceComputeType": "ACI"},
        Deployed(endpoint="live", models=[("a", "1"), ("b", "2")]),
    ),
    ("ModelDeployed", {"serviceName": "live", "modelIds": "a:1"}, Deployed(endpoint="live", models=[("a", "1")])),
    ("ModelDeployed", {"ServiceName": "live", "ModelIds": ""}, None),
    (
        "RunCompleted",
        {"experimentName": "e", "runId": "r", "runType": None, "runTags": {"k": "v"}, "runProperties": {"p": 1}},
        Ended(run="r", experiment="e", failed=False, tags={"k": "v"}, properties={"p": "1"}),
    ),
    ("RunCompleted", {"RunId": "r", "RunType": "azureml.StepRun"}, None),
    ("RunCompleted", {"runId": "r", "runProperties": {"azureml.pipelinerunid": "whole"}}, None),
    ("RunCompleted", {}, None),
    ("RunStatusChanged", {"runId": "r", "runStatus": "Failed"}, Ended(run="r", experiment="", failed=True)),
    ("RunStatusChanged", {"runId": "r", "runStatus": "canceled"}, None),
    (
        "DatasetDriftDetected",
        {"DataDriftId": "d", "DataDriftName": "monitor", "DriftCoefficient": 0.83},
        Drifted(monitor="monitor", coefficient=0.83),
    ),
    ("datasetdriftdetected", {"dataDriftId": "d", "driftCoefficient": 1}, Drifted(monitor="d", coefficient=1.0)),
    ("DatasetDriftDetected", {"DataDriftName": "monitor", "DriftCoefficient": "much"}, None),
    ("SomethingNew", {"ModelName": "churn", "ModelVersion": 3}, None),
]


@pytest.mark.parametrize(("kind", "data", "expected"), CASES)
def test_what_a_workspace_tells_is_read_in_any_case(kind: str, data: dict[str, Any], expected: object) -> None:
    assert told(event(kind, data), WORKSPACE) == expected


def test_all_kinds_that_the_sdk_knows_of_are_read() -> None:
    known = {
        str(name.value).rpartition(".")[2].lower()
        for name in SystemEventNames
        if str(name.value).startswith("Microsoft.MachineLearningServices.")
    }
    assert known == {kind.lower() for kind, _, expected in CASES if expected is not None}


def test_a_workspace_is_the_same_in_any_case_and_others_are_others() -> None:
    data = {"ModelName": "churn", "ModelVersion": 3}

    assert told(event("ModelRegistered", data, WORKSPACE.lower()), WORKSPACE) is not None
    for other in (f"{WORKSPACE}2", "", "/x"):
        assert told(event("ModelRegistered", data, other), WORKSPACE) is None
    elsewhere = Envelope(id="7", source=WORKSPACE, type="Microsoft.Storage.BlobCreated", time=NOON, data=data)
    assert told(elsewhere, WORKSPACE) is None


_anything: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(
    kind=st.sampled_from([kind for kind, _, _ in CASES]),
    data=st.dictionaries(
        st.sampled_from(sorted({name for _, data, _ in CASES for name in data})) | st.text(max_size=4), _anything
    ),
)
def test_no_payload_of_a_stranger_is_an_error(kind: str, data: dict[str, Any]) -> None:
    told(event(kind, data), WORKSPACE)


@given(st.lists(st.dictionaries(st.sampled_from([*grid_event(), *cloud_event()]), _anything), max_size=3))
def test_no_push_of_a_stranger_is_anything_but_read_or_refused(listed: list[dict[str, Any]]) -> None:
    with suppress(InvalidRequestError):
        pushed(json.dumps(listed).encode())
