"""Events on Vertex AI: what Eventarc and Pub/Sub bring, and what the topic gets."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from google.cloud.aiplatform_v1 import ModelServiceClient
from google.cloud.aiplatform_v1.types import Model, ModelContainerSpec, UploadModelRequest

from cloudmlops import Platform, connect
from cloudmlops.domain.events import DriftDetected, Envelope, Event, ModelDeployed, ModelRegistered, UnknownEvent
from cloudmlops.domain.models import Stage
from cloudmlops.emulators.core.emulator import Emulator
from cloudmlops.emulators.core.faults import Fault, Refused
from cloudmlops.emulators.google.cloud import GoogleCloud
from cloudmlops.errors import (
    AuthenticationError,
    ConfigurationError,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
    UnavailableError,
)
from cloudmlops.ports.events import EventsPort, PushRequest
from cloudmlops.providers.vertex.backends import VertexBackends
from cloudmlops.providers.vertex.mapping.events import AUDITED
from cloudmlops.testing.contract.models import written_model
from cloudmlops.testing.model_folders import write_scaling_model

from .conftest import Opened

DEPLOY = "google.cloud.aiplatform.*.EndpointService.DeployModel"
UPLOAD = "google.cloud.aiplatform.*.ModelService.UploadModel"
SENDER = "pushes@my-project.iam.gserviceaccount.com"
LONG = timedelta(seconds=30)

Connected = Callable[..., Platform]


@pytest.fixture
def cloud(vertex_emulator: Emulator) -> GoogleCloud:
    return vertex_emulator.cloud(GoogleCloud)


@pytest.fixture
def connected(opened: Opened) -> Iterator[Connected]:
    """Connects to the test's project, with settings such as `topic="events"`."""
    kept: list[Platform] = []

    def platform(**settings: str) -> Platform:
        kept.append(connect(opened(**settings).target))
        return kept[-1]

    yield platform
    for one in kept:
        one.close()


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    return written_model(tmp_path / "model")


