"""Events on Azure ML: what Event Grid pushes of the workspace, from any client's registration to one promotion."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest
from azure.mgmt.eventgrid.models import EventSubscriptionFilter

from cloudmlops import Platform
from cloudmlops.domain.events import (
    DriftDetected,
    EventContext,
    ModelDeployed,
    ModelRegistered,
    RunCompleted,
    RunFailed,
    UnknownEvent,
)
from cloudmlops.domain.ledger import EntryKind
from cloudmlops.domain.models import Stage
from cloudmlops.emulators.azure.cloud import AzureCloud
from cloudmlops.emulators.core.emulator import Emulator
from cloudmlops.errors import InvalidRequestError, RunFailedError
from cloudmlops.providers.azureml.sdk import ml
from cloudmlops.testing.contract.models import written_model
from cloudmlops.testing.model_folders import write_scaling_model

from .conftest import GROUP, Connects
from .event_grid import PATIENCE, served, subscribe, workspace_id
from .steps.pipelines import reading

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

Connected = Callable[..., Platform]
SCHEMAS = ("EventGridSchema", "CloudEventSchemaV1_0")


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    return written_model(tmp_path / "model")


@pytest.mark.conformance(ci=True)
@pytest.mark.parametrize("schema", SCHEMAS)
def test_a_registered_model_reaches_its_handler_and_is_promoted_once(
    connected: Connected, cloud: AzureCloud, artifact: Path, schema: str
) -> None:
    platform = connected(reporter="event-grid")
    seen: list[ModelRegistered] = []

    @platform.events.on(ModelRegistered, model="churn", handler="validate", backoff=timedelta(0))
    def validate(event: ModelRegistered, ctx: EventContext) -> None:
        seen.append(event)
        ctx.platform.models.promote(event.model, event.version, to=Stage.CANDIDATE, reason="validated")
        if ctx.attempt == 1:
            raise ConnectionError("the first attempt ends here")

    with served(platform) as url:
        subscribe(platform, url, event_delivery_schema=schema)
        platform.models.register("churn", artifact)
        assert cloud.event_grid.deliveries.settle(PATIENCE)

    assert platform.events.process() == 1
    assert platform.events.process() == 0
    assert [(event.platform, event.version) for event in seen] == [(platform.address, "1")] * 2
    assert [entry.kind for entry in platform.models.history("churn")].count(EntryKind.MOVED) == 1


def test_without_a_subscription_nobody_tells_of_models_where_event_grid_alone_is_to(
    connected: Connected, artifact: Path
) -> None:
    platform = connected(reporter="event-grid")
    platform.models.register("churn", artifact)
    platform.events.process()
    assert platform.events.list() == []

    event = ModelRegistered(platform=platform.address, time=datetime.now(UTC), model="churn", version="1")
    with pytest.raises(InvalidRequestError, match="the platform itself reports this kind"):
        platform.events.publish(event)


# azure-ai-ml's download is written for an earlier azure-storage-blob.
@pytest.mark.conformance(ci=True)
@pytest.mark.filterwarnings("ignore:The use of a 'BlobProperties':DeprecationWarning")
@pytest.mark.filterwarnings("ignore:content_as_bytes is deprecated:DeprecationWarning")
def test_a_model_that_another_client_registers_is_adopted_by_a_handler_once(
    connected: Connected, cloud: AzureCloud, artifact: Path, tmp_path: Path
) -> None:
    platform = connected(reporter="event-grid")
    native = cast("MLClient", platform.native)

    @platform.events.on(ModelRegistered, handler="adopt", retries=2, backoff=timedelta(0))
    def adopt(event: ModelRegistered, ctx: EventContext) -> None:
        if event.platform == ctx.platform.address:
            return
        folder = tmp_path / f"attempt-{ctx.attempt}"
        native.models.download(event.model, event.version, download_path=folder)
        (found,) = folder.rglob("MLmodel")
        ours = ctx.platform.models.register(event.model, found.parent)
        ctx.platform.models.promote(event.model, ours.version, to=Stage.CANDIDATE, reason="adopted")
        if ctx.attempt == 1:
            raise ConnectionError("the first attempt ends here")

    with served(platform) as url:
        subscribe(platform, url)
        native.models.create_or_update(ml().entities.Model(name="churn", path=artifact, type="mlflow_model"))
        assert cloud.event_grid.deliveries.settle(PATIENCE)
        handled = platform.events.process()
        assert cloud.event_grid.deliveries.settle(PATIENCE)
        assert handled + platform.events.process() == 2

    theirs, ours = platform.events.list(kind=ModelRegistered)
    assert (theirs.platform, theirs.version, theirs.run) == (workspace_id(platform), "1", None)
    assert (ours.platform, ours.model) == (platform.address, "churn")
    assert [version.stage for version in platform.models.list("churn")] == [Stage.CANDIDATE]


@pytest.mark.conformance(ci=True)
def test_our_own_registration_is_one_event_under_the_ledgers_version(
    connected: Connected, cloud: AzureCloud, artifact: Path
) -> None:
    platform = connected()
    native = cast("MLClient", platform.native)
    native.models.create_or_update(ml().entities.Model(name="churn", path=artifact, type="mlflow_model"))
    with served(platform) as url:
        subscribe(platform, url)
        version = platform.models.register("churn", artifact, run="training-7")
        assert cloud.event_grid.deliveries.settle(PATIENCE)

    (event,) = platform.events.list(kind=ModelRegistered)
    assert (event.platform, event.version, event.run) == (platform.address, version.version, "training-7")
    (registered,) = [one for one in native.models.list("churn") if one.version != "1"]
    assert registered.version != version.version  # the ledger's number was taken


def test_what_another_workspace_tells_is_kept_and_is_no_event_of_ours(connected: Connected, cloud: AzureCloud) -> None:
    platform = connected()
    elsewhere = cloud.ensure_workspace("elsewhere", group=GROUP)
    with served(platform) as url:
        subscribe(platform, url, source=elsewhere)
        cloud.event_grid.events.model_registered(elsewhere, name="churn", version="1", tags={}, properties={})
        assert cloud.event_grid.deliveries.settle(PATIENCE)

    (event,) = platform.events.list()
    assert isinstance(event, UnknownEvent)
    assert (event.type, event.data["ModelName"]) == ("Microsoft.MachineLearningServices.ModelRegistered", "churn")


def test_a_copy_of_our_version_in_others_hands_is_theirs(connected: Connected, cloud: AzureCloud) -> None:
    platform = connected()
    with served(platform) as url:
        subscribe(platform, url)
        copied = {"cloudmlops-version": "1", "cloudmlops-native": "1", "cloudmlops-store": "abfss://another"}
        cloud.event_grid.events.model_registered(
            workspace_id(platform), name="churn", version="1", tags={}, properties=copied
        )
        assert cloud.event_grid.deliveries.settle(PATIENCE)

    (event,) = platform.events.list(kind=ModelRegistered)
    assert event.platform == workspace_id(platform)


@pytest.mark.conformance(ci=True)
def test_ends_of_runs_are_told_as_the_library_tells_them_and_those_of_steps_are_kept(
    connected: Connected, cloud: AzureCloud
) -> None:
    platform = connected()
    ours = {"cloudmlops_pipeline": "flights", "cloudmlops_run": "flights-7"}
    with served(platform) as url:
        subscribe(platform, url)
        for run, tags, failed in (
            ("flights-7", ours, False),
            ("flights-7--R2", ours, True),
            ("sad_worm", {}, False),
            ("sad_worm", {}, True),
        ):
            about = {"experiment_id": "e", "experiment": "theirs", "run": run, "tags": tags, "properties": {}}
            tell = cloud.event_grid.events
            if failed:
                tell.run_status_changed(workspace_id(platform), run_type=None, status="failed", **about)
            else:
                tell.run_completed(workspace_id(platform), run_type="azureml.PipelineRun", **about)
            tell.run_completed(workspace_id(platform), run_type="azureml.StepRun", **about)
        assert cloud.event_grid.deliveries.settle(PATIENCE)

    here, there = platform.address, workspace_id(platform)
    completed = {(event.platform, event.pipeline, event.run) for event in platform.events.list(kind=RunCompleted)}
    assert completed == {(here, "flights", "flights-7"), (there, "theirs", "sad_worm")}
    failed_runs = {(event.platform, event.run, event.attempt) for event in platform.events.list(kind=RunFailed)}
    assert failed_runs == {(here, "flights-7", 2), (there, "sad_worm", 1)}
    assert len(platform.events.list(kind=UnknownEvent)) == 4


def test_drift_that_a_monitor_finds_is_told(connected: Connected, cloud: AzureCloud) -> None:
    platform = connected()
    day = datetime(2026, 3, 1, tzinfo=UTC)
    with served(platform) as url:
        subscribe(platform, url)
        cloud.event_grid.events.dataset_drift_detected(
            workspace_id(platform),
            drift_id="d1",
            drift="weather",
            run="r1",
            base_dataset="b",
            target_dataset="t",
            coefficient=0.83,
            start=day,
            end=day,
        )
        assert cloud.event_grid.deliveries.settle(PATIENCE)

    (event,) = platform.events.list(kind=DriftDetected)
    assert (event.platform, event.subject, event.metric) == (platform.address, "weather", "drift_coefficient")
    assert (event.value, event.threshold) == (0.83, 0.0)


@pytest.mark.conformance(ci=True)
def test_our_own_deployment_is_one_event_as_the_library_tells_it(
    connected: Connected, cloud: AzureCloud, azureml_emulator: Emulator, tmp_path: Path
) -> None:
    only = EventSubscriptionFilter(included_event_types=["Microsoft.MachineLearningServices.ModelDeployed"])
    platform = connected(serving="mlflow")
    version = platform.models.register("scaling", write_scaling_model(tmp_path / "model"))
    name = f"scaling-{version.registered_at:%f}"
    with served(platform) as url:
        subscribe(platform, url, filter=only)
        deployment = platform.endpoints.deploy(version, to=name)
        deployment.wait(timeout=timedelta(seconds=60))
        assert cloud.event_grid.deliveries.settle(PATIENCE)
    assert len(azureml_emulator.calls.list("eventgrid/deliver")) == 1
    (event,) = platform.events.list(kind=ModelDeployed)
    deployed_as = platform.endpoints.status(name).deployments[0].deployed_as
    platform.endpoints.delete(name)

    assert (event.model, event.version, event.endpoint) == ("scaling", version.version, name)
    assert (event.deployment, event.deployed_as) == (deployment.name, deployed_as)
    assert platform.events.list(kind=UnknownEvent) == []


def test_others_deployments_are_told_when_it_is_clear_of_which_model(connected: Connected, cloud: AzureCloud) -> None:
    platform = connected()
    with served(platform) as url:
        subscribe(platform, url)
        for models in ([("churn", "3")], [("churn", "3"), ("delay", "1")]):
            cloud.event_grid.events.model_deployed(
                workspace_id(platform), service="theirs", compute_type="ACI", models=models, tags={}, properties={}
            )
        assert cloud.event_grid.deliveries.settle(PATIENCE)

    (event,) = platform.events.list(kind=ModelDeployed)
    assert (event.model, event.version, event.endpoint, event.deployment) == ("churn", "3", "theirs", "theirs")
    (unclear,) = platform.events.list(kind=UnknownEvent)
    assert unclear.data["ModelIds"] == "churn:3,delay:1"


@pytest.mark.conformance
@pytest.mark.filterwarnings("ignore::marshmallow.warnings.RemovedInMarshmallow4Warning")
def test_the_ends_of_our_own_run_are_each_one_event_with_the_step_that_failed(
    connect_to_run: Connects, cloud: AzureCloud, azureml_emulator: Emulator, tmp_path: Path
) -> None:
    platform, missing = connect_to_run(), tmp_path / "missing"
    kinds = [f"Microsoft.MachineLearningServices.{kind}" for kind in ("RunCompleted", "RunStatusChanged")]
    with served(platform) as url:
        subscribe(platform, url, filter=EventSubscriptionFilter(included_event_types=kinds))
        run = platform.pipelines.run(reading, {"journal": str(tmp_path / "journal"), "missing": str(missing)})
        with pytest.raises(RunFailedError):
            run.wait()
        missing.touch()
        run.resume().wait()
        assert cloud.event_grid.deliveries.settle(PATIENCE)

    (failed,), (completed,) = (platform.events.list(kind=kind) for kind in (RunFailed, RunCompleted))
    assert (failed.platform, failed.pipeline, failed.run, failed.attempt) == (platform.address, "reading", run.id, 1)
    assert failed.step == "read"
    assert "FileNotFoundError" in failed.error
    assert (completed.platform, completed.pipeline, completed.run) == (platform.address, "reading", run.id)
    kept = len(platform.events.list(kind=UnknownEvent))  # of steps
    assert len(azureml_emulator.calls.list("eventgrid/deliver")) == kept + 2
