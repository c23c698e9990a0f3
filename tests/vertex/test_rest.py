from __future__ import annotations

import socket
from collections.abc import Mapping

import pytest

from cloudmlops.emulators.core.emulator import Emulator
from cloudmlops.emulators.core.faults import Fault, Refused
from cloudmlops.errors import NotFoundError, PermissionDeniedError, UnavailableError, UnexpectedReplyError
from cloudmlops.providers.vertex.rest import PUBSUB, Rest
from cloudmlops.providers.vertex.settings import VertexSettings
from cloudmlops.providers.vertex.wire import Wire

from .conftest import Opened

LATER = Refused("UNAVAILABLE", "later")


def asked(opened: Opened, path: str = "topics", *, again: bool = True) -> Mapping[str, object]:
    backends = opened()
    rest = Rest(backends.wire)
    try:
        return rest.ask(
            "GET",
            PUBSUB,
            f"/v1/projects/{backends.settings.project}/{path}",
            operation="events.publish",
            resource="events",
            again=again,
        )
    finally:
        rest.close()


def test_what_passes_by_is_asked_again(opened: Opened, vertex_emulator: Emulator) -> None:
    vertex_emulator.faults.set(Fault(matching="pubsub/topics.list", times=2, refused=LATER))

    assert asked(opened) == {}
    assert len(vertex_emulator.calls.list("pubsub/topics.list")) == 3


def test_a_cut_connection_is_asked_again(opened: Opened, vertex_emulator: Emulator) -> None:
    vertex_emulator.faults.set(Fault(matching="pubsub/topics.list", drop=True))

    assert asked(opened) == {}


def test_what_may_not_be_done_twice_is_asked_once(opened: Opened, vertex_emulator: Emulator) -> None:
    vertex_emulator.faults.set(Fault(matching="pubsub/topics.list", refused=LATER))

    with pytest.raises(UnavailableError, match="later"):
        asked(opened, again=False)
    assert len(vertex_emulator.calls.list("pubsub/topics.list")) == 1


def test_an_answer_that_takes_too_long_is_unavailable(opened: Opened, vertex_emulator: Emulator) -> None:
    backends = opened(timeout="0.2")
    vertex_emulator.faults.set(Fault(matching="pubsub/topics.list", delay_seconds=1))
    rest = Rest(backends.wire)
    path = f"/v1/projects/{backends.settings.project}/topics"

    with pytest.raises(UnavailableError, match=r"pubsub\.googleapis\.com did not answer in time"):
        rest.ask("GET", PUBSUB, path, operation="events.publish", resource="events", again=False)
    rest.close()


def test_nobody_there_is_unavailable() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        rest = Rest(Wire(VertexSettings(project="my-project", location="europe-west4", bucket="mine", api_url=url)))

        with pytest.raises(UnavailableError, match="could not be reached"):
            rest.ask("GET", PUBSUB, "/v1/x", operation="events.publish", resource="events", again=False)
        rest.close()


def test_a_refusal_names_operation_and_resource(opened: Opened, vertex_emulator: Emulator) -> None:
    with pytest.raises(NotFoundError) as caught:
        asked(opened, "topics/none")

    assert (caught.value.operation, caught.value.resource) == ("events.publish", "events")


def test_a_missing_permission_is_named(opened: Opened, vertex_emulator: Emulator) -> None:
    vertex_emulator.faults.set(
        Fault(
            matching="pubsub/topics.list",
            refused=Refused("PERMISSION_DENIED", "Permission 'pubsub.topics.publish' denied on resource 'x'."),
        )
    )

    with pytest.raises(PermissionDeniedError, match=r"lacks pubsub\.topics\.publish"):
        asked(opened)


def test_what_is_no_json_object_is_unexpected(opened: Opened, vertex_emulator: Emulator) -> None:
    backends = opened()
    rest = Rest(backends.wire)

    with pytest.raises(UnexpectedReplyError, match="no JSON object"):
        # The emulator's record of triggers is a list.
        rest.ask("GET", PUBSUB, "/-/emulator/google/triggers", operation="x", resource="y", again=False)
    rest.close()
