"""Steps and pipelines of the contract, in a module that a step's process imports quickly."""

from __future__ import annotations

import os
import time
from array import array
from datetime import date, timedelta
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from cloudmlops.domain.artifacts import Dataset, Metrics, Model, Report
from cloudmlops.domain.pipelines import pipeline, step


class Parts(NamedTuple):
    """Several outputs."""

    train: pa.Table
    rows: int


@step
def load(rows: int) -> pa.Table:
    """Make a table."""
    print(f"loading {rows} rows")  # noqa: T201 what a step prints is its log
    # Of Python's own numbers pyarrow makes columns with pandas, which takes longer to load than the step takes.
    numbers = pa.Array.from_buffers(pa.int64(), rows, [None, pa.py_buffer(array("q", range(rows)))])
    return pa.table([numbers], ["x"])


@step
def split(data: Dataset, keep: float = 0.5) -> Parts:
    """Keep the first part of a table."""
    table = data.to_arrow()
    return Parts(train=table.slice(0, int(table.num_rows * keep)), rows=table.num_rows)


@step
def train(data: pa.Table, rows: int) -> Model:
    """Write a model's folder."""
    model = Model.new()
    model.path.mkdir()
    (model.path / "MLmodel").write_text(f"{data.num_rows} of {rows}", encoding="utf-8")
    return model


@step
def evaluate(model: Model) -> Metrics:
    """Measure a model."""
    return Metrics(rows=float((model.path / "MLmodel").read_text(encoding="utf-8").split()[0]))


@step
def describe(metrics: Metrics, on: date) -> Report:
    """Write a report."""
    return Report.from_text(f"# {on}: {metrics['rows']:.0f} rows", name="report.md")


class Results(NamedTuple):
    """What the whole pipeline returns."""

    model: Model
    metrics: Metrics
    report: Report


@pipeline
def training(rows: int = 10, keep: float = 0.5, on: date = date(2013, 1, 1)) -> Results:
    """Use every kind of output."""
    parts = split(load(rows), keep=keep)
    model = train(parts.train, parts.rows)
    metrics = evaluate(model)
    return Results(model, metrics, describe(metrics, on))


@step
def where(mark: int) -> dict[str, str]:
    """Say where this step runs."""
    print(mark)  # noqa: T201 what a step prints is its log
    return {"process": str(os.getpid()), "folder": str(Path.cwd()), "run": os.environ["CLOUDMLOPS_RUN"]}


@step
def both(first: dict[str, str], second: dict[str, str]) -> list[dict[str, str]]:
    """Bring two results together."""
    return [first, second]


@pipeline
def two_places() -> list[dict[str, str]]:
    """Run a step twice."""
    return both(where(1), where(2))


@step
def note(journal: str, name: str, after: int = 0) -> int:
    """Write a line into a journal."""
    with Path(journal).open("a", encoding="utf-8") as lines:
        lines.write(f"{name}\n")
    return after + 1


@step
def unless(journal: str, missing: str, after: int = 0) -> int:
    """Fail while a file is missing."""
    with Path(journal).open("a", encoding="utf-8") as lines:
        lines.write("unless\n")
    if not Path(missing).exists():
        raise FileNotFoundError(missing)
    return after + 1


@pipeline
def needs_file(journal: str, missing: str) -> int:
    """Fail in the middle of one branch."""
    first = note(journal, "first")
    note(journal, "beside", first)
    return note.with_options(name="last")(journal, "last", unless(journal, missing, first))


@step(retries=2, retry_delay=timedelta(milliseconds=10))
def flaky(journal: str) -> int:
    """Succeed at the third attempt."""
    path = Path(journal)
    tried = len(path.read_text(encoding="utf-8").splitlines()) if path.exists() else 0
    print(f"attempt {tried + 1}")  # noqa: T201 what a step prints is its log
    path.write_text("tried\n" * (tried + 1), encoding="utf-8")
    if tried < 2:
        raise RuntimeError("not yet")
    return tried


@pipeline
def stubborn(journal: str) -> int:
    """Run a step that needs retries."""
    return flaky(journal)


@step(retries=1, retry_delay=timedelta(milliseconds=10), cache=False)
def tell(release: str) -> int:
    """Say something, wait, and say more at the second attempt."""
    print("begun")  # noqa: T201 what a step prints is its log
    while not Path(release).exists():
        time.sleep(0.01)
    if not (failed := Path(f"{release}.failed")).exists():
        failed.touch()
        raise RuntimeError("not yet")
    print("ended")  # noqa: T201 what a step prints is its log
    return 1


@pipeline
def telling(release: str) -> int:
    """Say something while it goes on."""
    return tell(release)


@step(timeout=timedelta(milliseconds=200), cache=False)
def slow() -> int:
    """Take longer than allowed."""
    time.sleep(60)
    return 1


@pipeline
def too_slow() -> int:
    """Run into a timeout."""
    return slow()


@step(cache=False)
def forever(journal: str) -> int:
    """Go on until it is stopped."""
    Path(journal).touch()
    time.sleep(60)
    return 1


@pipeline
def endless(journal: str) -> int:
    """Run until it is cancelled."""
    return note(journal, "never", forever(journal))


@step
def wrong() -> Model:
    """Return what the annotation does not allow."""
    return [1, 2]  # type: ignore[return-value] # the fault that is tested


@pipeline
def wrong_output() -> Model:
    """Fail by a wrong type."""
    return wrong()


@step
def unserialisable() -> dict[str, float]:
    """Return what JSON cannot hold."""
    return {"x": object()}  # type: ignore[dict-item] # the fault that is tested


@pipeline
def wrong_content() -> dict[str, float]:
    """Fail by an output that cannot be stored."""
    return unserialisable()
