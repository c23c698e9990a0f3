"""The life of the model, told once: train, approve, serve, try a second version, go back. `python lifecycle.py`.

Told again in the same folder, everything that is done already is found in the cache, in the ledger or at the endpoint.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import cloudmlops as cm
import handlers
from features import flight_delay_service
from pipeline import MODEL, flight_delay

ENDPOINT = "flight-delay"
FIRST = {"iterations": 20}
SECOND = {"iterations": 60}
FLIGHTS = [
    {"carrier": "AA", "origin": "LGA", "tailnum": "N3ENAA", "distance": 1096, "scheduled_hour": 17},
    {"carrier": "9E", "origin": "EWR", "tailnum": "N8930E", "distance": 569, "scheduled_hour": 17},
    {"carrier": "WN", "origin": "LGA", "tailnum": "N652SW", "distance": 764, "scheduled_hour": 17},
]
"""Keys, and what the request says, but no features. The model learned from flights before November."""
OUTCOMES = ["left 2 minutes early", "left 74 minutes late", "left 32 minutes late"]
CANARY_REQUESTS = 100

Say = Callable[[str], None]


def tell(
    platform: cm.Platform, say: Say, *, data: Mapping[str, object] | None = None, progress: bool = True
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
    less = dict(data or {})

    say("1. Train a first version: ingest, validate, features, point-in-time join, boosted trees, evaluation.")
    first = train(platform, say, less | FIRST, progress=progress)

    say("2. The same run again: nothing has changed, so nothing runs.")
    again = train(platform, say, less | FIRST, progress=False)

    say("3. Bring it to production: validated by an event handler, approved by somebody else.")
    to_production(platform, say, first)

    say("4. Serve it: the features go online, a process answers over HTTP.")
    materialize(platform, say, first)
    serve(platform, say, first)
    forecasts = predict(platform, say)

    say("5. Train a second version with other parameters; data and features come from the cache.")
    second = train(platform, say, less | SECOND, progress=progress)

    say("6. Give it a tenth of the traffic, then production, then go back.")
    canary_answers = release(platform, say, first, second, forecasts)
    before = before_the_rollback(platform)
    status = platform.endpoints.status(ENDPOINT)
    now = platform.models.get(MODEL, stage=cm.Stage.PRODUCTION).version
    say(f"   the ledger: version {before} was in production before the rollback, version {now} is now")
    return {
        "model": MODEL,
        "versions": {run.outputs["version"]: dict(run.outputs["metrics"]) for run in (first, second)},
        "runs": [first.id, again.id, second.id],
        "cached_when_run_again": cached_steps(again),
        "production": now,
        "in_production_before_the_rollback": before,
        "endpoint": ENDPOINT,
        "address": status.address,
        "traffic": dict(status.traffic),
        "forecasts": forecasts,
        "canary_answers": canary_answers,
        "reports": [str(run.outputs["report"].path) for run in (first, second)],
    }


def train(platform: cm.Platform, say: Say, parameters: dict[str, object], *, progress: bool) -> Any:
    """Run the pipeline and say what came of it."""
    began = time.perf_counter()
    run = platform.pipelines.run(flight_delay, parameters, wait=True, progress=progress)
    metrics = run.outputs["metrics"]
    say(
        f"   version {run.outputs['version']}: ROC AUC {metrics['roc_auc']:.3f}, "
        f"baseline {metrics['baseline_roc_auc']:.3f}; {cached_steps(run)} of {len(run.steps)} steps from the cache; "
        f"{time.perf_counter() - began:.1f} s"
    )
    return run


def cached_steps(run: Any) -> int:
    """Count the steps for which an earlier success stands."""
    return sum(step.state == "cached" for step in run.steps.values())


def to_production(platform: cm.Platform, say: Say, run: Any) -> None:
    """Promote a run's version stage by stage, unless it has been in production before."""
    models, version, metrics = platform.models, run.outputs["version"], run.outputs["metrics"]
    platform.events.process()  # elsewhere, `cloudmlops events process handlers --follow` runs all the time
    stage = models.get(MODEL, version).stage
    say(f"   version {version} is now: {stage}")
    if stage is cm.Stage.CANDIDATE:
        models.promote(MODEL, version, to=cm.Stage.STAGING, reason="the report looks right")
    elif stage is not cm.Stage.STAGING:
        return
    reviewer = platform.acting_as("reviewer")
    reviewer.models.approve(MODEL, version, to=cm.Stage.PRODUCTION, reason="read the report")
    baseline = in_production(platform) or {"roc_auc": metrics["baseline_roc_auc"]}
    evidence = {
        "metrics": {"roc_auc": metrics["roc_auc"]},
        "baseline": {"roc_auc": baseline["roc_auc"]},
        "run": run.id,
        "reports": [run.outputs["report"].uri],
    }
    models.promote(MODEL, version, to=cm.Stage.PRODUCTION, reason="better than what it replaces", evidence=evidence)
    beaten, by = baseline["roc_auc"], metrics["roc_auc"]
    say(f"   version {version} beats {beaten:.4f} with {by:.4f}, is approved by 'reviewer', and goes to production")


