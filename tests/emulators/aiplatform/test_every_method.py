"""Every emulated method against the SDK's own descriptions; a method that is emulated from now on is among them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import aiplatform_v1 as v1
from google.protobuf import empty_pb2

from cloudmlops.emulators.core.emulator import Emulator

from .protos import emulated, faults, filled, forms, required, spoil, spoilt, states
from .worlds import World, snake

METHODS = emulated()
UNARY = sorted(key for key, method in METHODS.items() if not method.requests_stream)
NAMED = [(key, path) for key in UNARY for path in forms(METHODS[key])]
REQUIRED = [(key, path) for key in UNARY for path in required(METHODS[key])]
NOT_OVER_REST: dict[str, type[Exception]] = {
    "FeatureOnlineStoreService.FeatureViewDirectWrite": NotImplementedError,
    "PredictionService.RawPredict": exceptions.BadRequest,
}
"""What the SDK cannot ask over REST: a stream, and a body that is a user's own, which it wraps into JSON."""
MAKING = [key for key in UNARY if METHODS[key].name.startswith(("Create", "Upload", "Deploy", "BatchCreate"))]


@pytest.fixture(scope="module", params=["grpc", pytest.param("rest", marks=pytest.mark.conformance(ci=True))])
def world(
    vertex_emulator_of_session: Emulator, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[World]:
    vertex_emulator_of_session.reset()
    made = World(vertex_emulator_of_session, tmp_path_factory.mktemp("every"), request.param)
    yield made
    vertex_emulator_of_session.reset()
    made.close()


@pytest.fixture
def call(vertex_emulator: Emulator, connect: Any) -> Any:
    """Asks a method with a raw request, over gRPC: over REST the SDK refuses a name's form itself."""

    def ask(key: str, request: Any) -> Any:
        method = METHODS[key]
        client = connect(getattr(v1, f"{method.service}Client"))
        kind = getattr(v1, method.request.DESCRIPTOR.name)
        return getattr(client, snake(method.name))(request=kind.deserialize(request.SerializeToString()), retry=None)

    return ask


@pytest.mark.parametrize(("key", "path"), REQUIRED)
def test_a_required_field_that_is_not_set_is_named(call: Any, key: str, path: str) -> None:
    with pytest.raises(exceptions.InvalidArgument) as caught:
        call(key, filled(METHODS[key], without=path))
    first, *rest = path.split(".")
    told = str(caught.value).replace("[0]", "")
    assert ".".join([first, *rest]) in told


@pytest.mark.parametrize(("key", "path"), NAMED)
def test_a_name_of_another_form_is_refused_with_its_field(call: Any, key: str, path: str) -> None:
    request = filled(METHODS[key])
    *outer, last = path.split(".")
    place = request
    for part in outer:
        place = getattr(place, part)
    for wrong in ("nonsense", "projects/p/locations/europe-west4/colours/red/shades/1"):
        setattr(place, last, wrong)
        with pytest.raises(exceptions.InvalidArgument, match=rf"in {path}: it must be"):
            call(key, request)


@pytest.mark.parametrize("key", sorted(METHODS))
def test_a_reply_is_what_the_sdk_describes(world: World, key: str) -> None:
    method = METHODS[key]
    request = world.request(method)
    if world.transport == "rest" and key in NOT_OVER_REST:
        with pytest.raises(NOT_OVER_REST[key]):
            world.ask(method, request)
        return
    reply, metadata = world.ask(method, request)

    if method.operation is not None:
        result, described = (kind.DESCRIPTOR.full_name for kind in method.operation)
        assert raw(reply).DESCRIPTOR.full_name == result
        assert raw(metadata).DESCRIPTOR.full_name == described
        assert raw(metadata).generic_metadata.HasField("create_time")
    assert list(faults(raw(reply), form=form_of(key))) == []


@pytest.mark.parametrize("world", ["grpc"], indirect=True)
@pytest.mark.parametrize("key", MAKING)
def test_what_only_the_service_sets_is_ignored(world: World, key: str) -> None:
    method = METHODS[key]
    clean, _ = world.ask(method, world.request(method))
    request = world.request(method)
    spoil(type(request).pb(request))
    reply, _ = world.ask(method, request)
    assert list(spoilt(raw(reply))) == []
    assert states(raw(reply)) == states(raw(clean))


def raw(reply: Any) -> Any:
    """Return the message beneath the SDK's type."""
    if reply is None:
        return empty_pb2.Empty()
    return type(reply).pb(reply) if hasattr(type(reply), "pb") else reply


def form_of(key: str) -> str:
    """Return the form of the names of what a method returns, where it is a resource that can be got."""
    method = METHODS[key]
    kind = (method.operation[0] if method.operation else method.response).DESCRIPTOR.name
    got = METHODS.get(f"{method.service}.Get{kind}")
    return forms(got)["name"] if got is not None else ""
