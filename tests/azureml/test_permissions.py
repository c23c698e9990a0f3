"""Each verb needs no more than its actions say, where they say it: with roles of exactly these it goes through."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cloudmlops import Entity, FeatureService, FeatureView, Platform, TableSource, connect
from cloudmlops.domain.events import DriftDetected, EventContext, RunCompleted
from cloudmlops.domain.models import Stage
from cloudmlops.domain.runs import RunState
from cloudmlops.emulators.azure.cloud import AzureCloud
from cloudmlops.emulators.core.emulator import Emulator
from cloudmlops.errors import DeploymentFailedError, PermissionDeniedError, RunFailedError
from cloudmlops.providers.azureml.sdk import ml
from cloudmlops.testing.contract.models import written_model

from .conftest import GROUP, Opened
from .custom_roles import Rights, take_all
from .deployments import Deployer, until
from .steps.pipelines import falling, pictured, single, talking

pytestmark = pytest.mark.conformance(ci=True)

Acts = Mapping[str, Callable[[Platform], object]]
LONG = timedelta(minutes=2)
WHEN = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.fixture
def rights(cloud: AzureCloud, opened: Opened) -> Iterator[Callable[[], Rights]]:
    """Whose rights are as the settings are now, which the environment has a say in."""
    yield lambda: Rights(cloud, opened())
    take_all(cloud, cloud.tokens.directory.by_name("worker").object_id)


@pytest.fixture
def check(rights: Callable[[], Rights], as_somebody: Callable[[str], None]) -> Callable[[Acts], None]:
    """Do each verb on a platform of its own as the worker, who may do that verb only."""

    def each(acts: Acts) -> None:
        may = rights()
        as_somebody("worker")
        for verb, act in acts.items():
            may.of(verb)
            with connect(may.settings.target) as platform:
                act(platform)

    return each


def fails(event: DriftDetected, _: EventContext) -> None:
    raise ValueError(event.metric)


def test_models(check: Callable[[Acts], None], tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    artifact = written_model(tmp_path / "model")
    check(
        {
            "models.register": lambda at: at.models.register("churn", artifact, tags={"long": "x" * 2000}),
            "models.get": lambda at: at.models.get("churn", "1"),
            "models.list": lambda at: at.models.list(),
            "models.names": lambda at: at.models.names(),
            "models.tag": lambda at: at.models.tag("churn", "1", {"colour": "red"}),
            "models.untag": lambda at: at.models.untag("churn", "1", ["colour"]),
            "models.promote": lambda at: at.models.promote("churn", "1", to=Stage.CANDIDATE, reason="good"),
            "models.history": lambda at: at.models.history("churn"),
            "models.at": lambda at: at.models.at("churn", Stage.CANDIDATE, datetime.now(UTC)),
            "models.download": lambda at: at.models.download("churn", "1", to=tmp_path / "downloaded"),
            "models.verify": lambda at: at.models.verify("churn"),
            "models.repair": lambda at: at.models.repair("churn"),
        }
    )
    assert [record.message for record in caplog.records if record.name.startswith("cloudmlops")] == []


def test_approving_needs_no_right_to_change_versions(
    check: Callable[[Acts], None], opened: Opened, tmp_path: Path
) -> None:
    with connect(opened().settings.target) as platform:
        platform.models.register("churn", written_model(tmp_path / "model"))

    check({"models.approve": lambda at: at.models.approve("churn", "1", to=Stage.PRODUCTION, reason="good")})


def test_models_in_production(check: Callable[[Acts], None], opened: Opened, tmp_path: Path) -> None:
    artifact = written_model(tmp_path / "model")
    with connect(opened().settings.target) as platform:
        for version in ("1", "2"):
            platform.models.register("churn", artifact)
            for stage in (Stage.CANDIDATE, Stage.STAGING, Stage.PRODUCTION):
                platform.models.promote("churn", version, to=stage, reason="good")
    check(
        {
            "models.rollback": lambda at: at.models.rollback("churn", reason="bad"),
            "models.delete": lambda at: at.models.delete("churn", "2"),
        }
    )


def test_events(check: Callable[[Acts], None]) -> None:
    def publish(at: Platform) -> None:
        at.events.publish(
            DriftDetected(platform=at.address, time=WHEN, subject="s", metric="psi", value=0.3, threshold=0.2)
        )

    def process(at: Platform) -> None:
        at.events.on(DriftDetected, handler="fails", retries=0)(fails)
        at.events.process()

    check(
        {
            "events.publish": publish,
            "events.list": lambda at: at.events.list(),
            "events.process": process,
            "events.dead_letters": lambda at: at.events.dead_letters(),
            "events.retry": lambda at: at.events.retry(),
            "events.replay": lambda at: at.events.replay(since=WHEN),
        }
    )


@pytest.mark.parametrize("verb", ["models.register", "models.promote", "models.delete"])
def test_reading_alone_does_not_suffice(
    opened: Opened, rights: Callable[[], Rights], as_somebody: Callable[[str], None], tmp_path: Path, verb: str
) -> None:
    target = opened().settings.target
    artifact = written_model(tmp_path / "model")
    with connect(target) as platform:
        platform.models.register("churn", artifact)
    acts: Acts = {
        "models.register": lambda at: at.models.register("churn", artifact),
        "models.promote": lambda at: at.models.promote("churn", "1", to=Stage.CANDIDATE),
        "models.delete": lambda at: at.models.delete("churn", "1"),
    }
    rights().of("models.get")
    as_somebody("worker")

    with connect(target) as reading, pytest.raises(PermissionDeniedError):
        acts[verb](reading)


@pytest.fixture
def steps_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps run in this environment."""
    monkeypatch.setenv("CLOUDMLOPS_AZUREML_ENVIRONMENT", "azureml:steps:1")


