from __future__ import annotations

import base64
import json
from datetime import timedelta
from typing import Any

import pytest
from google.auth.transport.requests import AuthorizedSession
from google.oauth2 import service_account

PUBSUB = "https://pubsub.googleapis.com/v1"
DATA = base64.b64encode(b"moved").decode()


class Bus:
    """A topic `stages` with a subscription `all`, over REST as the adapter speaks it."""

    def __init__(self, google: Any) -> None:
        self.google = google
        self.root = f"{PUBSUB}/projects/{google.project}"
        self.topic = f"projects/{google.project}/topics/stages"
        self.subscription = f"projects/{google.project}/subscriptions/all"

    def make(self, **settings: object) -> None:
        assert self.ask("PUT", "topics/stages", {}).status_code == 200
        made = self.ask("PUT", "subscriptions/all", {"topic": self.topic, **settings})
        assert made.status_code == 200, made.text

    def ask(self, verb: str, path: str, sent: object = None, **options: Any) -> Any:
        return self.google.ask(verb, f"{self.root}/{path}", sent, **options)

    def publish(self, *messages: dict[str, Any]) -> list[str]:
        answer = self.ask("POST", "topics/stages:publish", {"messages": messages})
        assert answer.status_code == 200, answer.text
        identities: list[str] = answer.json()["messageIds"]
        return identities

    def pull(self, most: int = 10) -> list[dict[str, Any]]:
        answer = self.ask("POST", "subscriptions/all:pull", {"maxMessages": most})
        assert answer.status_code == 200, answer.text
        taken: list[dict[str, Any]] = answer.json().get("receivedMessages", [])
        return taken

    def acknowledge(self, *taken: dict[str, Any]) -> None:
        sent = {"ackIds": [one["ackId"] for one in taken]}
        assert self.ask("POST", "subscriptions/all:acknowledge", sent).status_code == 200


@pytest.fixture
def bus(google: Any) -> Bus:
    return Bus(google)


def test_what_is_published_is_pulled_once_it_is_acknowledged_and_no_more(bus: Bus) -> None:
    bus.make()
    identities = bus.publish({"data": DATA, "attributes": {"kind": "StageChanged"}}, {"attributes": {"only": "this"}})

    taken = bus.pull()
    bus.acknowledge(*taken)

    assert [one["message"]["messageId"] for one in taken] == identities
    assert taken[0]["message"]["data"] == DATA
    assert taken[0]["message"]["attributes"] == {"kind": "StageChanged"}
    assert taken[0]["message"]["publishTime"].endswith("Z")
    bus.google.emulator.clock.advance(timedelta(minutes=11))
    assert bus.pull() == []


def test_what_is_not_acknowledged_comes_again_after_its_deadline(bus: Bus) -> None:
    bus.google.emulator.clock.freeze()
    bus.make(ackDeadlineSeconds=20)
    bus.publish({"data": DATA})
    first = bus.pull()

    bus.google.emulator.clock.advance(timedelta(seconds=19))
    assert bus.pull() == []
    bus.google.emulator.clock.advance(timedelta(seconds=1))
    second = bus.pull()

    assert [one["message"] for one in second] == [one["message"] for one in first]
    bus.acknowledge(*first)
    bus.google.emulator.clock.advance(timedelta(seconds=20))
    assert len(bus.pull()) == 1, "an acknowledgement that came too late does not count"


def test_a_deadline_is_extended_and_a_message_given_back(bus: Bus) -> None:
    bus.google.emulator.clock.freeze()
    bus.make()
    bus.publish({"data": DATA})
    identity = bus.pull()[0]["ackId"]

    def extend(seconds: int) -> int:
        sent = {"ackIds": [identity], "ackDeadlineSeconds": seconds}
        status: int = bus.ask("POST", "subscriptions/all:modifyAckDeadline", sent).status_code
        return status

    assert extend(60) == 200
    bus.google.emulator.clock.advance(timedelta(seconds=30))
    assert bus.pull() == []
    assert extend(0) == 200
    assert len(bus.pull()) == 1
    assert extend(601) == 400


