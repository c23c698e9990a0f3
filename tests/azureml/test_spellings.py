"""One workspace in two spellings is one: Azure compares subscriptions, resource groups and workspaces without case."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cloudmlops import Platform, connect
from cloudmlops.domain.events import DriftDetected, EventContext, ModelRegistered
from cloudmlops.domain.models import Stage
from cloudmlops.emulators.azure.cloud import SUBSCRIPTION, AzureCloud
from cloudmlops.errors import DeploymentFailedError, NotFoundError, WaitTimeoutError
from cloudmlops.ports.events import PushRequest
from cloudmlops.providers.azureml.backends import AzureMLBackends
from cloudmlops.providers.azureml.settings import AzureMLSettings
from cloudmlops.services.delivery.inbox import Inbox
from cloudmlops.testing.contract.models import written_model

from .conftest import Connects
from .deployments import Deployer
from .event_grid import workspace_id
from .steps.pipelines import single
from .test_endpoints_looked_at import LONG

Opened = Callable[..., AzureMLBackends]
HERE = f"azureml://{SUBSCRIPTION}/my-group/my-workspace"
CAPITALS = f"azureml://{SUBSCRIPTION.upper()}/My-Group/MY-Workspace"


def capitals(settings: AzureMLSettings) -> AzureMLSettings:
    """Return settings of the same workspace, written otherwise."""
    told = settings.target.partition("?")
    return AzureMLSettings.from_target(f"azureml://{told[0].removeprefix('azureml://').upper()}{told[1]}{told[2]}")


@pytest.fixture
def otherwise(opened: Opened) -> Iterator[Callable[..., Platform]]:
    """Connects to the test's workspace, which is spelled in capitals."""
    kept: list[Platform] = []

    def platform(**settings: str) -> Platform:
        kept.append(connect(capitals(opened(**settings).settings)))
        return kept[-1]

    yield platform
    for one in kept:
        one.close()


def test_two_spellings_are_one_address_and_a_target_keeps_its_own() -> None:
    here, there = AzureMLSettings.from_target(HERE), AzureMLSettings.from_target(f"{CAPITALS}?timeout=5.0")

    assert here.address == there.address == HERE
    assert there.target == f"{CAPITALS}?timeout=5.0"
    assert AzureMLSettings.from_target(there.target) == there


def test_what_is_told_to_both_spellings_is_handled_once(
    opened: Opened, otherwise: Callable[..., Platform], tmp_path: Path
) -> None:
    spelled, platform = otherwise(push_unproven="true"), connect(opened(push_unproven="true").settings)
    spelled.models.register("churn", written_model(tmp_path / "model"))
    native: Any = platform.native
    registered = native.models.get("churn", "1")
    event = {
        "topic": workspace_id(platform),
        "subject": "models/churn:1",
        "eventType": "Microsoft.MachineLearningServices.ModelRegistered",
        "eventTime": datetime.now(UTC).isoformat(),
        "id": "e1",
        "data": {
            "ModelName": "churn",
            "ModelVersion": "1",
            "ModelTags": registered.tags,
            "ModelProperties": registered.properties,
        },
    }
    promoted: list[str] = []

    @platform.events.on(ModelRegistered, handler="validate")
    def validate(event: ModelRegistered, ctx: EventContext) -> None:
        promoted.append(
            ctx.platform.models.promote(event.model, event.version, to=Stage.CANDIDATE, reason="ok").version
        )

    for one in (platform, spelled):
        assert pushed(one, event) == 200

    platform.events.process()
    assert promoted == ["1"]
    assert [told.platform for told in spelled.events.list(kind=ModelRegistered)] == [platform.address]
    platform.close()


def pushed(platform: Platform, event: dict[str, Any]) -> int:
    request = PushRequest(
        method="POST",
        headers={"content-type": "application/json", "aeg-event-type": "Notification"},
        query="",
        body=json.dumps([event]).encode(),
    )
    return platform.events.asgi().answer(request).status


def test_what_came_in_when_the_address_was_spelled_as_it_was_given_is_known(
    opened: Opened, otherwise: Callable[..., Platform]
) -> None:
    spelled, backends = otherwise(), opened()
    now = datetime.now(UTC)
    before = capitals(backends.settings).located

    def drift(platform: str) -> DriftDetected:
        return DriftDetected(platform=platform, time=now, subject="delay", metric="psi", value=0.3, threshold=0.2)

    Inbox(backends.objects).store(drift(before), at=now)

    spelled.events.publish(drift(spelled.address))

    assert [event.platform for event in spelled.events.list()] == [before]
    handled: list[str] = []
    spelled.events.on(DriftDetected, handler="retrain")(lambda event, _: handled.append(event.subject))
    spelled.events.process()
    assert handled == ["delay"]


def test_a_stuck_operation_is_waited_for_though_azure_spells_the_subscription_otherwise(
    otherwise: Callable[..., Platform], cloud: AzureCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform = otherwise(environment="azureml:steps:1", timeout="2")
    monkeypatch.setattr(cloud.operations, "stuck", True)

    with pytest.raises(WaitTimeoutError, match="has not ended"):
        platform.pipelines.schedule(single, name="nightly", cron="0 3 * * *")


def test_an_operation_that_is_followed_elsewhere_has_not_ended(backends: AzureMLBackends) -> None:
    elsewhere = {"azure-asyncoperation": "https://westeurope.api.azureml.ms/operations/1"}

    def begin(*, raw_response_hook: Callable[[object], None]) -> None:
        raw_response_hook(SimpleNamespace(http_response=SimpleNamespace(status_code=201, headers=elsewhere)))

    with pytest.raises(WaitTimeoutError, match=r"goes on, .* at westeurope\.api\.azureml\.ms, where no token is sent"):
        backends.wire.settle(begin, operation="pipelines.schedule", resource="nightly")


def test_why_an_operation_failed_is_told_though_azure_spells_the_subscription_otherwise(
    otherwise: Callable[..., Platform], deployer: Deployer, cloud: AzureCloud
) -> None:
    version = deployer.version(fails="weights are missing")
    platform = otherwise(**deployer.settings)

    with pytest.raises(DeploymentFailedError, match="ended before it became healthy"):
        platform.endpoints.deploy(version, to=deployer.endpoint).wait(timeout=LONG)


def test_a_compute_is_known_by_its_id_in_any_spelling(connect_to_run: Connects) -> None:
    platform = connect_to_run()
    backends: Any = platform._backends

    with pytest.raises(NotFoundError, match="absent"):
        backends.computes.check(f"{workspace_id(platform).upper()}/COMPUTES/absent", "pipelines.run")