def in_production(platform: cm.Platform) -> Mapping[str, float]:
    """Return the metrics of the version in production; none when there is none."""
    found = platform.models.list(MODEL, stage=cm.Stage.PRODUCTION)
    return found[0].metrics if found else {}


def materialize(platform: cm.Platform, say: Say, run: Any) -> None:
    """Put what is known of each airport, carrier and plane into the online store."""
    sources = {name: run.output("compute_features", name).uri for name in ("weather", "delays", "planes")}
    service = flight_delay_service(**sources)
    written = platform.features.materialize(service)
    differing = platform.features.skew(service, FLIGHTS).differing
    say("   online: " + ", ".join(f"{count:,} keys of {view}" for view, count in written.items()))
    say(f"   recomputed from history, {differing} of {len(FLIGHTS)} rows differ from what is served")


def serve(platform: cm.Platform, say: Say, run: Any, *, traffic_percent: int | None = None) -> None:
    """Deploy a run's version, unless it is deployed already."""
    version = platform.models.get(MODEL, run.outputs["version"])
    deployed = {found.name for status in platform.endpoints.list() for found in status.deployments}
    if f"v{version.version}" not in deployed:
        began = time.perf_counter()
        deployment = platform.endpoints.deploy(version, to=ENDPOINT, traffic_percent=traffic_percent)
        deployment.wait(timeout=timedelta(minutes=1))
        say(f"   version {version.version} answers after {time.perf_counter() - began:.1f} s")
    say_traffic(platform, say)


def predict(platform: cm.Platform, say: Say) -> list[float]:
    """Ask for three flights; the server looks their features up by key."""
    forecasts = ask(platform)
    for flight, forecast, outcome in zip(FLIGHTS, forecasts, OUTCOMES, strict=True):
        hour, carrier, origin = flight["scheduled_hour"], flight["carrier"], flight["origin"]
        say(f"   {carrier} from {origin} at {hour}:00 will leave late with {forecast:.0%} (it {outcome})")
    return forecasts


def ask(platform: cm.Platform) -> list[float]:
    """Return the probability that each of the flights leaves late."""
    return [late for _on_time, late in platform.endpoints.predict(ENDPOINT, FLIGHTS)]


def release(platform: cm.Platform, say: Say, first: Any, second: Any, before: list[float]) -> int | None:
    """Try the second version on live traffic, release it, and go back.

    Returns:
        How many requests it answered while it had a tenth of them; None when it was released in an earlier telling.
    """
    old, new = first.outputs["version"], second.outputs["version"]
    if platform.models.get(MODEL, new).stage is cm.Stage.ARCHIVED:
        say(f"   version {new} was released and rolled back before")
        return None
    serve(platform, say, second, traffic_percent=10)
    answers = sum(ask(platform) != before for _ in range(CANARY_REQUESTS))
    say(f"   of {CANARY_REQUESTS} requests, version {new} answered {answers}")
    to_production(platform, say, second)
    platform.endpoints.shift_traffic(ENDPOINT, {f"v{new}": 100})
    say_traffic(platform, say)

    platform.models.rollback(MODEL, reason="a drill: can we go back?")
    platform.endpoints.shift_traffic(ENDPOINT, {f"v{old}": 100})
    say_traffic(platform, say)
    return answers


def before_the_rollback(platform: cm.Platform) -> str | None:
    """Ask the ledger which version was in production just before the last move."""
    last = [entry for entry in platform.models.history(MODEL) if entry.changes][-1]
    return platform.models.at(MODEL, cm.Stage.PRODUCTION, last.at - timedelta(microseconds=1))


def say_traffic(platform: cm.Platform, say: Say) -> None:
    """Say where the endpoint is and who gets how much."""
    status = platform.endpoints.status(ENDPOINT)
    say(f"   {status.address}: " + " and ".join(f"{share} % to {name}" for name, share in status.traffic.items()))


if __name__ == "__main__":
    with cm.connect() as connected:
        tell(connected, print)
