"""A real call of every verb that the library knows the rights of, with what it needs made by the owner before."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from threading import Event
from typing import Any

from cloudmlops import Entity, FeatureService, FeatureView, Platform, TableSource
from cloudmlops.domain.events import DriftDetected
from cloudmlops.domain.models import ModelVersion, Stage
from cloudmlops.errors import RunFailedError
from cloudmlops.testing.contract.models import written_model

from .deployments import Deployer
from .steps.pipelines import falling, single, talking

Act = Callable[[Platform], object]
Prepared = Callable[[], Act]
"""Makes what a call needs, and returns the call."""
AIRPORT = Entity("airport", keys={"origin": str})
LONG = timedelta(minutes=2)
WHEN = datetime(2026, 1, 31, 12, tzinfo=UTC)
UPWARDS = (Stage.CANDIDATE, Stage.STAGING, Stage.PRODUCTION)


@dataclass(frozen=True, kw_only=True)
class Calls:
    """The calls of some verbs."""

    of: Mapping[str, Prepared]
    become: Callable[[str], None]
    """Lets credentials that are made from now on be somebody's."""

    def only(self, *verbs: str) -> Calls:
        """Return the calls of some of these verbs."""
        return Calls(of={verb: self.of[verb] for verb in verbs}, become=self.become)


def always(act: Act) -> Prepared:
    """Return a call that needs nothing made anew."""
    return lambda: act


def model_calls(owner: Platform, folder: Path) -> Mapping[str, Prepared]:
    """Return the calls of models."""
    artifact, numbers = written_model(folder / "model"), count(1)
    first = owner.models.register("churn", artifact).version

    def of_fresh(act: Callable[[Platform, str], object]) -> Prepared:
        def prepared() -> Act:
            version = owner.models.register("churn", artifact, tags={"colour": "red"}).version
            return lambda at: act(at, version)

        return prepared

    def rolling_back() -> Act:
        name = f"displaced-{next(numbers)}"
        for _ in range(2):
            version = owner.models.register(name, artifact).version
            for stage in UPWARDS:
                owner.models.promote(name, version, to=stage, reason="good")
        return lambda at: at.models.rollback(name, reason="bad")

    return {
        "models.approve": of_fresh(lambda at, one: at.models.approve("churn", one, to=Stage.STAGING, reason="good")),
        "models.at": always(lambda at: at.models.at("churn", Stage.CANDIDATE, WHEN)),
        "models.delete": of_fresh(lambda at, one: at.models.delete("churn", one, reason="bad")),
        "models.download": always(lambda at: at.models.download("churn", first, to=folder / f"to-{next(numbers)}")),
        "models.get": always(lambda at: at.models.get("churn", first)),
        "models.history": always(lambda at: at.models.history("churn")),
        "models.list": always(lambda at: at.models.list("churn")),
        "models.names": always(lambda at: at.models.names()),
        "models.promote": of_fresh(lambda at, one: at.models.promote("churn", one, to=Stage.CANDIDATE, reason="good")),
        "models.register": always(lambda at: at.models.register("churn", artifact)),
        "models.repair": always(lambda at: at.models.repair("churn")),
        "models.rollback": rolling_back,
        "models.tag": always(lambda at: at.models.tag("churn", first, {"number": str(next(numbers))})),
        "models.untag": of_fresh(lambda at, one: at.models.untag("churn", one, ["colour"])),
        "models.verify": always(lambda at: at.models.verify("churn")),
    }


def event_calls(owner: Platform) -> Mapping[str, Prepared]:
    """Return the calls of events."""
    numbers = count(1)
    owner.events.on(DriftDetected, handler="fails", retries=0)(lambda event, _: fail(event))

    def drift(at: Platform) -> DriftDetected:
        metric = f"psi{next(numbers)}"
        return DriftDetected(platform=at.address, time=WHEN, subject="s", metric=metric, value=0.3, threshold=0.2)

    def process(at: Platform) -> None:
        at.events.on(DriftDetected, handler="counts")(lambda _, __: None)
        at.events.process()

    def run(at: Platform) -> None:
        stop = Event()
        at.events.on(DriftDetected, handler="stops")(lambda _, __: stop.set())
        at.events.run(stop)

    def fail(event: DriftDetected) -> None:
        raise ValueError(event.metric)

    def retrying() -> Act:
        owner.events.publish(drift(owner))
        owner.events.process()
        return lambda at: at.events.retry()

    def to_handle(act: Act) -> Prepared:
        def prepared() -> Act:
            owner.events.publish(drift(owner))
            return act

        return prepared

    return {
        "events.dead_letters": always(lambda at: at.events.dead_letters()),
        "events.list": always(lambda at: at.events.list()),
        "events.process": to_handle(process),
        "events.publish": always(lambda at: at.events.publish(drift(at))),
        "events.replay": to_handle(lambda at: at.events.replay(since=WHEN)),
        "events.retry": retrying,
        "events.run": to_handle(run),
    }