def test_a_message_is_kept_as_long_as_the_subscription_says(bus: Bus) -> None:
    bus.google.emulator.clock.freeze()
    bus.make(messageRetentionDuration="600s")
    bus.publish({"data": DATA})

    bus.google.emulator.clock.advance(timedelta(seconds=601))

    assert bus.pull() == []


def test_each_subscription_gets_each_message_from_its_making_on(bus: Bus) -> None:
    bus.make()
    bus.publish({"data": DATA})
    bus.ask("PUT", "subscriptions/late", {"topic": bus.topic})
    bus.publish({"data": DATA})

    late = bus.ask("POST", "subscriptions/late:pull", {"maxMessages": 10}).json()["receivedMessages"]

    assert len(bus.pull()) == 2
    assert len(late) == 1
    assert bus.ask("GET", "topics/stages/subscriptions").json()["subscriptions"] == [
        bus.subscription,
        bus.subscription.replace("/all", "/late"),
    ]


def test_a_push_is_sent_in_pubsubs_envelope_with_a_token_until_it_is_taken(bus: Bus, target: Any) -> None:
    bus.google.emulator.clock.freeze()
    target.answers = [500]
    token = {"serviceAccountEmail": "push@p.iam.gserviceaccount.com", "audience": "me"}
    retry = {"minimumBackoff": "30s", "maximumBackoff": "60s"}
    bus.make(pushConfig={"pushEndpoint": target.url, "oidcToken": token}, retryPolicy=retry)

    identity = bus.publish({"data": DATA, "attributes": {"kind": "StageChanged"}})[0]
    target.wait(1)
    bus.google.wait_until(lambda: bus.google.cloud.pusher.pending(bus.subscription)[0].attempts == 1)
    bus.google.emulator.clock.advance(timedelta(seconds=29))
    assert len(target.taken) == 1
    bus.google.emulator.clock.advance(timedelta(seconds=1))

    headers, body = target.wait(2)[1]
    assert body["subscription"] == bus.subscription
    assert body["message"]["data"] == DATA
    assert body["message"]["messageId"] == body["message"]["message_id"] == identity
    assert body["message"]["attributes"] == {"kind": "StageChanged"}
    claims = bus.google.cloud.tokens.claims(headers["authorization"].removeprefix("Bearer "))
    assert (claims["email"], claims["aud"]) == ("push@p.iam.gserviceaccount.com", "me")
    assert bus.google.cloud.pusher.pending(bus.subscription) == []
    assert bus.ask("POST", "subscriptions/all:pull", {"maxMessages": 1}).json()["error"]["status"] == (
        "FAILED_PRECONDITION"
    )


def test_what_waits_goes_the_new_way_when_a_subscription_is_changed(bus: Bus, target: Any) -> None:
    bus.google.emulator.clock.freeze()
    bus.make()
    bus.publish({"data": DATA})

    sent = {"pushConfig": {"pushEndpoint": target.url}}
    assert bus.ask("POST", "subscriptions/all:modifyPushConfig", sent).status_code == 200
    target.wait(1)
    assert bus.google.cloud.pusher.wait_until_delivered(timedelta(seconds=20))

    target.answers = [500]
    bus.publish({"data": DATA})
    target.wait(2)
    assert bus.ask("POST", "subscriptions/all:modifyPushConfig", {"pushConfig": {}}).status_code == 200
    assert len(bus.pull()) == 1


