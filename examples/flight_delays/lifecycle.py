"""The life of the model, told once: train, approve, serve, try a second version, go back. `python lifecycle.py`.

Told again in the same folder, everything that is done already is found in the cache or in the ledger.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import cloudmlops as cm
import handlers
from features import flight_delay_service
from pipeline import MODEL, flight_delay

ENDPOINT = "flight-delay"
FIRST = {"learning_rate": 0.1, "iterations": 60, "leaves": 8}
SECOND = {"learning_rate": 0.1, "iterations": 120, "leaves": 15}
FLIGHTS = [
    {"carrier": "AA", "origin": "LGA", "tailnum": "N3ENAA", "distance": 1096, "scheduled_hour": 17},
    {"carrier": "9E", "origin": "EWR", "tailnum": "N8930E", "distance": 569, "scheduled_hour": 17},
    {"carrier": "WN", "origin": "LGA", "tailnum": "N652SW", "distance": 764, "scheduled_hour": 17},
]
"""Keys, and what the request says: none of the features. They left 2 minutes early, 74 and 32 minutes late."""

Say = Callable[[str], None]


def tell(
    platform: cm.Platform, say: Say, *, data: dict[str, object] | None = None, progress: bool = True
) -> dict[str, Any]:
    """Take the project through its life.

    Args:
        platform: Where it runs.
        say: Told what happens, line by line.
        data: Parameters of the pipeline that choose less data.
        progress: Show the steps of each run on standard error.

    Returns:
        What was made, for programs.
    """
    handlers.register(platform)
    data = data or {}

    say("1. Train a first version: ingest, validate, features, point-in-time join, boosted trees, evaluation.")
    first = train(platform, say, data | FIRST, progress=progress)
    say("2. The same run again: nothing has changed, so nothing runs.")
    again = train(platform, say, data | FIRST, progress=False)
    say("3. Bring it to production: validated by an event handler, approved by somebody else.")
    to_production(platform, say, first)
    say("4. Serve it: features go online, a process answers over HTTP.")
    materialize(platform, say, first)
    serve(platform, say, first, percent=None)
    forecasts = predict(platform, say)

    say("5. Train a second version with other parameters; data and features come from the cache.")
    second = train(platform, say, data | SECOND, progress=progress)
    say("6. Give it a tenth of the traffic, then production, then go back.")
    released = compare(platform, say, first, second)
    return {
        "model": MODEL,
        "versions": {run.outputs["version"]: dict(run.outputs["metrics"]) for run in (first, second)},
        "runs": [first.id, again.id, second.id],
        "cached_when_run_again": sum(step.state == "cached" for step in again.steps.values()),
        "production": platform.models.get(MODEL, stage="production").version,
        "in_production_before_the_rollback": released,
        "endpoint": ENDPOINT,
        "address": platform.endpoints.status(ENDPOINT).address,
        "traffic": dict(platform.endpoints.status(ENDPOINT).traffic),
        "forecasts": forecasts,
        "reports": [str(run.outputs["report"].path) for run in (first, second)],
    }


def train(platform: cm.Platform, say: Say, parameters: dict[str, object], *, progress: bool) -> Any:
    """Run the pipeline and say what came of it."""
    began = time.perf_counter()
    run = platform.pipelines.run(flight_delay, parameters, wait=True, progress=progress)
    cached = sum(step.state == "cached" for step in run.steps.values())
    metrics = run.outputs["metrics"]
    say(
        f"   {MODEL} version {run.outputs['version']}: ROC AUC {metrics['roc_auc']:.3f} "
        f"(baseline {metrics['baseline_roc_auc']:.3f}); {cached} of {len(run.steps)} steps from the cache; "
        f"{time.perf_counter() - began:.1f} s"
    )
    return run


def to_production(platform: cm.Platform, say: Say, run: Any) -> None:
    """Promote a run's version stage by stage, unless it has been in production before."""
    models, version = platform.models, run.outputs["version"]
    platform.events.process()
    stage = models.get(MODEL, version).stage
    say(f"   after its registration was handled, version {version} is {describe(stage)}")
    if stage in (cm.Stage.PRODUCTION, cm.Stage.ARCHIVED):
        return
    if stage is cm.Stage.CANDIDATE:
        models.promote(MODEL, version, to=cm.Stage.STAGING, reason="the report looks right")
    platform.acting_as("reviewer").models.approve(MODEL, version, to=cm.Stage.PRODUCTION, reason="read the report")
    metrics = run.outputs["metrics"]
    scores = ("roc_auc", "average_precision", "log_loss", "brier")
    evidence = {
        "metrics": {name: metrics[name] for name in scores},
        "baseline": {name: in_production(platform).get(name, metrics[f"baseline_{name}"]) for name in scores},
        "run": run.id,
        "reports": [run.outputs["report"].uri],
    }
    models.promote(MODEL, version, to=cm.Stage.PRODUCTION, reason="better than what it replaces", evidence=evidence)
    say(
        f"   approved by 'reviewer' and promoted: ROC AUC {evidence['metrics']['roc_auc']:.4f} "
        f"beats {evidence['baseline']['roc_auc']:.4f}"
    )


