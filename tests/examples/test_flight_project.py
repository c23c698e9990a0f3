"""The flight-delay project as a whole, in a copied folder, on a part of the real data."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

if TYPE_CHECKING:
    from conftest import Project

LESS = {"first_day": "2013-11-01", "last_day": "2013-12-16", "test_from": "2013-12-01"}
"""Parameters for a part of the year that reaches to the moment which `cloudmlops.toml` replays."""

PREAMBLE = f"""
import datetime, json, sys, time
import cloudmlops as cm
from pipeline import flight_delay
DATA = {{name: datetime.date.fromisoformat(day) for name, day in {LESS}.items()}}
"""

WHOLE_LIFE = (
    PREAMBLE
    + """
import lifecycle
with cm.connect() as platform:
    told = lifecycle.tell(platform, lambda line: print(line, file=sys.stderr), data=DATA, progress=False)
    run = platform.pipelines.get(told["runs"][0])
    service = lifecycle.flight_delay_service(
        **{name: run.output("compute_features", name).uri for name in ("weather", "delays", "planes")}
    )
    told["skew"] = platform.features.skew(service, lifecycle.FLIGHTS).differing
    told["logged"] = run.record.steps["train"].logged
    told["history"] = [
        {"what": [list(change) for change in entry.changes], "by": str(entry.actor), "policies": list(entry.policies),
         "approvals": list(entry.approvals)}
        for entry in platform.models.history(told["model"])
    ]
    version = platform.models.get(told["model"], stage="production")
    told["lineage"] = {"run": version.run, "features": version.features.schema_hash == service.schema_hash,
                       "metrics": version.metrics["roc_auc"], "code": run.lineage.source_digest}
    at = datetime.datetime(2013, 12, 15, 21, tzinfo=datetime.UTC)
    import mlflow, polars, training
    asked = polars.DataFrame(lifecycle.FLIGHTS).with_columns(event_time=polars.lit(at))
    known = polars.from_arrow(platform.features.training_table(service, asked.to_arrow()))
    classifier = mlflow.sklearn.load_model(str(run.output("train").path))
    told["offline"] = classifier.predict_proba(training.inputs(known))[:, 1].tolist()
print(json.dumps(told))
"""
)


@pytest.mark.conformance(ci=True)
def test_the_model_lives_its_whole_life_and_the_second_time_everything_is_done_already(project: Project) -> None:
    done = project.python(WHOLE_LIFE)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    first, second = told["versions"]["1"], told["versions"]["2"]

    assert first["roc_auc"] > first["baseline_roc_auc"] + 0.03
    assert second["roc_auc"] > first["roc_auc"]
    assert told["cached_when_run_again"] == 9
    assert told["logged"]["params"]["learning_rate"] == "0.1", "mlflow.autolog() lands in the run's record"
    assert told["logged"]["metrics"]["training_roc_auc"] > 0.6

    moves = [entry["what"] for entry in told["history"] if entry["what"]]
    assert [["1", "none", "candidate"]] in moves
    assert [["2", "staging", "production"], ["1", "production", "archived"]] in moves
    assert moves[-1] == [["1", "archived", "production"], ["2", "production", "archived"]]
    to_production = next(entry for entry in told["history"] if entry["what"] == [["1", "staging", "production"]])
    assert to_production["policies"] == ["beats_baseline(roc_auc, by 0)", "requires_approvals(1)"]
    assert any("reviewer" in entry["by"] for entry in told["history"])
    assert told["in_production_before_the_rollback"] == "2"
    assert told["production"] == "1"
    assert told["lineage"]["run"] == told["runs"][0]
    assert told["lineage"]["features"]
    assert told["lineage"]["metrics"] == pytest.approx(first["roc_auc"])

    assert told["traffic"] == {"v1": 100}
    assert told["skew"] == 0, "what is read online is what the training table would hold"
    assert told["forecasts"] == pytest.approx(told["offline"]), "over HTTP from keys alone"
    assert 0 < told["canary_answers"] < 60
    page = Path(told["reports"][1]).read_text(encoding="utf-8")
    assert "data:image/png;base64," in page
    assert "http" not in page.replace("http://www.w3.org", ""), "the report needs no network"

    asked = project.command("predict", "flight-delay", json.dumps({**FLIGHT, "distance": "far"}))
    assert asked.returncode == 2
    assert "distance" in asked.stderr
    answer = project.command("predict", "flight-delay", json.dumps(FLIGHT), "--json")
    assert json.loads(answer.stdout)[0]["prediction"][1] == pytest.approx(told["forecasts"][2])

    again = project.python(WHOLE_LIFE)
    assert again.returncode == 0, again.stderr
    retold = json.loads(again.stdout.splitlines()[-1])
    assert again.stderr.count("9 of 9 steps from the cache") == 3
    assert retold["versions"] == told["versions"]
    assert retold["history"] == told["history"]
    assert retold["forecasts"] == pytest.approx(told["forecasts"])


FLIGHT = {"carrier": "WN", "origin": "LGA", "tailnum": "N652SW", "distance": 764, "scheduled_hour": 17}

RUN = (
    PREAMBLE
    + """