@contextmanager
def served(platform: Platform) -> Iterator[str]:
    """Answer pushes on loopback."""
    server = uvicorn.Server(uvicorn.Config(platform.events.asgi(), port=0, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            thread.join(0.01)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/events"
    finally:
        server.should_exit = True
        thread.join()


def made_topic(emulator: Emulator, project: str, **push: Any) -> None:
    """Make the topic `events` and its subscription `mine`."""
    topic = f"projects/{project}/topics/events"
    httpx.put(f"{emulator.url}/v1/{topic}", json={}, verify=False).raise_for_status()
    subscription = {"topic": topic, **({"pushConfig": push} if push else {})}
    url = f"{emulator.url}/v1/projects/{project}/subscriptions/mine"
    httpx.put(url, json=subscription, verify=False).raise_for_status()


def waiting(emulator: Emulator, project: str) -> list[dict[str, Any]]:
    """Take what waits in the subscription."""
    url = f"{emulator.url}/v1/projects/{project}/subscriptions/mine:pull"
    received = (
        httpx.post(url, json={"maxMessages": 100, "returnImmediately": True}, verify=False)
        .json()
        .get("receivedMessages", [])
    )
    return [json.loads(base64.b64decode(one["message"]["data"])) for one in received]


def upload_by_others(backends: VertexBackends, model: str = "churn") -> None:
    """Upload a version as any other tool does."""
    message = Model(display_name=model, container_spec=ModelContainerSpec(image_uri="example.com/serving:1"))
    request = UploadModelRequest(parent=backends.settings.parent, model=message, model_id=model)
    backends.wire.client(ModelServiceClient).upload_model(request=request).result(timeout=30)


def drift(platform: Platform) -> DriftDetected:
    time = datetime(2026, 1, 31, 12, tzinfo=UTC)
    return DriftDetected(platform=platform.address, time=time, subject="s", metric="psi", value=0.3, threshold=0.2)


def test_without_a_topic_events_are_in_the_inbox_and_nobody_is_asked(
    connected: Connected, vertex_emulator: Emulator
) -> None:
    platform = connected()
    platform.events.publish(drift(platform))

    assert platform.events.list() == [drift(platform)]
    assert vertex_emulator.calls.list("pubsub/") == []


def test_what_is_published_goes_to_the_topic_as_a_cloud_event(
    connected: Connected, vertex_emulator: Emulator, project: str
) -> None:
    made_topic(vertex_emulator, project)
    platform = connected(topic="events")
    platform.events.publish(drift(platform))

    (event,) = waiting(vertex_emulator, project)
    assert event["type"] == "cloudmlops.drift.detected"
    assert event["source"] == platform.address
    assert event["data"]["metric"] == "psi"
    assert platform.events.list() == [drift(platform)]


def test_a_promotion_goes_to_the_topic(
    connected: Connected, vertex_emulator: Emulator, project: str, artifact: Path
) -> None:
    made_topic(vertex_emulator, project)
    platform = connected(topic=f"projects/{project}/topics/events")
    version = platform.models.register("churn", artifact)
    platform.models.promote("churn", version.version, to=Stage.CANDIDATE, reason="good")

    sent = [(event["type"], event["id"]) for event in waiting(vertex_emulator, project)]
    assert sent == [("cloudmlops.model.registered", "churn/1"), ("cloudmlops.model.stage_changed", "churn/3")]


def test_what_the_subscription_brings_back_is_known(
    connected: Connected, vertex_emulator: Emulator, project: str
) -> None:
    made_topic(vertex_emulator, project)
    platform = connected(topic="events", subscription="mine")
    seen: list[Event] = []
    platform.events.on(Event, handler="all")(lambda event, _: seen.append(event))
    platform.events.publish(drift(platform))

    assert platform.events.process() == 1
    assert platform.events.process() == 0
    assert seen == [drift(platform)]
    assert vertex_emulator.calls.list("pubsub/subscriptions.acknowledge") != []
    assert waiting(vertex_emulator, project) == []


def test_another_programs_message_is_pulled_and_kept(
    connected: Connected, vertex_emulator: Emulator, project: str
) -> None:
    made_topic(vertex_emulator, project)
    url = f"{vertex_emulator.url}/v1/projects/{project}/topics/events:publish"
    httpx.post(url, json={"messages": [{"data": base64.b64encode(b"hello").decode()}]}, verify=False).raise_for_status()
    platform = connected(subscription="mine")
    platform.events.process()

    (event,) = platform.events.list(kind=UnknownEvent)
    assert event.type == "google.cloud.pubsub.topic.v1.messagePublished"


def test_a_missing_topic_says_how_to_make_it(connected: Connected, project: str) -> None:
    platform = connected(topic="nowhere")

    with pytest.raises(NotFoundError, match=f"there is no topic projects/{project}/topics/nowhere") as caught:
        platform.events.publish(drift(platform))
    assert "docs/events.md" in caught.value.hint


def test_a_missing_subscription_says_so(connected: Connected) -> None:
    with pytest.raises(NotFoundError, match="there is no subscription"):
        connected(subscription="nowhere").events.process()


def test_a_registration_stands_though_the_topic_is_missing(
    connected: Connected, vertex_emulator: Emulator, project: str, artifact: Path
) -> None:
    connected(topic="events").models.register("churn", artifact)
    made_topic(vertex_emulator, project)

    platform = connected(topic="events")
    platform.events.process()

    assert [event["id"] for event in waiting(vertex_emulator, project)] == ["churn/1"]
    assert [event.model for event in platform.events.list(kind=ModelRegistered)] == ["churn"]


def test_who_may_not_publish_is_told_the_permission(
    connected: Connected, vertex_emulator: Emulator, cloud: GoogleCloud, project: str
) -> None:
    made_topic(vertex_emulator, project)
    cloud.access.deny("pubsub.topics.publish")
    platform = connected(topic="events")

    with pytest.raises(PermissionDeniedError, match=r"lacks pubsub\.topics\.publish"):
        platform.events.publish(drift(platform))


def test_a_publish_whose_answer_is_lost_is_one_event(
    connected: Connected, vertex_emulator: Emulator, project: str
) -> None:
    made_topic(vertex_emulator, project)
    vertex_emulator.faults.set(Fault(matching="pubsub/topics.publish", lose_response=True))
    platform = connected(topic="events", subscription="mine")
    platform.events.publish(drift(platform))
    platform.events.process()

    assert len(vertex_emulator.calls.list("pubsub/topics.publish")) == 2
    assert platform.events.list() == [drift(platform)]


def test_what_was_pulled_and_not_acknowledged_comes_again(
    connected: Connected, vertex_emulator: Emulator, project: str
) -> None:
    made_topic(vertex_emulator, project)
    platform = connected(topic="events", subscription="mine")
    platform.events.publish(drift(platform))
    vertex_emulator.faults.set(Fault(matching="pubsub/subscriptions.acknowledge", refused=Refused("INTERNAL", "no")))
    vertex_emulator.clock.freeze()
    platform.events.process()
    vertex_emulator.clock.advance(timedelta(minutes=1))
    platform.events.process()

    assert waiting(vertex_emulator, project) == []
    assert platform.events.list() == [drift(platform)]


def test_a_receipt_that_nobody_knows_is_no_error(opened: Opened, vertex_emulator: Emulator, project: str) -> None:
    made_topic(vertex_emulator, project)
    backends = opened(subscription="mine")

    backends.events.acknowledge(["bm9uZQ"])
    backends.events.acknowledge([])


@pytest.mark.parametrize("style", ["eventarc", "pubsub"])
def test_an_upload_by_others_arrives_as_a_registration(
    connected: Connected, opened: Opened, cloud: GoogleCloud, project: str, style: Any
) -> None:
    platform = connected()
    with served(platform) as url:
        cloud.audit.trigger(url, method_names=[UPLOAD], resource_name=f"projects/{project}/*", style=style)
        upload_by_others(opened())
        assert cloud.pusher.wait_until_delivered(LONG)

    (event,) = platform.events.list(kind=ModelRegistered)
    assert (event.model, event.version, event.run) == ("churn", "1", None)
    assert event.platform == f"//aiplatform.googleapis.com/projects/{project}/locations/europe-west4"
    assert len(platform.events.list(kind=UnknownEvent)) == 1  # the operation's beginning


@pytest.mark.parametrize("reporter", ["library", "audit-log"])
def test_our_own_registration_is_one_event_under_the_ledgers_version(
    connected: Connected, opened: Opened, cloud: GoogleCloud, project: str, artifact: Path, reporter: str
) -> None:
    upload_by_others(opened())  # so that Vertex AI's numbers and the ledger's differ
    platform = connected(reporter=reporter)
    with served(platform) as url:
        cloud.audit.trigger(url, method_names=[UPLOAD], resource_name=f"projects/{project}/*")
        cloud.audit.trigger(url, method_names=[UPLOAD], resource_name=f"projects/{project}/*", style="pubsub")
        version = platform.models.register("churn", artifact)
        assert cloud.pusher.wait_until_delivered(LONG)

    (event,) = platform.events.list(kind=ModelRegistered)
    assert (event.platform, event.version) == (platform.address, version.version)


@pytest.mark.parametrize("reporter", ["library", "audit-log"])
def test_our_own_deployment_is_one_event_as_the_library_tells_it(
    connected: Connected, cloud: GoogleCloud, project: str, tmp_path: Path, reporter: str
) -> None:
    platform = connected(reporter=reporter)
    version = platform.models.register("scaling", write_scaling_model(tmp_path / "model"))
    with served(platform) as url:
        cloud.audit.trigger(url, method_names=[DEPLOY], resource_name=f"projects/{project}/*")
        deployment = platform.endpoints.deploy(version, to="scaling")
        deployment.wait(timeout=timedelta(seconds=60))
        assert cloud.pusher.wait_until_delivered(LONG)

    (event,) = platform.events.list(kind=ModelDeployed)
    assert (event.model, event.version, event.endpoint) == ("scaling", version.version, "scaling")
    assert (event.deployment, event.deployed_as) == (
        deployment.name,
        platform.endpoints.status("scaling").deployments[0].deployed_as,
    )
    platform.endpoints.delete("scaling")


def test_a_deployment_that_is_gone_is_told_as_the_audit_log_has_it(opened: Opened) -> None:
    backends = opened()
    parent = backends.settings.parent
    payload = {
        "serviceName": "aiplatform.googleapis.com",
        "methodName": "google.cloud.aiplatform.v1.EndpointService.DeployModel",
        "resourceName": f"{parent}/endpoints/live",
        "response": {"deployedModel": {"id": "42", "model": f"{parent}/models/churn@3", "displayName": "blue"}},
    }
    when = datetime(2026, 1, 31, 12, tzinfo=UTC)
    told = Envelope(id="1", source="//x", type=AUDITED, time=when, data={"protoPayload": payload})

    found = backends.events.normalise(told)

    assert (found.type, found.source, found.time) == (ModelDeployed.kind, backends.address, when)
    assert found.data == {
        "model": "churn",
        "version": "3",
        "endpoint": "live",
        "deployment": "blue",
        "deployed_as": "42",
    }


def test_what_the_audit_log_reports_may_not_be_published_by_hand(connected: Connected) -> None:
    platform = connected(reporter="audit-log")
    event = ModelRegistered(platform=platform.address, time=datetime.now(UTC), model="churn", version="1")

    with pytest.raises(InvalidRequestError, match="the platform itself reports this kind"):
        platform.events.publish(event)


def test_another_projects_upload_is_kept_and_is_no_registration_of_ours(
    connected: Connected, opened: Opened, vertex_emulator: Emulator, cloud: GoogleCloud, project: str
) -> None:
    bucket = {"name": f"{project}-there", "location": "us-central1"}
    httpx.post(
        f"{vertex_emulator.url}/storage/v1/b", params={"project": project}, json=bucket, verify=False
    ).raise_for_status()
    platform = connected(location=bucket["location"], bucket=bucket["name"])
    with served(platform) as url:
        cloud.audit.trigger(url, method_names=[UPLOAD], resource_name=f"projects/{project}/*")
        upload_by_others(opened())
        assert cloud.pusher.wait_until_delivered(LONG)

    assert platform.events.list(kind=ModelRegistered) == []
    assert len(platform.events.list(kind=UnknownEvent)) == 2


def test_pushes_of_the_configured_account_are_taken(
    connected: Connected, vertex_emulator: Emulator, cloud: GoogleCloud, project: str
) -> None:
    platform = connected(topic="events", push_audience="events", push_account=SENDER)
    with served(platform) as url:
        token = {"serviceAccountEmail": SENDER, "audience": "events"}
        made_topic(vertex_emulator, project, pushEndpoint=url, oidcToken=token)
        platform.events.publish(drift(platform))
        hello = {"messages": [{"data": base64.b64encode(b"hello").decode()}]}
        httpx.post(
            f"{vertex_emulator.url}/v1/projects/{project}/topics/events:publish", json=hello, verify=False
        ).raise_for_status()
        assert cloud.pusher.wait_until_delivered(LONG)

    assert [event.kind for event in platform.events.list()] == ["cloudmlops.drift.detected", "cloudmlops.unknown"]
    assert len(vertex_emulator.calls.list("identity/certs")) == 1  # kept, for each push needs them


@pytest.fixture
def guarded(opened: Opened) -> EventsPort:
    return opened(push_audience="events", push_account=SENDER).events


def push(token: str = "", scheme: str = "Bearer") -> PushRequest:
    headers = {"content-type": "application/json"} | ({"authorization": f"{scheme} {token}"} if token else {})
    return PushRequest(method="POST", headers=headers, query="", body=b"{}")


def test_a_push_without_a_token_is_refused(guarded: EventsPort) -> None:
    for request in (push(), push("abc", scheme="Basic"), push("abc"), push("a.b.c")):
        with pytest.raises(AuthenticationError, match="does not prove who sends it"):
            guarded.receive(request)


def test_a_token_for_another_audience_or_of_another_signer_is_refused(guarded: EventsPort, cloud: GoogleCloud) -> None:
    signed = cloud.tokens.identity(SENDER, "events")
    forged = f"{signed[:-8]}AAAAAAAA"
    for token in (cloud.tokens.identity(SENDER, "other"), forged):
        with pytest.raises(AuthenticationError, match="does not prove who sends it"):
            guarded.receive(push(token))
    assert guarded.receive(push(signed)) is None  # and what it holds is read as CloudEvents


def test_a_token_that_is_too_old_is_refused(guarded: EventsPort, cloud: GoogleCloud) -> None:
    claims = {"iss": "https://accounts.google.com", "aud": "events", "email": SENDER, "email_verified": True}
    then = int(datetime.now(UTC).timestamp()) - 7200

    with pytest.raises(AuthenticationError, match="expired"):
        guarded.receive(push(cloud.tokens.signed({**claims, "iat": then, "exp": then + 3600})))


@pytest.mark.parametrize(
    "claim", [{"iss": "https://example.com"}, {"email": "mallory@example.com"}, {"email_verified": False}]
)
def test_a_token_of_somebody_else_is_refused(guarded: EventsPort, cloud: GoogleCloud, claim: dict[str, Any]) -> None:
    now = int(datetime.now(UTC).timestamp())
    claims = {"iss": "https://accounts.google.com", "aud": "events", "email": SENDER, "email_verified": True}

    with pytest.raises((AuthenticationError, PermissionDeniedError)):
        guarded.receive(push(cloud.tokens.signed({**claims, "iat": now, "exp": now + 600, **claim})))


def test_without_certificates_the_sender_is_to_come_again(
    guarded: EventsPort, cloud: GoogleCloud, vertex_emulator: Emulator
) -> None:
    vertex_emulator.faults.set(Fault(matching="identity/certs", refused=Refused("UNAVAILABLE", "later")))

    with pytest.raises(UnavailableError):
        guarded.receive(push(cloud.tokens.identity(SENDER, "events")))
    assert guarded.receive(push(cloud.tokens.identity(SENDER, "events"))) is None


def test_audience_and_account_are_given_together(opened: Opened) -> None:
    with pytest.raises(ConfigurationError, match="push_audience and push_account go together"):
        opened(push_audience="events")
