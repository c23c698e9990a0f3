"""What goes wrong on the way of an event: nothing is lost, and effects through the platform happen once."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from signal import SIGKILL
from urllib.parse import urlsplit

import pytest
from azure.mgmt.eventgrid.models import StorageBlobDeadLetterDestination

from cloudmlops import Platform
from cloudmlops.domain.events import DriftDetected, Event, EventContext, ModelRegistered, StageChanged
from cloudmlops.domain.ledger import EntryKind
from cloudmlops.domain.models import Stage
from cloudmlops.emulators.azure.cloud import AzureCloud
from cloudmlops.emulators.core.emulator import Emulator
from cloudmlops.emulators.core.faults import Fault, Refused
from cloudmlops.testing.contract.models import written_model

from .event_grid import PATIENCE, Namespace, drained, drift, served, subscribe, workspace_id

Connected = Callable[..., Platform]
WORKER = Path(__file__).with_name("event_worker.py")


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    return written_model(tmp_path / "model")


def promoting(platform: Platform) -> list[Event]:
    """Let registered models be promoted; return what the handler has seen, as it comes."""
    seen: list[Event] = []

    @platform.events.on(ModelRegistered, handler="validate", backoff=timedelta(0))
    def validate(event: ModelRegistered, ctx: EventContext) -> None:
        seen.append(event)
        ctx.platform.models.promote(event.model, event.version, to=Stage.CANDIDATE, reason="validated")

    return seen


def moves(platform: Platform, model: str = "churn") -> int:
    return [entry.kind for entry in platform.models.history(model)].count(EntryKind.MOVED)


def test_what_happens_while_the_webhook_is_down_for_an_hour_is_delivered_after_it(
    connected: Connected, cloud: AzureCloud, azureml_emulator: Emulator, artifact: Path
) -> None:
    platform = connected(reporter="event-grid")
    seen = promoting(platform)
    clock, deliveries = azureml_emulator.clock, cloud.event_grid.deliveries
    with served(platform) as url:
        subscribe(platform, url)
    clock.freeze()
    for name in ("churn", "delay"):
        platform.models.register(name, artifact)
    for _ in range(60):
        assert deliveries.settle(PATIENCE)
        clock.advance(timedelta(minutes=1))
    assert deliveries.settle(PATIENCE)
    tried = len(azureml_emulator.calls.list("eventgrid/deliver"))
    assert platform.events.process() == 0

    with served(platform, port=urlsplit(url).port or 0):
        clock.advance(timedelta(hours=1))
        assert deliveries.settle(PATIENCE)

    assert tried > 6
    assert platform.events.process() == 2
    assert sorted(event.meaning for event in seen) == [("churn", "1"), ("delay", "1")]
    assert [moves(platform, name) for name in ("churn", "delay")] == [1, 1]


def test_events_that_come_twice_in_both_schemas_and_in_another_order_are_handled_once(
    connected: Connected, cloud: AzureCloud, azureml_emulator: Emulator, artifact: Path
) -> None:
    platform = connected()
    seen = promoting(platform)
    with served(platform) as url:
        for name, schema in (("grid", "EventGridSchema"), ("cloud", "CloudEventSchemaV1_0")):
            subscribe(platform, url, name=name, event_delivery_schema=schema)
        azureml_emulator.clock.freeze()
        azureml_emulator.faults.set(Fault(matching="eventgrid/deliver", times=2, drop=True))
        platform.models.register("churn", artifact)
        assert cloud.event_grid.deliveries.settle(PATIENCE)
        azureml_emulator.faults.set(Fault(matching="eventgrid/deliver", times=2, lose_response=True))
        platform.models.register("churn", artifact)
        for _ in range(10):
            assert cloud.event_grid.deliveries.settle(PATIENCE)
            azureml_emulator.clock.advance(timedelta(minutes=1))
        assert cloud.event_grid.deliveries.settle(PATIENCE)

    assert len(azureml_emulator.calls.list("eventgrid/deliver")) == 8
    assert platform.events.process() == 2
    assert sorted(event.meaning for event in seen) == [("churn", "1"), ("churn", "2")]
    assert moves(platform) == 2


@pytest.mark.conformance(ci=True)
def test_a_handler_that_is_killed_in_the_middle_is_finished_by_another_process_once(
    connected: Connected, cloud: AzureCloud, namespace: Namespace, artifact: Path
) -> None:
    platform = connected(reporter="event-grid", **namespace.settings)
    with served(platform) as url:
        subscribe(platform, url)
        platform.models.register("churn", artifact)
        assert cloud.event_grid.deliveries.settle(PATIENCE)

    killed = subprocess.run([sys.executable, str(WORKER), platform.target], check=False, timeout=120)
    assert killed.returncode == -SIGKILL
    assert moves(platform) == 1
    attempts: list[int] = []

    @platform.events.on(ModelRegistered, handler="validate")
    def validate(event: ModelRegistered, ctx: EventContext) -> None:
        attempts.append(ctx.attempt)
        ctx.platform.models.promote(event.model, event.version, to=Stage.CANDIDATE, reason="validated")
        ctx.platform.events.publish(drift(platform, f"attempt {ctx.attempt}"))

    assert platform.events.process() == 1
    assert attempts == [2]
    assert moves(platform) == 1
    assert [event.metric for event in platform.events.list(kind=DriftDetected)] == ["psi"]  # the first attempt's
    assert platform.models.get("churn", "1").stage is Stage.CANDIDATE


def test_an_event_that_no_handler_can_take_is_a_dead_letter_and_holds_up_no_other(
    connected: Connected, cloud: AzureCloud, artifact: Path
) -> None:
    platform = connected(reporter="event-grid")
    seen: list[str] = []

    @platform.events.on(ModelRegistered, handler="picky", retries=1, backoff=timedelta(0))
    def picky(event: ModelRegistered, _: EventContext) -> None:
        if event.model == "poison":
            raise ValueError("no idea what that is")
        seen.append(event.model)

    with served(platform) as url:
        subscribe(platform, url)
        for name in ("poison", "churn"):
            platform.models.register(name, artifact)
        assert cloud.event_grid.deliveries.settle(PATIENCE)

    assert platform.events.process() == 1
    assert seen == ["churn"]
    assert [(letter.attempts, letter.error) for letter in platform.events.dead_letters()] == [(2, "ValueError")]


def test_a_push_that_nobody_can_read_becomes_event_grids_dead_letter(
    connected: Connected, cloud: AzureCloud, azureml_emulator: Emulator
) -> None:
    platform = connected()
    resource = (
        f"{workspace_id(platform).partition('/providers/')[0]}/providers/Microsoft.Storage/storageAccounts/unread"
    )
    cloud.blobs.make_account("unread", resource)
    cloud.blobs.make_container("unread", "letters")
    letters = StorageBlobDeadLetterDestination(resource_id=resource, blob_container_name="letters")
    with served(platform) as url:
        subscribe(platform, url, dead_letter_destination=letters)
        azureml_emulator.clock.freeze()
        cloud.event_grid.events.model_registered(
            workspace_id(platform), name="churn", version="\ud800", tags={}, properties={}
        )
        assert cloud.event_grid.deliveries.settle(PATIENCE)
        azureml_emulator.clock.advance(timedelta(minutes=5))
        assert cloud.event_grid.deliveries.settle(PATIENCE)

    (name,) = cloud.blobs.list("unread", "letters", "")
    (letter,) = json.loads(cloud.blobs.read("unread", "letters", name))
    assert letter["deadLetterReason"].endswith("BadRequest")
    assert platform.events.list() == []


def test_a_topic_that_is_too_busy_is_asked_again_after_the_time_that_it_says(
    connected: Connected, namespace: Namespace, azureml_emulator: Emulator
) -> None:
    platform = connected(**namespace.settings)
    busy = Refused("RESOURCE_EXHAUSTED", "slow down", retry_after_seconds=1)
    azureml_emulator.faults.set(Fault(matching="eventgrid/namespaces.publish", refused=busy))

    platform.events.publish(drift(platform))

    calls = azureml_emulator.calls.list("eventgrid/namespaces.publish")
    assert [call.status for call in calls] == ["RESOURCE_EXHAUSTED", "OK"]
    assert len(namespace.waiting()) == 1


@pytest.mark.parametrize("fault", [{"lose_response": True}, {"refused": Refused("UNAVAILABLE", "later")}])
def test_a_publish_whose_answer_is_lost_or_put_off_is_one_event(
    connected: Connected, namespace: Namespace, azureml_emulator: Emulator, fault: dict[str, object]
) -> None:
    platform = connected(**namespace.settings)
    azureml_emulator.faults.set(Fault(matching="eventgrid/namespaces.publish", **fault))  # type: ignore[arg-type] # by name
    platform.events.publish(drift(platform))
    drained(platform, namespace)

    assert platform.events.list() == [drift(platform)]


def test_a_token_that_event_grid_finds_too_old_is_renewed(
    connected: Connected, namespace: Namespace, azureml_emulator: Emulator
) -> None:
    platform = connected(**namespace.settings)
    for verb in ("publish", "receive", "acknowledge"):
        too_old = Refused("UNAUTHENTICATED", "The access token has expired.", reason="Unauthorized")
        azureml_emulator.faults.set(Fault(matching=f"eventgrid/namespaces.{verb}", refused=too_old))

    platform.events.publish(drift(platform))
    drained(platform, namespace)

    assert platform.events.list() == [drift(platform)]
    for verb in ("publish", "receive", "acknowledge"):
        asked = azureml_emulator.calls.list(f"eventgrid/namespaces.{verb}")
        assert [call.status for call in asked][:2] == ["UNAUTHENTICATED", "OK"]


def test_what_a_promotion_could_not_publish_goes_out_with_the_next_worker(
    connected: Connected, namespace: Namespace, azureml_emulator: Emulator, artifact: Path
) -> None:
    platform = connected(timeout="1", topic=namespace.settings["topic"])
    platform.models.register("churn", artifact)
    down = Fault(matching="eventgrid/namespaces.publish", times=None, refused=Refused("UNAVAILABLE", "later"))
    azureml_emulator.faults.set(down)
    platform.models.promote("churn", "1", to=Stage.CANDIDATE, reason="good")  # stands, though nobody can be told
    assert platform.events.list(kind=StageChanged) == []
    azureml_emulator.faults.clear()

    another = connected(**namespace.settings)
    another.events.process()

    assert [event.sequence for event in another.events.list(kind=StageChanged)] == [3]
    another.events.process()
    assert [event.sequence for event in another.events.list(kind=StageChanged)] == [3]