with cm.connect() as platform:
    platform.pipelines.run(flight_delay, DATA, wait=True, id="flight-delay-killed")
"""
)

RESUME = (
    PREAMBLE
    + """
def looks(run):
    return {name: [step.state, step.attempt, str(step.started_at)] for name, step in run.steps.items()}
with cm.connect() as platform:
    run = platform.pipelines.get("flight-delay-killed")
    state, before = run.status, looks(run)
    run.resume(wait=True)
    print(json.dumps({"state": state, "before": before, "after": looks(run), "ended": run.status,
                      "versions": [str(version) for version in platform.models.list()]}))
"""
)

WATCH = """
import sys, time
import cloudmlops as cm
from cloudmlops.errors import NotFoundError
with cm.connect() as platform:
    while True:
        try:
            run = platform.pipelines.get("flight-delay-killed")
            if run.steps["train"].state == "running":
                break
            if run.status.ended:
                sys.exit(f"the run ended before it could be killed: {run.status}")
        except NotFoundError:
            pass
        time.sleep(0.02)
"""


@pytest.mark.conformance(ci=True)
def test_a_run_killed_while_training_is_resumed_and_no_succeeded_step_runs_again(project: Project) -> None:
    running = project.start(RUN)
    try:
        watched = project.python(WATCH)
    finally:
        os.kill(running.pid, signal.SIGKILL)
        running.wait()
    assert watched.returncode == 0, watched.stderr

    resumed = project.python(RESUME)
    assert resumed.returncode == 0, resumed.stderr
    told: dict[str, Any] = json.loads(resumed.stdout.splitlines()[-1])

    assert told["state"] == "interrupted"
    done = [name for name, (state, *_) in told["before"].items() if state == "succeeded"]
    assert {"ingest", "validate", "compute_features", "join", "split"} <= set(done)
    assert "train" not in done
    assert {name: told["after"][name] for name in done} == {name: told["before"][name] for name in done}
    assert told["after"]["train"][:2] == ["succeeded", 2]
    assert told["ended"] == "succeeded"
    assert told["versions"] == ["flight-delay@1"]


@pytest.mark.conformance
def test_the_quickstart_on_the_whole_year_ends_with_a_summary_and_leaves_no_process(project: Project) -> None:
    done = project.command("quickstart", ".", "--stop")

    assert done.returncode == 0, done.stderr
    assert "version 1: ROC AUC 0.7" in done.stderr
    assert "9 of 9 steps from the cache" in done.stderr
    assert "production  version 1" in done.stdout
    assert "What to type next:" in done.stdout
    running = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert str(project.folder) not in running


BAD_RUN = """
import json, pathlib
import cloudmlops as cm
from cloudmlops.errors import RunFailedError
from pipeline import flight_delay
with cm.connect() as platform:
    run = platform.pipelines.run(flight_delay, {"folder": str(pathlib.Path("data").absolute())})
    try:
        run.wait()
    except RunFailedError as error:
        print(json.dumps({"message": str(error), "states": {name: step.state for name, step in run.steps.items()},
                          "log": run.logs("validate"), "models": len(platform.models.list())}))
"""


def test_a_bad_file_fails_the_run_with_its_rows_named_and_nothing_downstream_runs(
    project: Project, flights: SimpleNamespace
) -> None:
    _seed_faults(flights.ingest.packaged_data(), project.folder / "data")

    ran = project.python(BAD_RUN)
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout.splitlines()[-1])

    assert told["states"].pop("ingest") == "succeeded"
    assert told["states"].pop("validate") == "failed"
    assert set(told["states"].values()) == {"skipped"}
    assert told["models"] == 0
    for text in (told["message"], told["log"]):
        assert "flights.csv breaks 2 promises; nothing was built from it" in text
        assert "line 12: distance = -5 is against: in_range(10, 6000)" in text
        assert "line 30: carrier = ??? is against" in text


def _seed_faults(source: Path, folder: Path) -> None:
    folder.mkdir()
    for name in ("weather.csv", "planes.csv"):
        (folder / name).write_bytes((source / name).read_bytes())
    with zipfile.ZipFile(source / "flights.csv.zip") as archive, archive.open("flights.csv") as stream:
        flights = pl.read_csv(stream.read(), infer_schema=False, n_rows=2000)
    flights = flights.with_row_index("line", offset=2).with_columns(
        distance=pl.when(pl.col("line") == 12).then(pl.lit("-5")).otherwise("distance"),
        carrier=pl.when(pl.col("line") == 30).then(pl.lit("???")).otherwise("carrier"),
    )
    flights.drop("line").write_csv(folder / "flights.csv")
