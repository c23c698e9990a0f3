"""Who is refused what: by resource, by project as id and as number, and what is written down of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
from google.api_core import exceptions
from google.cloud import aiplatform_v1
from google.cloud.aiplatform_v1.types import FeatureViewDirectWriteRequest, feature_online_store_service

from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.google.access import Access

LOCATION = "europe-west4"
UPLOAD = "aiplatform.models.upload"


@pytest.fixture
def channel(google: Any) -> Iterator[grpc.Channel]:
    channel = grpc.insecure_channel(google.emulator.address, [("grpc.enable_http_proxy", 0)])
    yield channel
    channel.close()


@pytest.fixture
def models(channel: grpc.Channel) -> Any:
    kind = aiplatform_v1.ModelServiceClient.get_transport_class("grpc")
    return aiplatform_v1.ModelServiceClient(transport=kind(channel=channel))


def number(google: Any) -> str:
    found = google.ask("GET", f"https://cloudresourcemanager.googleapis.com/v1/projects/{google.project}").json()
    return str(found["projectNumber"])


PATTERNS: dict[str, Callable[[str, str], str]] = {
    "the id and a location": lambda identity, _: f"projects/{identity}/locations/{LOCATION}",
    "the number and a location": lambda _, number: f"projects/{number}/locations/{LOCATION}",
    "the id": lambda identity, _: f"projects/{identity}",
    "a pattern": lambda identity, _: f"projects/{identity}/*",
}


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("written", ["id", "number"])
def test_a_permission_is_denied_on_a_project_by_its_id_and_by_its_number_however_a_call_names_it(
    google: Any, models: Any, pattern: str, written: str
) -> None:
    google.cloud.access.deny(UPLOAD, resource=PATTERNS[pattern](google.project, number(google)))
    project = google.project if written == "id" else number(google)

    with pytest.raises(exceptions.PermissionDenied) as caught:
        models.upload_model(parent=f"projects/{project}/locations/{LOCATION}", model={"display_name": "m"})

    whole = f"//aiplatform.googleapis.com/projects/{google.project}/locations/{LOCATION}"
    assert caught.value.message == f"Permission '{UPLOAD}' denied on resource '{whole}' (or it may not exist)."


@pytest.mark.parametrize(
    "resource", ["projects/another", f"projects/another/locations/{LOCATION}", "projects/ID/locations/us-central1"]
)
def test_what_is_denied_elsewhere_is_granted_here(google: Any, models: Any, resource: str) -> None:
    google.cloud.access.deny("aiplatform.models.*", resource=resource.replace("ID", google.project))

    assert list(models.list_models(parent=f"projects/{google.project}/locations/{LOCATION}")) == []


def test_a_bucket_lies_in_no_project_by_its_name(google: Any) -> None:
    access: Access = google.cloud.access
    access.deny("storage.objects.get", resource=f"projects/{google.project}")
    access.deny("storage.objects.list", resource="projects/_/buckets/one")
    access.deny("storage.objects.create", resource="projects/_/buckets/one/objects/folder/a")

    def granted(permission: str, name: str) -> bool:
        return access.granted("ada@example.com", f"storage.objects.{permission}", f"projects/_/buckets/{name}")

    assert granted("get", "one")
    assert not granted("list", "one/objects/a")
    assert granted("list", "one-more")
    assert not granted("create", "one/objects/folder/a")
    assert granted("create", "one/objects/folder/a/b"), "an object is no folder"


def test_a_service_agent_lacks_only_what_is_denied_to_it_by_name(google: Any) -> None:
    access: Access = google.cloud.access
    agent = "service-123@gcp-sa-aiplatform.iam.gserviceaccount.com"
    access.deny("bigquery.*")
    assert not access.granted("ada@example.com", "bigquery.jobs.create", "projects/p")
    assert access.granted(agent, "bigquery.jobs.create", "projects/p")

    access.deny("bigquery.*", principal="*@gcp-sa-aiplatform.*")
    assert not access.granted(agent, "bigquery.jobs.create", "projects/p")


def test_a_direct_write_needs_its_permission_like_any_other_call(google: Any, channel: grpc.Channel) -> None:
    view = f"projects/{google.project}/locations/{LOCATION}/featureOnlineStores/s/featureViews/v"
    write = channel.stream_stream(
        "/google.cloud.aiplatform.v1.FeatureOnlineStoreService/FeatureViewDirectWrite",
        request_serializer=FeatureViewDirectWriteRequest.serialize,
        response_deserializer=feature_online_store_service.FeatureViewDirectWriteResponse.deserialize,
    )
    row = {"data_key": {"key": "JFK"}, "features": [{"name": "wind", "value": {"double_value": 1.0}}]}
    request = FeatureViewDirectWriteRequest(feature_view=view, data_key_and_feature_values=[row])
    google.cloud.access.deny("aiplatform.featureViews.directWrite", resource=view)

    with pytest.raises(grpc.RpcError) as caught:
        list(write(iter([request]), timeout=20))

    assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED
    assert "aiplatform.featureViews.directWrite" in caught.value.details()


def test_what_was_refused_and_what_failed_is_written_down(google: Any, models: Any) -> None:
    google.cloud.access.deny(UPLOAD)
    parent = f"projects/{google.project}/locations/{LOCATION}"
    sent = [("authorization", f"Bearer {google.token('ada@example.com')}")]
    with pytest.raises(exceptions.PermissionDenied):
        models.upload_model(parent=parent, model={"display_name": "m"}, metadata=sent)
    with pytest.raises(exceptions.NotFound):
        models.delete_model(name=f"{parent}/models/none", metadata=sent)
    with pytest.raises(exceptions.NotFound):
        models.get_model(name=f"{parent}/models/none", metadata=sent)

    refused, failed = google.cloud.logs.list([f"projects/{google.project}"])

    payload = refused["protoPayload"]
    assert payload["methodName"] == "google.cloud.aiplatform.v1.ModelService.UploadModel"
    assert payload["authenticationInfo"] == {"principalEmail": "ada@example.com"}
    assert payload["authorizationInfo"] == [{"resource": parent, "permission": UPLOAD, "granted": False}]
    assert payload["status"]["code"] == 7
    assert UPLOAD in payload["status"]["message"]
    assert "response" not in payload
    assert refused["severity"] == "ERROR"
    assert failed["protoPayload"]["methodName"] == "google.cloud.aiplatform.v1.ModelService.DeleteModel"
    assert failed["protoPayload"]["status"]["code"] == 5
    assert failed["protoPayload"]["authorizationInfo"][0]["granted"] is True


def test_the_locations_are_those_that_the_sdk_lists() -> None:
    from google.cloud.aiplatform.constants import base

    from cloudmlops.emulators.google.aiplatform.names import LOCATIONS
    from cloudmlops.providers.vertex.locations import LOCATIONS as KNOWN

    assert {*base.SUPPORTED_REGIONS} - {"global"} == LOCATIONS
    assert LOCATIONS == KNOWN


PROJECTS = "https://cloudresourcemanager.googleapis.com/v3/projects/ID"
ACCOUNT = "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/a@p.iam.gserviceaccount.com"


@pytest.mark.parametrize(
    ("url", "sent"),
    [
        (f"{PROJECTS}:testIamPermissions", {"permissions": 5}),
        (f"{PROJECTS}:setIamPolicy", {"policy": 5}),
        (f"{PROJECTS}:setIamPolicy", {"policy": {"bindings": 5}}),
        (f"{PROJECTS}:setIamPolicy", {"policy": {"auditConfigs": {"service": "allServices"}}}),
        (f"{ACCOUNT}:generateAccessToken", {"scope": "one"}),
        (f"{ACCOUNT}:signBlob", {"payload": 5}),
        (f"{ACCOUNT}:testIamPermissions", {"permissions": [5]}),
    ],
)
def test_what_is_of_another_type_is_an_invalid_argument(google: Any, url: str, sent: object) -> None:
    answer = google.ask("POST", url.replace("ID", google.project), sent)

    assert (answer.status_code, answer.json()["error"]["status"]) == (400, "INVALID_ARGUMENT"), answer.text


@pytest.mark.parametrize("query", ["maxResults=x", "maxResults=-1", "maxResults=0"])
def test_a_page_of_buckets_of_no_size_is_an_invalid_argument(google: Any, query: str) -> None:
    answer = google.ask("GET", f"https://storage.googleapis.com/storage/v1/b?project={google.project}&{query}")

    assert (answer.status_code, answer.json()["error"]["errors"][0]["reason"]) == (400, "invalid")


@pytest.mark.parametrize("permission", ["", "nonsense", "aiplatform.models"])
def test_what_is_no_permission_is_not_denied(google: Any, permission: str) -> None:
    with pytest.raises(Refused, match="no permission's name"):
        google.cloud.access.deny(permission)
    answer = google.http.post("/-/emulator/google/permissions", json={"deny": permission})

    assert answer.status_code == 400
    assert "no permission's name" in answer.json()["error"]["message"]


@pytest.mark.parametrize("whom", [{"principal": ""}, {"resource": ""}], ids=str)
def test_nobody_and_nothing_are_denied_nothing(google: Any, whom: dict[str, str]) -> None:
    with pytest.raises(Refused, match="is none"):
        google.cloud.access.deny(UPLOAD, **whom)


def test_a_fault_that_is_set_over_http_has_a_reason_and_says_when_to_come_again(google: Any) -> None:
    asked = {"matching": "bigquery/*", "status": "PERMISSION_DENIED", "reason": "rateLimitExceeded"}
    google.http.post("/-/emulator/faults", json={**asked, "retry_after_seconds": 7})

    answer = google.http.get("/bigquery/v2/projects/p/datasets")

    assert answer.status_code == 403
    assert answer.json()["error"]["errors"][0]["reason"] == "rateLimitExceeded"
    assert answer.headers["retry-after"] == "7"
