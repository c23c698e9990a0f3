from __future__ import annotations

import base64
import json
import socket
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_http_event
from google.api_core import exceptions
from google.cloud import aiplatform_v1

from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.google import vertex_emulator as started
from cloudmlops.emulators.google.cloud import GoogleCloud

UPLOAD = "google.cloud.aiplatform.v1.ModelService.UploadModel"
MODEL = aiplatform_v1.Model(display_name="m", artifact_uri="gs://b/m", container_spec={"image_uri": "gcr.io/p/i"})


@pytest.fixture
def models(google: Any) -> Any:
    kind = aiplatform_v1.ModelServiceClient.get_transport_class("grpc")
    channel = grpc.insecure_channel(google.emulator.address, [("grpc.enable_http_proxy", 0)])
    yield aiplatform_v1.ModelServiceClient(transport=kind(channel=channel))
    channel.close()


def upload(google: Any, models: Any, **metadata: str) -> Any:
    parent = f"projects/{google.project}/locations/us-central1"
    sent = [("authorization", f"Bearer {google.token('ada@example.com')}"), *metadata.items()]
    return models.upload_model(parent=parent, model=MODEL, metadata=sent)


def mutated(google: Any, **changes: Any) -> None:
    told: dict[str, Any] = {
        "service_name": "toy.googleapis.com",
        "method_name": "google.toy.v1.Toys.CreateToy",
        "resource_name": f"projects/{google.project}/toys/1",
        "request": {"toy": "ball"},
        "response": {"name": "1"},
    }
    google.cloud.audit.mutated(**{**told, **changes})


def test_an_operation_is_two_entries_that_say_who_what_and_where(google: Any, models: Any) -> None:
    google.cloud.vertex.operations.takes = timedelta(minutes=3)
    google.emulator.clock.freeze()
    operation = upload(google, models)
    assert not operation.done()

    google.emulator.clock.advance(timedelta(minutes=5))

    first, last = google.cloud.logs.list([f"projects/{google.project}"], f'protoPayload.methodName="{UPLOAD}"')
    name = operation.operation.name
    assert first["operation"] == {"id": name, "producer": "aiplatform.googleapis.com", "first": True}
    assert last["operation"] == {"id": name, "producer": "aiplatform.googleapis.com", "last": True}
    for entry in (first, last):
        assert entry["protoPayload"]["authenticationInfo"] == {"principalEmail": "ada@example.com"}
        assert entry["protoPayload"]["authorizationInfo"][0]["permission"] == "aiplatform.models.upload"
        assert entry["protoPayload"]["request"]["model"]["displayName"] == "m"
        assert entry["protoPayload"]["status"] == {}
        assert entry["logName"] == f"projects/{google.project}/logs/cloudaudit.googleapis.com%2Factivity"
    answered = last["protoPayload"]["response"]
    assert answered["model"] == operation.result().model
    assert answered["modelVersionId"] == "1"
    assert last["protoPayload"]["resourceName"].endswith(operation.result().model.split("/", 2)[2])


def test_what_is_read_is_no_entry(google: Any, models: Any) -> None:
    list(models.list_models(parent=f"projects/{google.project}/locations/us-central1"))

    assert google.cloud.logs.list([f"projects/{google.project}"]) == []


def test_a_denied_permission_refuses_the_call_in_the_words_of_the_service(google: Any, models: Any) -> None:
    google.cloud.access.deny("aiplatform.models.upload", principal="ada@*")

    with pytest.raises(
        exceptions.PermissionDenied, match=r"Permission 'aiplatform\.models\.upload' denied on resource"
    ):
        upload(google, models)

    assert list(models.list_models(parent=f"projects/{google.project}/locations/us-central1")) == []


def test_a_trigger_gets_a_cloud_event_that_the_library_reads(google: Any, models: Any, target: Any) -> None:
    google.cloud.audit.trigger(target.url, method_names=[UPLOAD], service_name="aiplatform.googleapis.com")

    operation = upload(google, models)

    taken = target.wait(2)
    headers, body = max(taken, key=lambda one: "last" in one[1]["operation"])
    event = from_http_event(HTTPMessage(headers=headers, body=json.dumps(body).encode()))
    assert event.get_type() == "google.cloud.audit.log.v1.written"
    assert event.get_source() == f"//cloudaudit.googleapis.com/projects/{google.project}/logs/activity"
    assert event.get_subject() == f"aiplatform.googleapis.com/{body['protoPayload']['resourceName']}"
    assert event.get_extension("methodname") == UPLOAD
    assert event.get_extension("servicename") == "aiplatform.googleapis.com"
    assert event.get_extension("resourcename") == body["protoPayload"]["resourceName"]
    assert body["protoPayload"]["response"]["model"] == operation.result().model
    assert len({headers["ce-id"] for headers, _ in taken}) == 2