def test_topics_and_subscriptions_are_listed_in_pages_changed_and_deleted(bus: Bus) -> None:
    bus.make()
    bus.ask("PUT", "topics/other", {"labels": {"a": "b"}})

    page = bus.ask("GET", "topics?pageSize=1").json()
    rest = bus.ask("GET", f"topics?pageSize=1&pageToken={page['nextPageToken']}").json()
    assert [one["name"] for one in page["topics"] + rest["topics"]] == [
        bus.topic.replace("stages", "other"),
        bus.topic,
    ]
    changed = bus.ask("PATCH", "topics/other", {"topic": {"labels": {"c": "d"}}, "updateMask": "labels"}).json()
    assert (
        bus.ask("GET", "topics/other").json()
        == changed
        == {
            "name": bus.topic.replace("stages", "other"),
            "labels": {"c": "d"},
        }
    )
    sent = {"subscription": {"ackDeadlineSeconds": 60}, "updateMask": "ack_deadline_seconds"}
    assert bus.ask("PATCH", "subscriptions/all", sent).json()["ackDeadlineSeconds"] == 60
    assert bus.ask("DELETE", "topics/stages").status_code == 200
    assert bus.ask("GET", "subscriptions/all").json()["topic"] == "_deleted-topic_"
    assert bus.ask("DELETE", "subscriptions/all").status_code == 200
    assert bus.ask("GET", "subscriptions").json() == {}
    methods = {
        entry["protoPayload"]["methodName"].rpartition(".")[2]
        for entry in bus.google.cloud.logs.list([f"projects/{bus.google.project}"])
    }
    assert {"CreateTopic", "CreateSubscription", "UpdateTopic", "DeleteTopic", "DeleteSubscription"} <= methods


@pytest.mark.parametrize(
    ("verb", "path", "sent", "status", "said"),
    [
        ("GET", "topics/none", None, "NOT_FOUND", "Resource not found (resource=none)"),
        ("POST", "topics/none:publish", {"messages": [{"data": DATA}]}, "NOT_FOUND", "resource=none"),
        ("POST", "topics/stages:publish", {"messages": []}, "INVALID_ARGUMENT", "too small"),
        ("POST", "topics/stages:publish", {"messages": [{}]}, "INVALID_ARGUMENT", "empty"),
        ("POST", "topics/stages:publish", {"messages": [{"data": "%"}]}, "INVALID_ARGUMENT", "TYPE_BYTES"),
        ("PUT", "topics/stages", {}, "ALREADY_EXISTS", "already exists"),
        ("PUT", "topics/1x", {}, "INVALID_ARGUMENT", "Invalid [topics] name"),
        ("PUT", "topics/googly", {}, "INVALID_ARGUMENT", "Invalid [topics] name"),
        ("PUT", "topics/schema", {"schemaSettings": {"schema": "s"}}, "UNIMPLEMENTED", "schemaSettings"),
        ("PUT", "subscriptions/sub", {"topic": "projects/p/topics/no"}, "NOT_FOUND", "resource=no"),
        ("PUT", "subscriptions/sub", {"ackDeadlineSeconds": 5}, "INVALID_ARGUMENT", "deadline=5"),
        ("PUT", "subscriptions/sub", {"filter": "attributes.a"}, "UNIMPLEMENTED", "filter"),
        ("PUT", "subscriptions/sub", {"enableMessageOrdering": True}, "UNIMPLEMENTED", "enableMessageOrdering"),
        ("PUT", "subscriptions/sub", {"pushConfig": {"pushEndpoint": "https://a.b/"}}, "UNIMPLEMENTED", "this machine"),
        ("POST", "subscriptions/all:pull", {"maxMessages": 0}, "INVALID_ARGUMENT", "maxMessages"),
        ("POST", "subscriptions/all:acknowledge", {"ackIds": ["x"]}, "INVALID_ARGUMENT", "invalid ack ID"),
        ("PATCH", "topics/stages", {"topic": {}, "updateMask": "name"}, "INVALID_ARGUMENT", "cannot be changed"),
        ("POST", "subscriptions/all:seek", {}, "UNIMPLEMENTED", ":seek"),
    ],
    ids=lambda value: str(value)[:40] if not isinstance(value, dict) else "",
)
def test_what_is_wrong_or_not_emulated_is_said(
    bus: Bus, verb: str, path: str, sent: object, status: str, said: str
) -> None:
    bus.make()

    error = bus.ask(verb, path, sent).json()["error"]

    assert error["status"] == status
    assert said in error["message"]