@pytest.mark.usefixtures("steps_run")
@pytest.mark.filterwarnings("ignore::marshmallow.warnings.RemovedInMarshmallow4Warning")
@pytest.mark.parametrize("shown", [False, True], ids=["shown nowhere", "shown by a feature store"])
def test_features(
    check: Callable[[Acts], None], cloud: AzureCloud, monkeypatch: pytest.MonkeyPatch, *, shown: bool
) -> None:
    if shown:
        cloud.ensure_workspace("feature-store-of-permissions", group=GROUP)
        monkeypatch.setenv("CLOUDMLOPS_AZUREML_FEATURE_STORE", "feature-store-of-permissions")
    rows = [{"origin": "JFK", "seen_at": WHEN, "wind": 1.0}]
    asked: list[dict[str, Any]] = [{"origin": "JFK", "event_time": WHEN}]
    served: list[dict[str, Any]] = [{**asked[0], "wind": 1.0}]
    later = [{"origin": "JFK", "seen_at": WHEN + timedelta(minutes=1), "wind": 2.0}]
    weather = FeatureView(
        "weather",
        entity=Entity("airport", keys={"origin": str}),
        source=TableSource("weather"),
        timestamp="seen_at",
        features={"wind": float},
    )
    check(
        {
            "features.write_table": lambda at: at.features.write_table("weather", rows),
            "features.apply": lambda at: at.features.apply([FeatureService("flights", views=[weather])]),
            "features.list": lambda at: at.features.list(),
            "features.view": lambda at: at.features.view("weather"),
            "features.get": lambda at: at.features.get("flights"),
            "features.training_table": lambda at: at.features.training_table(weather, asked),
            "features.materialize": lambda at: at.features.materialize(weather),
            "features.push": lambda at: at.features.push(weather, later),
            "features.online": lambda at: at.features.online(weather, [{"origin": "JFK"}]),
            "features.reader": lambda at: at.features.reader(weather)([{"origin": "JFK"}]),
            "features.skew": lambda at: at.features.skew(weather, served),
        }
    )


@pytest.mark.usefixtures("steps_run")
@pytest.mark.filterwarnings("ignore::marshmallow.warnings.RemovedInMarshmallow4Warning")
def test_pipelines(check: Callable[[Acts], None]) -> None:
    check(
        {
            "pipelines.run": lambda at: at.pipelines.run(pictured, id="run-1"),
            "pipelines.wait": lambda at: at.pipelines.get("run-1").wait(),
            "pipelines.get": lambda at: at.pipelines.get("run-1").outputs,
            "pipelines.logs": lambda at: at.pipelines.get("run-1").logs("one"),
            "pipelines.list": lambda at: at.pipelines.list(),
            "pipelines.plan": lambda at: at.pipelines.plan(single),
            "pipelines.schedule": lambda at: at.pipelines.schedule(single, name="nightly", cron="0 3 * * *"),
            "pipelines.schedules": lambda at: at.pipelines.schedules(),
            "pipelines.unschedule": lambda at: at.pipelines.unschedule("nightly"),
        }
    )


@pytest.mark.usefixtures("steps_run")
@pytest.mark.filterwarnings("ignore::marshmallow.warnings.RemovedInMarshmallow4Warning")
def test_a_run_that_ended_is_shown_to_who_may_only_read_and_told_of_by_who_may_write(
    rights: Callable[[], Rights], as_somebody: Callable[[str], None]
) -> None:
    may = rights()
    with connect(may.settings.target) as owner:
        run = owner.pipelines.run(single, id="quiet")
        as_somebody("worker")
        may.of("pipelines.get")
        with connect(may.settings.target) as reading:
            until(lambda: reading.pipelines.get("quiet").status is RunState.SUCCEEDED)
            assert [one.status for one in reading.pipelines.list()] == [RunState.SUCCEEDED]
        as_somebody("owner")

        assert [one for one in owner.events.list() if isinstance(one, RunCompleted)] == []
        assert run.wait().status is RunState.SUCCEEDED
        assert len([one for one in owner.events.list() if isinstance(one, RunCompleted)]) == 1


