"""What comes from Google as pure values: messages, log entries, and what they say."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudmlops.domain.events import Envelope
from cloudmlops.errors import InvalidRequestError
from cloudmlops.providers.vertex.mapping import events as mapping

AT = datetime(2026, 1, 31, 12, tzinfo=UTC)
PARENT = "projects/my-project/locations/europe-west4"
SUBSCRIPTION = "projects/my-project/subscriptions/mine"


def entry(
    method: str = "google.cloud.aiplatform.v1.ModelService.UploadModel",
    response: dict[str, Any] | None = None,
    **payload: Any,
) -> dict[str, Any]:
    made = {"model": f"{PARENT}/models/churn", "modelVersionId": "3"} if response is None else response
    return {
        "protoPayload": {
            "serviceName": "aiplatform.googleapis.com",
            "methodName": method,
            "resourceName": f"{PARENT}/models/churn",
            "response": made,
            **payload,
        },
        "insertId": "abc",
        "resource": {"type": "audited_resource", "labels": {"project_id": "my-project"}},
        "timestamp": "2026-01-31T12:00:00.123456789Z",
        "logName": "projects/my-project/logs/cloudaudit.googleapis.com%2Factivity",
        "operation": {"id": "op", "last": True},
    }


def message(data: object, **attributes: str) -> dict[str, Any]:
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    return {
        "messageId": "7",
        "publishTime": "2026-01-31T12:00:00Z",
        "data": base64.b64encode(raw).decode(),
        "attributes": attributes,
    }


@pytest.mark.parametrize(
    "method",
    [
        "google.cloud.aiplatform.v1.ModelService.UploadModel",
        "google.cloud.aiplatform.v1beta1.ModelService.UploadModel",
        "google.cloud.aiplatform.ui.ModelService.UploadModel",
        "google.cloud.aiplatform.v1.ModelService.CopyModel",
    ],
)
def test_an_upload_names_model_and_version_whoever_asked_for_it(method: str) -> None:
    found = mapping.audited(entry(method))

    assert isinstance(found, mapping.Uploaded)
    assert (found.model, found.number) == ("churn", "3")
    assert found.place.is_in("my-project", "europe-west4")


@pytest.mark.parametrize(
    "response",
    [
        {"model": f"{PARENT}/models/churn", "modelVersionId": 3},
        {"model": f"{PARENT}/models/churn", "model_version_id": "3"},
        {"Model": f"{PARENT}/models/churn@3"},
        {"name": "operations/1", "done": True, "response": {"model": f"{PARENT}/models/churn", "modelVersionId": "3"}},
    ],
    ids=["number", "snake case", "in the name", "the operation"],
)
def test_a_version_is_read_in_whatever_form_it_comes(response: dict[str, Any]) -> None:
    found = mapping.audited(entry(response=response))

    assert isinstance(found, mapping.Uploaded)
    assert found.number == "3"


@pytest.mark.parametrize(
    "told",
    [
        entry("google.cloud.aiplatform.v1.ModelService.UpdateModel"),
        entry("google.cloud.aiplatform.v1.PipelineService.CreatePipelineJob"),
        entry("storage.objects.create"),
        entry(response={"name": f"{PARENT}/operations/1"}),
        entry(response={"model": f"{PARENT}/models/churn"}),
        entry(response={"model": 7, "modelVersionId": True}),
        entry(status={"code": 7, "message": "no"}),
        entry(serviceName="example.com"),
        {"protoPayload": "text"},
        {},
    ],
)
def test_what_has_not_ended_well_or_has_no_kind_is_left_alone(told: dict[str, Any]) -> None:
    assert mapping.audited(told) is None


def test_the_project_may_be_told_by_number_or_by_id() -> None:
    response = {"model": "projects/123/locations/europe-west4/models/churn", "modelVersionId": "1"}
    found = mapping.audited(entry(response=response))

    assert found is not None
    assert found.place.is_in("123", "europe-west4")
    assert found.place.is_in("my-project", "europe-west4")
    assert not found.place.is_in("other", "europe-west4")
    assert not found.place.is_in("my-project", "us-central1")


def test_a_deployment_names_endpoint_model_and_itself() -> None:
    made = {"id": "42", "model": f"{PARENT}/models/churn@3", "displayName": "v3"}
    found = mapping.audited(
        entry(
            "google.cloud.aiplatform.v1beta1.EndpointService.DeployModel",
            {"deployedModel": made},
            request={"endpoint": f"{PARENT}/endpoints/live"},
        )
    )

    assert isinstance(found, mapping.Deployed)
    assert (found.endpoint, found.name, found.deployed_model) == ("live", "v3", "42")
    assert (found.model, found.number) == ("churn", "3")


def test_the_beginning_of_a_deployment_is_none() -> None:
    method = "google.cloud.aiplatform.v1.EndpointService.DeployModel"
    assert mapping.audited(entry(method, {"name": f"{PARENT}/operations/1"})) is None


def test_a_log_entry_in_a_message_is_what_eventarc_makes_of_it() -> None:
    event = mapping.delivered(message(entry()), SUBSCRIPTION)

    assert event.type == mapping.AUDITED
    assert event.source == "//cloudaudit.googleapis.com/projects/my-project/logs/activity"
    assert event.subject == f"aiplatform.googleapis.com/{PARENT}/models/churn"
    assert event.id == "projects/my-project/logs/cloudaudit.googleapis.com%2Factivityabc1769860800123456"
    assert event.extensions["methodname"] == "google.cloud.aiplatform.v1.ModelService.UploadModel"
    assert mapping.audited(event.data) is not None


def test_our_own_event_comes_back_as_it_was_sent() -> None:
    sent = Envelope(
        id="churn/1",
        source="vertex://my-project/europe-west4",
        type="cloudmlops.model.registered",
        time=AT,
        subject="churn/1",
        data={"model": "churn", "version": "1", "run": None},
        extensions={"traceparent": "00-1"},
    )
    published = mapping.message(sent)

    assert mapping.delivered({**message(b""), **published}, SUBSCRIPTION) == sent
    assert published["attributes"]["type"] == "cloudmlops.model.registered"


def test_a_cloud_event_in_attributes_is_read() -> None:
    attributes = {"ce-id": "1", "ce-source": "//example.com", "ce-type": "com.example", "ce-colour": "red"}
    event = mapping.delivered(message([1, 2], **attributes), SUBSCRIPTION)

    assert (event.id, event.source, event.type, event.time) == ("1", "//example.com", "com.example", AT)
    assert event.data == {"value": [1, 2]}
    assert event.extensions == {"colour": "red"}


@pytest.mark.parametrize(
    "sent",
    [
        message(b"\xff"),
        message({"any": "thing"}),
        message(b""),
        message({"id": "1"}, **{"content-type": "application/cloudevents+json"}),
        message({"logName": "projects/p/logs/other", "insertId": "1", "protoPayload": {}}),
        message(b'{"half": "\\ud800"}'),
    ],
)
def test_any_other_message_is_kept_as_it_came(sent: dict[str, Any]) -> None:
    event = mapping.delivered(sent, SUBSCRIPTION)

    assert (event.type, event.id) == (mapping.PUBLISHED, "7")
    assert event.source == f"//pubsub.googleapis.com/{SUBSCRIPTION}"
    assert event.data == {"message": sent, "subscription": SUBSCRIPTION}


def test_old_spellings_in_a_push_are_read() -> None:
    sent = {"message_id": "8", "publish_time": "2026-01-31T12:00:00Z", "data": ""}
    assert mapping.delivered(sent, SUBSCRIPTION).id == "8"


@pytest.mark.parametrize(
    "sent",
    [
        {},
        {"messageId": "1", "publishTime": "yesterday"},
        {"messageId": "1", "publishTime": "2026-01-31T12:00:00"},
        {"messageId": "1", "publishTime": "2026-01-31T12:00:00Z", "data": "%%%"},
        {"messageId": "1", "publishTime": 7},
    ],
)
def test_a_malformed_message_is_refused(sent: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequestError, match="malformed"):
        mapping.delivered(sent, SUBSCRIPTION)


def test_a_push_without_a_wrapper_is_a_log_entry_an_event_or_neither() -> None:
    event = mapping.pushed(json.dumps(entry()).encode())
    assert event is not None
    assert event.type == mapping.AUDITED

    sent = Envelope(id="1", source="vertex://my-project/europe-west4", type="cloudmlops.run.completed", time=AT)
    assert mapping.pushed(base64.b64decode(mapping.message(sent)["data"])) == sent

    assert mapping.pushed(b'{"specversion": "1.0", "id": "1", "source": "s", "type": "t", "time": 7}') is None
    assert mapping.pushed(b"{}") is None
    assert mapping.pushed(b"no JSON") is None
    assert mapping.pushed(b"[" * 100_000) is None


NAMES = st.sampled_from(
    ["protoPayload", "serviceName", "methodName", "response", "model", "modelVersionId", "status", "code", "done",
     "request", "labels", "deployedModel", "id", "endpoint", "logName", "insertId", "timestamp", "resource"]
)  # fmt: skip
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from(
        [
            "",
            "aiplatform.googleapis.com",
            "google.cloud.aiplatform.v1.ModelService.UploadModel",
            "google.cloud.aiplatform.v1.EndpointService.DeployModel",
            f"{PARENT}/models/churn",
            f"{PARENT}/endpoints/live",
            "projects/p/logs/cloudaudit.googleapis.com%2Factivity",
            "2026-01-31T12:00:00Z",
        ]
    ),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=6),
    max_leaves=20,
)


@given(st.dictionaries(NAMES, VALUES))
def test_whatever_an_entry_holds_it_is_read_or_left_alone(told: dict[str, Any]) -> None:
    assert mapping.audited(told) is None or isinstance(mapping.audited(told), mapping.Uploaded | mapping.Deployed)
    assert isinstance(mapping.delivered(message(told), SUBSCRIPTION), Envelope)