def test_who_may_not_publish_is_told_so(bus: Bus) -> None:
    bus.make()
    bus.google.cloud.access.deny("pubsub.topics.publish", principal="eve@*")

    sent = {"messages": [{"data": DATA}]}
    denied = bus.ask("POST", "topics/stages:publish", sent, token=bus.google.token("eve@example.com"))

    assert denied.status_code == 403
    assert denied.json()["error"]["message"].startswith("User not authorized to perform this action")
    assert bus.pull() == []


def test_an_authorised_session_publishes_at_the_plain_address_and_through_the_redirect(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in bus.google.emulator.environment().items():
        monkeypatch.setenv(name, value)
    bus.make()
    info = bus.google.cloud.tokens.service_account("a@p.iam.gserviceaccount.com", bus.google.project)
    made = service_account.Credentials.from_service_account_info(
        info, scopes=["https://www.googleapis.com/auth/pubsub"]
    )
    sent = {"messages": [{"data": base64.b64encode(json.dumps({"stage": "production"}).encode()).decode()}]}

    with AuthorizedSession(made) as session:
        for root in (PUBSUB, f"{bus.google.emulator.url}/v1"):
            assert session.post(f"{root}/{bus.topic}:publish", json=sent).status_code == 200

    assert len(bus.pull()) == 2


def test_a_project_is_named_by_its_number_as_well(bus: Bus) -> None:
    manager = f"https://cloudresourcemanager.googleapis.com/v1/projects/{bus.google.project}"
    number = bus.google.ask("GET", manager).json()["projectNumber"]
    root = f"{PUBSUB}/projects/{number}"
    assert bus.google.ask("PUT", f"{root}/topics/stages", {}).json() == {"name": bus.topic}
    made = bus.google.ask("PUT", f"{root}/subscriptions/all", {"topic": f"projects/{number}/topics/stages"}).json()

    bus.google.ask("POST", f"{root}/topics/stages:publish", {"messages": [{"data": DATA}]})

    assert (made["name"], made["topic"]) == (bus.subscription, bus.topic)
    assert len(bus.pull()) == 1
    assert bus.google.ask("GET", f"{root}/topics").json() == bus.ask("GET", "topics").json()
    assert bus.google.ask("DELETE", f"{root}/topics/stages").status_code == 200
    assert bus.ask("GET", "topics/stages").status_code == 404


@pytest.mark.parametrize(
    ("verb", "path", "sent"),
    [
        ("GET", "topics?pageSize=x", None),
        ("GET", "topics?pageSize=-1", None),
        ("POST", "topics/stages:publish", {"messages": [{"data": 5}]}),
        ("POST", "topics/stages:publish", {"messages": [{"data": DATA, "attributes": {"a": 1}}]}),
        ("POST", "topics/stages:publish", {"messages": [DATA]}),
        ("POST", "topics/stages:publish", {"messages": {"data": DATA}}),
        ("POST", "subscriptions/all:pull", {"maxMessages": "many"}),
        ("POST", "subscriptions/all:pull", {"maxMessages": 10**12}),
        ("POST", "subscriptions/all:acknowledge", {"ackIds": "one"}),
        ("POST", "subscriptions/all:modifyAckDeadline", {"ackIds": [], "ackDeadlineSeconds": {}}),
        ("POST", "topics/stages:testIamPermissions", {"permissions": 5}),
        ("PUT", "topics/more", {"labels": ["a"]}),
        ("PUT", "subscriptions/more", {"topic": 5}),
        ("PUT", "subscriptions/more", {"topic": "projects/p/topics/t", "pushConfig": {"pushEndpoint": 5}}),
        ("PATCH", "topics/stages", {"topic": "stages", "updateMask": "labels"}),
    ],
)
def test_what_is_of_another_type_is_an_invalid_argument(bus: Bus, verb: str, path: str, sent: object) -> None:
    bus.make()

    answer = bus.ask(verb, path, sent)

    assert (answer.status_code, answer.json()["error"]["status"]) == (400, "INVALID_ARGUMENT"), answer.text
