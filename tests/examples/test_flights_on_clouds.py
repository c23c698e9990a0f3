"""The flight-delay project on the clouds: the same files, against emulators, give what they give on this machine."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow as pa
import pytest

from cloudmlops.emulators.azure.cloud import SUBSCRIPTION

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Project

AS_OF = "as_of=2013-12-15T21:00:00Z"
TARGETS = {
    "vertex": f"vertex://emulated/europe-west4?bucket=flights&image=steps&{AS_OF}",
    "azureml": f"azureml://{SUBSCRIPTION}/ml/flights?environment=azureml:steps:1&{AS_OF}"
    "&serving_image=flights.azurecr.io/cloudmlops/serving:1",
}
THERE = {
    "vertex": ("--bucket", "flights"),
    "azureml": ("--workspace", "ml/flights", "--environment", "steps:1"),
}
"""What the emulator has from the start."""
LESS = {"first_day": "2013-12-05", "last_day": "2013-12-16", "test_from": "2013-12-13"}
"""Parameters for days that reach to the moment that is replayed."""
WITHIN = 1e-9

ONE_RUN = """
import datetime, json, os, sys
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # of this program: steps and servers see to it by themselves
import cloudmlops as cm
import lifecycle, mlflow, polars, training
data = {name: datetime.date.fromisoformat(day) for name, day in json.loads(sys.argv[1]).items()}
with cm.connect() as platform:
    run = lifecycle.train(platform, print, data | lifecycle.FIRST, progress=False)
    lifecycle.materialize(platform, print, run)
    lifecycle.serve(platform, print, run)
    test = run.output("split", "test").to_polars()
    classifier = mlflow.sklearn.load_model(str(run.output("train").path))
    test = test.with_columns(forecast=classifier.predict_proba(training.inputs(test))[:, 1])
    test.write_parquet(f"{sys.argv[2]}-test.parquet")
    run.output("join").to_polars().write_parquet(f"{sys.argv[2]}-table.parquet")
    print(json.dumps({"forecasts": lifecycle.ask(platform), "metrics": dict(run.outputs["metrics"])}))
"""
"""Train, serve and ask; the tables are left in the folder."""


@pytest.mark.conformance(ci=True)
@pytest.mark.timeout(600)
@pytest.mark.parametrize("cloud", TARGETS)
def test_a_part_of_the_year_gives_the_same_tables_and_forecasts_as_on_this_machine(
    project: Project, cloud: str
) -> None:
    there = json.loads(on_cloud(project, cloud, *asked(LESS, cloud)).splitlines()[-1])

    compare(project, cloud, there, LESS)


@pytest.mark.conformance
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("cloud", TARGETS)
def test_the_whole_life_on_the_whole_year_gives_the_same_too(project: Project, cloud: str) -> None:
    state = project.folder / "state"
    told = on_cloud(project, cloud, sys.executable, "lifecycle.py", state=state)
    assert "9 of 9 steps from the cache" in told
    assert "recomputed from history, 0 of 3 rows differ from what is served" in told
    assert "the ledger: version 2 was in production before the rollback, version 1 is now" in told

    # The emulator is another one, and finds the runs, the features and the endpoint of the first in the folder.
    told = on_cloud(project, cloud, *asked({}, cloud), state=state)
    assert "9 of 9 steps from the cache" in told

    compare(project, cloud, json.loads(told.splitlines()[-1]), {})


def asked(data: dict[str, str], name: str) -> list[str]:
    """Return the command that runs once on `data` and leaves tables of that name."""
    return [sys.executable, "-c", ONE_RUN, json.dumps(data), name]


def on_cloud(project: Project, cloud: str, *command: str, state: Path | None = None) -> str:
    """Run a command around which a cloud is emulated; return what it printed."""
    project.environment["CLOUDMLOPS_TARGET"] = TARGETS[cloud]
    kept = ["--state", str(state)] if state else []
    done = project.command("emulate", cloud, *THERE[cloud], *kept, "--", *command)
    del project.environment["CLOUDMLOPS_TARGET"]
    assert done.returncode == 0, done.stderr
    assert "therefore refused" not in done.stderr, "some host was asked that is not emulated"
    return done.stdout


def compare(project: Project, cloud: str, there: dict[str, Any], data: dict[str, str]) -> None:
    """Run on this machine what ran on a cloud, and compare."""
    done = project.run(*asked(data, "local"))
    assert done.returncode == 0, done.stderr
    here = json.loads(done.stdout.splitlines()[-1])

    theirs, ours = (pl.read_parquet(project.folder / f"{name}-table.parquet") for name in (cloud, "local"))
    assert theirs.schema == ours.schema
    assert bits(theirs).equals(bits(ours))
    theirs, ours = (pl.read_parquet(project.folder / f"{name}-test.parquet") for name in (cloud, "local"))
    assert (theirs["forecast"] - ours["forecast"]).abs().max() <= WITHIN
    assert there["forecasts"] == pytest.approx(here["forecasts"], rel=0, abs=WITHIN)
    assert len(set(there["forecasts"])) == len(there["forecasts"]), "the features were looked up"
    assert there["metrics"] == pytest.approx(here["metrics"], rel=0, abs=WITHIN)


def bits(table: pl.DataFrame) -> pa.Table:
    """Return a table with the whole numbers of the same bits for floats: 0 and -0 are told apart, NaN is itself."""
    found = table.to_arrow()
    return pa.table(
        {
            name: column.combine_chunks().view(pa.int64()) if pa.types.is_floating(column.type) else column
            for name, column in zip(found.column_names, found.columns, strict=True)
        }
    )
