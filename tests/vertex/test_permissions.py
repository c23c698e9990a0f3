"""Each verb needs no more than its permissions say: with all others denied, it goes through."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from cloudmlops import Platform, connect
from cloudmlops.domain.events import DriftDetected, EventContext
from cloudmlops.domain.features import Entity, FeatureService, FeatureView, TableSource
from cloudmlops.domain.models import Stage
from cloudmlops.domain.pipelines import pipeline, step
from cloudmlops.emulators.core.emulator import Emulator
from cloudmlops.emulators.google.aiplatform.catalogue import methods, service_names
from cloudmlops.emulators.google.aiplatform.permissions import permission
from cloudmlops.emulators.google.bigquery.callers import OF_JOBS as BIGQUERY
from cloudmlops.emulators.google.bigtable.permissions import PERMISSIONS as BIGTABLE
from cloudmlops.emulators.google.cloud import GoogleCloud
from cloudmlops.emulators.google.storage.permissions import PERMISSIONS as STORAGE
from cloudmlops.errors import RunFailedError
from cloudmlops.providers.vertex.mapping.access import permissions_of
from cloudmlops.providers.vertex.settings import VertexSettings
from cloudmlops.testing.contract.models import written_model
from cloudmlops.testing.model_folders import write_scaling_model

from .conftest import LOCATION, Opened

pytestmark = pytest.mark.conformance(ci=True)

Acts = Mapping[str, Callable[[Platform], object]]

MINUTE = timedelta(minutes=1)
WHEN = datetime(2026, 1, 31, 12, tzinfo=UTC)
IMAGE = "europe-west4-docker.pkg.dev/any/steps/cloudmlops:latest"

weather = FeatureView(
    "weather",
    entity=Entity("airport", keys={"origin": str}),
    source=TableSource("weather"),
    timestamp="seen_at",
    features={"wind": float},
)


@step
def measure(rows: int) -> int:
    return rows


@pipeline
def measuring(rows: int = 3) -> int:
    return measure(rows)


@step
def rest(_: int) -> int:
    Event().wait(timeout=60)
    return 1


@pipeline
def resting() -> int:
    return rest(1)


@step
def once_broken(mark: str) -> int:
    mended = Path(mark).exists()
    Path(mark).touch()
    if not mended:
        raise ValueError("not yet")
    return 1


@pipeline
def mending(mark: str) -> int:
    return once_broken(mark)


@cache
def all_permissions() -> frozenset[str]:
    """Return the permissions that the emulator asks for."""
    vertex = {permission(method) for name in service_names("v1") for method in methods("v1", name).values()}
    bigtable = {name for names in BIGTABLE.values() for name in names}
    others = {"logging.logEntries.list", "pubsub.topics.publish", "pubsub.subscriptions.consume"}
    return frozenset({name for name in vertex if name} | set(STORAGE.values()) | BIGQUERY | bigtable | others)


@pytest.fixture
def check(opened: Opened, vertex_emulator: Emulator) -> Callable[[Acts], None]:
    """Do each verb on a platform of its own that has the verb's permissions only."""
    target = opened(image=IMAGE).target
    access = vertex_emulator.cloud(GoogleCloud).access
    needed = permissions_of(VertexSettings.from_target(target))

    def each(acts: Acts) -> None:
        for verb, act in acts.items():
            for name in all_permissions() - {one.name for one in needed[verb]}:
                access.deny(name)
            with connect(target) as platform:
                act(platform)
            access.allow()

    return each


def fails(event: DriftDetected, _: EventContext) -> None:
    raise ValueError(event.metric)


def test_models(check: Callable[[Acts], None], tmp_path: Path) -> None:
    artifact = written_model(tmp_path / "model")
    check(
        {
            "models.register": lambda at: at.models.register("churn", artifact, tags={"Team": "A"}),
            "models.get": lambda at: at.models.get("churn", "1"),
            "models.list": lambda at: at.models.list(),
            "models.names": lambda at: at.models.names(),
            "models.tag": lambda at: at.models.tag("churn", "1", {"colour": "red"}),
            "models.untag": lambda at: at.models.untag("churn", "1", ["colour"]),
            "models.approve": lambda at: at.acting_as("bob").models.approve(
                "churn", "1", to=Stage.PRODUCTION, reason="good"
            ),
            "models.promote": lambda at: at.models.promote("churn", "1", to=Stage.CANDIDATE, reason="good"),
            "models.history": lambda at: at.models.history("churn"),
            "models.at": lambda at: at.models.at("churn", Stage.CANDIDATE, datetime.now(UTC)),
            "models.download": lambda at: at.models.download("churn", "1", to=tmp_path / "downloaded"),
            "models.verify": lambda at: at.models.verify("churn"),
            "models.repair": lambda at: at.models.repair("churn"),
        }
    )