def feature_calls(owner: Platform) -> Mapping[str, Prepared]:
    """Return the calls of features."""
    numbers = count(1)
    rows = [{"origin": "JFK", "seen_at": WHEN, "wind": 1.0}]
    asked: list[dict[str, Any]] = [{"origin": "JFK", "event_time": WHEN}]
    served: list[dict[str, Any]] = [{**asked[0], "wind": 1.0}]

    def view(name: str) -> FeatureView:
        source = TableSource("weather")
        return FeatureView(name, entity=AIRPORT, source=source, timestamp="seen_at", features={"wind": float})

    weather = view("weather")
    owner.features.write_table("weather", rows)
    owner.features.apply([FeatureService("flights", views=[weather])])
    owner.features.materialize(weather)

    def push(at: Platform) -> None:
        later = {**rows[0], "seen_at": WHEN + timedelta(minutes=next(numbers))}
        at.features.push("weather", [later])

    return {
        "features.apply": always(lambda at: at.features.apply([view(f"weather_{next(numbers)}")])),
        "features.get": always(lambda at: at.features.get("flights")),
        "features.list": always(lambda at: at.features.list()),
        "features.materialize": always(lambda at: at.features.materialize(weather)),
        "features.online": always(lambda at: at.features.online("weather", [{"origin": "JFK"}])),
        "features.push": always(push),
        "features.reader": always(lambda at: at.features.reader("weather")([{"origin": "JFK"}])),
        "features.skew": always(lambda at: at.features.skew(weather, served)),
        "features.training_table": always(lambda at: at.features.training_table(weather, asked)),
        "features.view": always(lambda at: at.features.view("weather")),
        "features.write_table": always(lambda at: at.features.write_table(f"table_{next(numbers)}", rows)),
    }


def pipeline_calls(owner: Platform, folder: Path) -> Mapping[str, Prepared]:
    """Return the calls of pipelines."""
    numbers = count(1)
    owner.pipelines.run(single, id="ended", wait=True)
    owner.pipelines.schedule(single, name="kept", cron="0 3 * * *")

    def cancelling() -> Act:
        run = f"going-{next(numbers)}"
        owner.pipelines.run(talking, {"release": str(folder / "released")}, id=run)
        return lambda at: at.pipelines.get(run).cancel()

    def resuming() -> Act:
        run = f"fallen-{next(numbers)}"
        try:
            owner.pipelines.run(falling, id=run, wait=True)
        except RunFailedError:
            return lambda at: at.pipelines.get(run).resume()
        raise AssertionError(f"{run} did not fail")

    def waiting() -> Act:
        run = f"on-its-way-{next(numbers)}"
        owner.pipelines.run(single, id=run)
        return lambda at: at.pipelines.get(run).wait(timeout=LONG)

    def unscheduling() -> Act:
        name = f"nightly-{next(numbers)}"
        owner.pipelines.schedule(single, name=name, cron="0 3 * * *")
        return lambda at: at.pipelines.unschedule(name)

    return {
        "pipelines.cancel": cancelling,
        "pipelines.get": always(lambda at: at.pipelines.get("ended").outputs),
        "pipelines.list": always(lambda at: at.pipelines.list()),
        "pipelines.logs": always(lambda at: at.pipelines.get("ended").logs("one")),
        "pipelines.plan": always(lambda at: at.pipelines.plan(single)),
        "pipelines.resume": resuming,
        "pipelines.run": always(lambda at: at.pipelines.run(single, id=f"run-{next(numbers)}")),
        "pipelines.schedule": always(
            lambda at: at.pipelines.schedule(single, name=f"daily-{next(numbers)}", cron="0 3 * * *")
        ),
        "pipelines.schedules": always(lambda at: at.pipelines.schedules()),
        "pipelines.unschedule": unscheduling,
        "pipelines.wait": waiting,
    }


def endpoint_calls(deployer: Deployer, folder: Path) -> Mapping[str, Prepared]:
    """Return the calls of endpoints; one that has two deployments stays."""
    owner, name, numbers = deployer.platform, deployer.endpoint, count(1)
    one, two = deployer.version(1.0), deployer.version(2.0)
    rows = folder / "rows.jsonl"
    rows.write_text('{"value": 2, "seconds": 0}\n', encoding="utf-8")

    def deploy(at: Platform, version: ModelVersion, to: str, as_: str, **more: Any) -> None:
        at.endpoints.deploy(version, to=to, name=as_, **more).wait(timeout=LONG)

    deploy(owner, one, name, "v1")
    deploy(owner, two, name, "v2", traffic_percent=0)

    def shares() -> Mapping[str, int]:
        first = 10 + next(numbers) % 80
        return {"v1": first, "v2": 100 - first}

    def undeploying() -> Act:
        extra = f"d{next(numbers)}"
        deploy(owner, one, name, extra, traffic_percent=0)
        return lambda at: at.endpoints.undeploy(name, extra)

    def deleting() -> Act:
        other = f"{name}-{next(numbers)}"
        deploy(owner, one, other, "v1")
        return lambda at: at.endpoints.delete(other)

    def rolling_back() -> Act:
        owner.endpoints.shift_traffic(name, shares())
        return lambda at: at.endpoints.rollback(name)

    def mirroring() -> Act:
        owner.endpoints.shift_traffic(name, {"v1": 100, "v2": 0})
        return lambda at: at.endpoints.mirror_traffic(name, "v2", percent=1 + next(numbers) % 50)

    def shifting() -> Act:
        owner.endpoints.mirror_traffic(name, "v2", percent=0)
        return lambda at: at.endpoints.shift_traffic(name, shares())

    def score(at: Platform) -> None:
        at.endpoints.predict_batch(one, str(rows), str(folder / f"scored-{next(numbers)}.jsonl"))

    return {
        "endpoints.delete": deleting,
        "endpoints.deploy": always(lambda at: deploy(at, one, f"{name}-{next(numbers)}", "v1")),
        "endpoints.list": always(lambda at: at.endpoints.list()),
        "endpoints.logs": always(lambda at: at.endpoints.logs(name, "v1")),
        "endpoints.predict": always(lambda at: at.endpoints.predict(name, [[1, 0]])),
        "endpoints.predict_batch": always(score),
        "endpoints.shift_traffic": shifting,
        "endpoints.rollback": rolling_back,
        "endpoints.mirror_traffic": mirroring,
        "endpoints.status": always(lambda at: at.endpoints.status(name)),
        "endpoints.undeploy": undeploying,
    }