@pytest.mark.usefixtures("steps_run")
@pytest.mark.filterwarnings("ignore::marshmallow.warnings.RemovedInMarshmallow4Warning")
def test_a_run_that_a_schedule_started_is_shown_to_who_may_only_read_before_anybody_else_has_looked(
    rights: Callable[[], Rights], as_somebody: Callable[[str], None], azureml_emulator: Emulator
) -> None:
    may = rights()
    azureml_emulator.clock.freeze(datetime(2030, 1, 1, 1, 30, tzinfo=UTC))
    with connect(may.settings.target) as owner:
        owner.pipelines.schedule(single, name="nightly", cron="0 2 * * *", parameters={"value": 7})
        azureml_emulator.clock.advance(timedelta(hours=1))
        as_somebody("worker")
        with connect(may.settings.target) as reading:
            may.of("pipelines.list")
            (seen,) = reading.pipelines.list()
            may.of("pipelines.get")
            assert reading.pipelines.get(seen.id).lineage == seen.lineage
            until(lambda: reading.pipelines.get(seen.id).status is RunState.SUCCEEDED)
            may.of("pipelines.logs")
            assert reading.pipelines.get(seen.id).logs("one") == ""
        as_somebody("owner")

        (run,) = owner.pipelines.list()
        assert (run.id, run.lineage, run.created_at) == (seen.id, seen.lineage, seen.created_at)


@pytest.mark.usefixtures("steps_run")
@pytest.mark.filterwarnings("ignore::marshmallow.warnings.RemovedInMarshmallow4Warning")
def test_runs_that_do_not_end_well(check: Callable[[Acts], None], opened: Opened, tmp_path: Path) -> None:
    with connect(opened().settings.target) as platform:
        platform.pipelines.run(talking, {"release": str(tmp_path / "never")}, id="resting")
        with pytest.raises(RunFailedError):
            platform.pipelines.run(falling, id="mending", wait=True)
    check(
        {
            "pipelines.cancel": lambda at: at.pipelines.get("resting").cancel(),
            "pipelines.resume": lambda at: at.pipelines.get("mending").resume(),
        }
    )


@pytest.fixture
def serving(deployer: Deployer, monkeypatch: pytest.MonkeyPatch) -> Deployer:
    """Models are served by a container that is up at once, files scored on a cluster."""
    for name, value in deployer.settings.items():
        monkeypatch.setenv(f"CLOUDMLOPS_AZUREML_{name.upper()}", value)
    client: Any = deployer.platform.native
    client.compute.begin_create_or_update(ml().entities.AmlCompute(name="scoring", size="Standard_DS3_v2")).result()
    return deployer


def test_endpoints(check: Callable[[Acts], None], serving: Deployer, tmp_path: Path) -> None:
    one, two, name = serving.version(1.0), serving.version(2.0), serving.endpoint
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"value": 2, "seconds": 0}\n')

    def deploy(at: Platform) -> None:
        at.endpoints.deploy(one, to=name).wait(timeout=LONG)
        at.endpoints.deploy(two, to=name).wait(timeout=LONG)
        with pytest.raises(DeploymentFailedError, match="weights are missing"):
            at.endpoints.deploy(serving.version(fails="weights are missing"), to=name).wait(timeout=LONG)

    check(
        {
            "endpoints.deploy": deploy,
            "endpoints.shift_traffic": lambda at: at.endpoints.shift_traffic(name, {"v1": 40, "v2": 60}),
            "endpoints.rollback": lambda at: at.endpoints.rollback(name),
            "endpoints.status": lambda at: at.endpoints.status(name),
            "endpoints.list": lambda at: at.endpoints.list(),
            "endpoints.logs": lambda at: at.endpoints.logs(name, "v1"),
            "endpoints.predict": lambda at: at.endpoints.predict(name, [[1, 0]]),
            "endpoints.mirror_traffic": lambda at: at.endpoints.mirror_traffic(name, "v2", percent=10),
            "endpoints.undeploy": lambda at: at.endpoints.undeploy(name, "v2"),
            "endpoints.delete": lambda at: at.endpoints.delete(name),
            "endpoints.predict_batch": lambda at: at.endpoints.predict_batch(one, str(rows), str(tmp_path / "o.jsonl")),
        }
    )