def test_a_model_whose_file_goes_up_in_parts(check: Callable[[Acts], None], tmp_path: Path) -> None:
    artifact = written_model(tmp_path / "model")
    (artifact / "weights.bin").write_bytes(bytes(12 * 1024 * 1024))

    check({"models.register": lambda at: at.models.register("churn", artifact)})


def test_models_in_production(check: Callable[[Acts], None], opened: Opened, tmp_path: Path) -> None:
    artifact = written_model(tmp_path / "model")
    with connect(opened().target) as platform:
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

    def run(at: Platform) -> None:
        stop = Event()
        at.events.on(DriftDetected, handler="stops")(lambda _, __: stop.set())
        at.events.run(stop)

    check(
        {
            "events.publish": publish,
            "events.list": lambda at: at.events.list(),
            "events.process": process,
            "events.dead_letters": lambda at: at.events.dead_letters(),
            "events.retry": lambda at: at.events.retry(),
            "events.replay": lambda at: at.events.replay(since=WHEN),
            "events.run": run,
        }
    )


def test_endpoints(check: Callable[[Acts], None], opened: Opened, tmp_path: Path) -> None:
    with connect(opened().target) as platform:
        version = platform.models.register("scaling", write_scaling_model(tmp_path / "model"))

    def deploy(at: Platform) -> None:
        for name in ("one", "two"):
            at.endpoints.deploy(version, to="live", name=name).wait(timeout=MINUTE)

    rows, scored = tmp_path / "rows.jsonl", tmp_path / "scored.jsonl"
    rows.write_text('{"value": 1.0, "seconds": 0.0}\n', encoding="utf-8")
    check(
        {
            "endpoints.deploy": deploy,
            "endpoints.predict_batch": lambda at: at.endpoints.predict_batch(version, str(rows), str(scored)),
            "endpoints.status": lambda at: at.endpoints.status("live"),
            "endpoints.list": lambda at: at.endpoints.list(),
            "endpoints.predict": lambda at: at.endpoints.predict("live", [[1.0, 0.0]]),
            "endpoints.logs": lambda at: at.endpoints.logs("live", "one"),
            "endpoints.shift_traffic": lambda at: at.endpoints.shift_traffic("live", {"one": 50, "two": 50}),
            "endpoints.rollback": lambda at: at.endpoints.rollback("live"),
            "endpoints.undeploy": lambda at: at.endpoints.undeploy("live", "two"),
            "endpoints.delete": lambda at: at.endpoints.delete("live"),
        }
    )


def test_features(check: Callable[[Acts], None]) -> None:
    rows = [{"origin": "JFK", "seen_at": WHEN, "wind": 1.0}]
    asked: list[dict[str, Any]] = [{"origin": "JFK", "event_time": WHEN}]
    served: list[dict[str, Any]] = [{**asked[0], "wind": 1.0}]
    later = [{"origin": "JFK", "seen_at": WHEN + MINUTE, "wind": 2.0}]
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


def test_pipelines(check: Callable[[Acts], None]) -> None:
    check(
        {
            "pipelines.run": lambda at: at.pipelines.run(measuring, id="run-1").wait(timeout=MINUTE, progress=False),
            "pipelines.get": lambda at: at.pipelines.get("run-1"),
            "pipelines.wait": lambda at: at.pipelines.get("run-1").wait(timeout=MINUTE),
            "pipelines.logs": lambda at: at.pipelines.get("run-1").logs("measure"),
            "pipelines.list": lambda at: at.pipelines.list(),
            "pipelines.plan": lambda at: at.pipelines.plan(measuring),
            "pipelines.schedule": lambda at: at.pipelines.schedule(measuring, name="nightly", cron="0 3 * * *"),
            "pipelines.schedules": lambda at: at.pipelines.schedules(),
            "pipelines.unschedule": lambda at: at.pipelines.unschedule("nightly"),
        }
    )


def test_runs_that_do_not_end_well(check: Callable[[Acts], None], opened: Opened, tmp_path: Path) -> None:
    with connect(opened(image=IMAGE).target) as platform:
        platform.pipelines.run(resting, id="resting")
        with pytest.raises(RunFailedError):
            platform.pipelines.run(mending, {"mark": str(tmp_path / "mark")}, id="mending", wait=True)
    check(
        {
            "pipelines.cancel": lambda at: at.pipelines.get("resting").cancel(),
            "pipelines.resume": lambda at: at.pipelines.get("mending").resume(wait=True),
        }
    )


def test_every_verb_is_tried() -> None:
    source = Path(__file__).read_text(encoding="utf-8")
    declared = permissions_of(VertexSettings(project="p-123456", location=LOCATION, bucket="bucket"))
    assert [verb for verb in declared if f'"{verb}":' not in source] == []