@pytest.mark.parametrize(
    ("wanted", "number"),
    [
        ({}, 1),
        ({"method_names": ["google.toy.*"]}, 1),
        ({"method_names": ["google.other.*"]}, 0),
        ({"service_name": "other.googleapis.com"}, 0),
        ({"resource_name": "projects/*/toys/*"}, 1),
        ({"resource_name": "projects/*/dolls/*"}, 0),
    ],
    ids=["all", "method", "other method", "other service", "resource", "other resource"],
)
def test_a_trigger_gets_what_it_asked_for(google: Any, target: Any, wanted: dict[str, Any], number: int) -> None:
    google.cloud.audit.trigger(target.url, **wanted)

    mutated(google)

    assert google.cloud.pusher.wait_until_delivered(timedelta(seconds=20))
    assert len(target.taken) == number


def test_a_target_that_fails_is_asked_again_with_growing_waits_on_the_clock(google: Any, target: Any) -> None:
    google.emulator.clock.freeze()
    target.answers = [500, 503, 200]
    trigger = google.cloud.audit.trigger(target.url)
    mutated(google)
    target.wait(1)
    google.wait_until(lambda: google.cloud.pusher.pending(f"triggers/{trigger.id}")[0].attempts == 1)

    google.emulator.clock.advance(timedelta(seconds=9))
    assert len(target.taken) == 1
    google.emulator.clock.advance(timedelta(seconds=1))
    assert len(target.taken) == 2
    google.emulator.clock.advance(timedelta(seconds=19))
    assert len(target.taken) == 2
    google.emulator.clock.advance(timedelta(seconds=1))

    assert len(target.taken) == 3
    assert google.cloud.pusher.pending() == []
    assert len({headers["ce-id"] for headers, _ in target.taken}) == 1


def test_what_nobody_takes_for_a_day_is_given_up(google: Any, caplog: pytest.LogCaptureFixture) -> None:
    google.emulator.clock.freeze()
    trigger = google.cloud.audit.trigger("http://127.0.0.1:9/")
    mutated(google)

    def pending() -> list[Any]:
        # What earlier tests left under way may end, and be told of, while the clock moves.
        return [push for push in google.cloud.pusher.pending(f"triggers/{trigger.id}") if "toys/1" in push.body]

    google.wait_until(lambda: pending()[0].attempts == 1)

    google.emulator.clock.advance(timedelta(hours=26))

    assert pending() == []
    assert "was given up" in caplog.text


def test_what_is_pending_is_delivered_after_a_restart(target: Any, tmp_path: Path) -> None:
    with started(state=tmp_path) as first:
        first.clock.freeze()
        cloud = first.cloud(GoogleCloud)
        target.answers = [500]
        cloud.audit.trigger(target.url)
        cloud.audit.mutated("toy.googleapis.com", "Make", "projects/p/toys/1", {}, None)
        target.wait(1)

    with started(state=tmp_path) as second:
        assert second.cloud(GoogleCloud).pusher.wait_until_delivered(timedelta(seconds=20))

    assert len(target.taken) == 2


def test_a_trigger_in_the_style_of_pubsub_wraps_the_entry(google: Any, target: Any) -> None:
    google.cloud.audit.trigger(target.url, style="pubsub", account="pusher@p.iam.gserviceaccount.com")

    mutated(google, status="ABORTED", message="too late", response=None, principal="ada@example.com")

    headers, body = target.wait(1)[0]
    entry = json.loads(base64.b64decode(body["message"]["data"]))
    assert entry["protoPayload"]["status"] == {"code": 10, "message": "too late"}
    assert entry["severity"] == "ERROR"
    assert body["message"]["messageId"].isdecimal()
    assert body["subscription"].startswith(f"projects/{google.project}/subscriptions/")
    claims = google.cloud.tokens.claims(headers["authorization"].removeprefix("Bearer "))
    assert (claims["email"], claims["aud"]) == ("pusher@p.iam.gserviceaccount.com", target.url)


def test_triggers_are_set_listed_and_removed_from_another_process(google: Any, target: Any) -> None:
    control = "/-/emulator/google/triggers"

    made = google.http.post(control, json={"url": target.url, "method_names": ["*.UploadModel"]}).json()
    assert [one["id"] for one in google.http.get(control).json()] == [made["id"]]
    assert google.http.post(control, json={"remove": made["id"]}).status_code == 200
    assert google.http.get(control).json() == []
    assert google.http.post(control, json={"remove": made["id"]}).status_code == 404
    assert google.http.post(control, json={"url": target.url, "colour": 1}).status_code == 400
    assert google.http.post(control, json={"url": target.url, "style": "carrier pigeon"}).status_code == 400


@pytest.mark.parametrize("url", ["https://hooks.example/x", "http://10.0.0.1/x", "ftp://127.0.0.1/", "nonsense"])
def test_nothing_is_sent_off_this_machine(google: Any, url: str) -> None:
    with pytest.raises(Refused):
        google.cloud.audit.trigger(url)


def test_a_target_that_hangs_does_not_hold_up_the_close(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, started() as emulator:
        cloud = emulator.cloud(GoogleCloud)
        cloud.audit.trigger(f"http://127.0.0.1:{silent.getsockname()[1]}/")
        cloud.audit.mutated("toy.googleapis.com", "Make", "projects/p/toys/1", {}, None)
        taken, _ = silent.accept()
        with taken:
            assert taken.recv(4)
            assert httpx.get(f"{emulator.url}/-/emulator/google/pushes", trust_env=False, verify=False).json()