def in_production(platform: cm.Platform) -> dict[str, float]:
    """Return the metrics of the version in production; none when there is none."""
    return {
        name: value
        for found in platform.models.list(MODEL, stage="production")
        for name, value in found.metrics.items()
    }


def materialize(platform: cm.Platform, say: Say, run: Any) -> None:
    """Put what is known of each airport, carrier and plane into the online store."""
    sources = {name: run.output("compute_features", name).uri for name in ("weather", "delays", "planes")}
    written = platform.features.materialize(flight_delay_service(**sources))
    say("   online: " + ", ".join(f"{count:,} keys of {view}" for view, count in written.items()))


def serve(platform: cm.Platform, say: Say, run: Any, *, percent: int | None) -> None:
    """Deploy a run's version, unless it is deployed already."""
    version = platform.models.get(MODEL, run.outputs["version"])
    names = [found.name for status in platform.endpoints.list() for found in status.deployments]
    if f"v{version.version}" not in names:
        began = time.perf_counter()
        deployment = platform.endpoints.deploy(version, to=ENDPOINT, traffic_percent=percent)
        deployment.wait(timeout=timedelta(seconds=60))
        say(f"   version {version.version} answers after {time.perf_counter() - began:.1f} s")
    status = platform.endpoints.status(ENDPOINT)
    say(f"   {status.address} sends {describe_traffic(status.traffic)}")


def predict(platform: cm.Platform, say: Say) -> list[float]:
    """Ask for three flights; the server looks their features up by key."""
    forecasts = [late for _, late in platform.endpoints.predict(ENDPOINT, FLIGHTS)]
    for flight, forecast in zip(FLIGHTS, forecasts, strict=True):
        say(
            f"   {flight['carrier']} from {flight['origin']} at {flight['scheduled_hour']}:00: late with {forecast:.0%}"
        )
    return forecasts


def compare(platform: cm.Platform, say: Say, first: Any, second: Any) -> str | None:
    """Try the second version on live traffic, release it, and go back; return what was in production before that."""
    old, new = first.outputs["version"], second.outputs["version"]
    platform.events.process()
    if platform.models.get(MODEL, new).stage is cm.Stage.ARCHIVED:
        say(f"   version {new} was tried and rolled back before")
        return None
    serve(platform, say, second, percent=10)
    predict(platform, say)
    to_production(platform, say, second)
    status = platform.endpoints.shift_traffic(ENDPOINT, {f"v{new}": 100})
    say(f"   {status.address} sends {describe_traffic(status.traffic)}")

    released = datetime.now().astimezone()
    platform.models.rollback(MODEL, reason="a drill: can we go back?")
    status = platform.endpoints.shift_traffic(ENDPOINT, {f"v{old}": 100})
    was, now = (platform.models.at(MODEL, "production", when) for when in (released, datetime.now().astimezone()))
    say(f"   rolled back: the ledger says that version {was} was in production then, and version {now} is now")
    say(f"   {status.address} sends {describe_traffic(status.traffic)}")
    return was


def describe(stage: cm.Stage) -> str:
    """Say where a version stands."""
    return "in production" if stage is cm.Stage.PRODUCTION else f"{stage}"


def describe_traffic(traffic: Any) -> str:
    """Say who gets how much."""
    return " and ".join(f"{share} % to {name}" for name, share in traffic.items())


if __name__ == "__main__":
    with cm.connect() as connected:
        tell(connected, print)
