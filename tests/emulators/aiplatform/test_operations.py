from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import aiplatform_v1 as v1

from cloudmlops.emulators.core.emulator import Emulator
from cloudmlops.emulators.google.aiplatform.operations import Operations
from cloudmlops.emulators.google.cloud import GoogleCloud

from .conftest import Connect


@pytest.fixture
def operations(vertex_emulator: Emulator) -> Iterator[Operations]:
    """The emulator's operations, with what a test sets taken back."""
    found = vertex_emulator.cloud(GoogleCloud).vertex.operations
    yield found
    found.takes = timedelta(0)
    found.stuck = False


@pytest.fixture(params=["grpc", "rest"])
def models(connect: Connect, request: pytest.FixtureRequest) -> Any:
    return connect(v1.ModelServiceClient, request.param)


def test_an_operation_lasts_until_the_clock_says_so(
    models: Any, operations: Operations, vertex_emulator: Emulator, parent: str
) -> None:
    vertex_emulator.clock.freeze()
    operations.takes = timedelta(minutes=3)
    begun = models.upload_model(parent=parent, model=v1.Model(display_name="m"))
    assert not begun.done()

    vertex_emulator.clock.advance(timedelta(minutes=2, seconds=59))
    assert not begun.done()
    vertex_emulator.clock.advance(timedelta(seconds=1))

    assert begun.result(timeout=20).model_version_id == "1"
    assert isinstance(begun.metadata, v1.UploadModelOperationMetadata)


def test_nothing_is_there_before_the_operation_ends(
    models: Any, operations: Operations, vertex_emulator: Emulator, parent: str
) -> None:
    vertex_emulator.clock.freeze()
    operations.takes = timedelta(minutes=3)
    models.upload_model(request={"parent": parent, "model_id": "m", "model": v1.Model(display_name="m")})
    with pytest.raises(exceptions.NotFound):
        models.get_model(name=f"{parent}/models/m")


def test_an_operation_fails_with_what_was_found_at_its_end(
    models: Any, operations: Operations, vertex_emulator: Emulator, parent: str
) -> None:
    made = models.upload_model(parent=parent, model=v1.Model(display_name="m")).result()
    vertex_emulator.clock.freeze()
    operations.takes = timedelta(minutes=1)
    request = {"parent": parent, "model_id": "later", "model": v1.Model(display_name="m")}
    first, second = models.upload_model(request=request), models.upload_model(request=request)
    vertex_emulator.clock.advance(timedelta(minutes=1))

    assert made
    assert first.result(timeout=20).model_version_id == "1"
    with pytest.raises((exceptions.Conflict, exceptions.GoogleAPICallError), match="already exists"):
        second.result(timeout=20)


def test_a_stuck_operation_never_ends_and_can_be_cancelled(
    connect: Connect, operations: Operations, vertex_emulator: Emulator, parent: str
) -> None:
    models = connect(v1.ModelServiceClient)  # over REST the SDK itself cannot cancel: api_core 2.44 wants a body
    operations.stuck = True
    begun = models.upload_model(parent=parent, model=v1.Model(display_name="m"))
    vertex_emulator.clock.advance(timedelta(days=2))
    assert not begun.done()

    begun.cancel()

    assert begun.done()
    assert begun.cancelled()


def test_an_unknown_operation_is_not_found(models: Any, parent: str) -> None:
    with pytest.raises(exceptions.NotFound):
        models.get_operation({"name": f"{parent}/operations/1"})


def test_operations_are_listed_by_resource_and_by_location(models: Any, connect: Connect, parent: str) -> None:
    first, second = (
        models.upload_model(parent=parent, model=v1.Model(display_name="m")).operation.name for _ in range(2)
    )
    elsewhere = parent.replace("europe-west4", "europe-west1")
    models.upload_model(parent=elsewhere, model=v1.Model(display_name="m")).result()

    def names(**asked: Any) -> list[str]:
        return [operation.name for operation in models.list_operations(asked).operations]

    assert sorted(names(name=parent)) == sorted([first, second])
    assert names(name=first.partition("/operations/")[0]) == [first]
    assert sorted(names(name=parent, filter="done=true")) == sorted([first, second])
    assert names(name=parent, filter="done=false") == []
    assert names(name=parent.replace("europe-west4", "us-central1")) == []
    assert len(names(name=parent, page_size=1)) == 1


def test_operations_of_no_location_are_refused(connect: Connect) -> None:
    for name in ("projects/p", "operations"):
        with pytest.raises(exceptions.BadRequest, match="Invalid resource name"):
            connect(v1.ModelServiceClient).list_operations({"name": name})
