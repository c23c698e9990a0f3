"""Asking Google within the time that the settings give."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from google.cloud.aiplatform_v1 import ModelServiceClient
from google.cloud.aiplatform_v1.types import GetModelRequest, Model, UploadModelRequest

from cloudmlops.emulators.core.emulator import Emulator
from cloudmlops.emulators.core.faults import Fault, Refused
from cloudmlops.emulators.google.cloud import GoogleCloud
from cloudmlops.errors import QuotaExceededError, WaitTimeoutError
from cloudmlops.providers.vertex.backends import VertexBackends

from .conftest import Opened

AWAY = Refused("UNAVAILABLE", "gone for lunch")
LOOKS = "*Operations.GetOperation"


@pytest.fixture(params=["grpc", "rest"])
def transport(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def lasting(vertex_emulator: Emulator) -> Iterator[None]:
    """Operations last an hour of the emulator's clock."""
    operations = vertex_emulator.cloud(GoogleCloud).vertex.operations
    before, operations.takes = operations.takes, timedelta(hours=1)
    yield
    operations.takes = before


def upload(backends: VertexBackends) -> Any:
    client = backends.wire.client(ModelServiceClient)
    return client.upload_model(
        request=UploadModelRequest(parent=backends.settings.parent, model=Model(display_name="churn"))
    )


def finish(backends: VertexBackends, begun: Any) -> None:
    backends.wire.finish(begun.operation, operation="models.register", resource="churn@1")


@pytest.mark.usefixtures("lasting")
@pytest.mark.parametrize(
    "fault",
    [
        None,
        Fault(matching=LOOKS, times=None, refused=AWAY),
        Fault(matching=LOOKS, times=None, drop=True),
        Fault(matching=LOOKS, times=None, delay_seconds=60),
    ],
    ids=["lasting", "away", "cut", "never answered"],
)
def test_what_does_not_end_or_cannot_be_looked_at_is_waited_for_no_longer_than_a_call(
    opened: Opened, vertex_emulator: Emulator, transport: str, fault: Fault | None
) -> None:
    backends = opened(transport=transport, timeout="0.5")
    begun = upload(backends)
    if fault is not None:
        vertex_emulator.faults.set(fault)

    with pytest.raises(WaitTimeoutError, match=r"models\.register of 'churn@1' has not ended after 0\.5 s"):
        finish(backends, begun)


def test_an_operation_is_looked_at_again_when_the_service_was_away(
    opened: Opened, vertex_emulator: Emulator, transport: str
) -> None:
    operations = vertex_emulator.cloud(GoogleCloud).vertex.operations
    before, operations.takes = operations.takes, timedelta(milliseconds=50)
    try:
        backends = opened(transport=transport)
        vertex_emulator.faults.set(Fault(matching=LOOKS, times=2, refused=AWAY))
        begun = upload(backends)
        finish(backends, begun)
        assert begun.result().model_version_id == "1"
    finally:
        operations.takes = before


def test_a_quota_that_lasts_is_told_as_such_with_the_time_to_come_again(
    opened: Opened, vertex_emulator: Emulator, transport: str
) -> None:
    backends = opened(transport=transport, timeout="6")
    refused = Refused("RESOURCE_EXHAUSTED", "too fast", retry_after_seconds=7.0)
    vertex_emulator.faults.set(Fault(matching="aiplatform/ModelService.GetModel", times=None, refused=refused))
    client = backends.wire.client(ModelServiceClient)

    with pytest.raises(QuotaExceededError, match="too fast"):
        backends.wire.ask(
            client.get_model,
            GetModelRequest(name=f"{backends.settings.parent}/models/churn"),
            operation="models.get",
            resource="churn",
            again=True,
        )
