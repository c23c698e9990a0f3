"""The model registry: promoting, asking what is in production, and reading a long history."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.bench import Answer, Bench, Engine, Scale
from benchmarks.table import Details, Goal, Report, Row, shown

_OURS = Engine(name="cloudmlops", module="registry.ours")
_MLFLOW = Engine(name="MLflow sqlite", module="registry.mlflow", peer="mlflow")
_FLOOR = Engine(name="raw sqlite3, synced", module="registry.raw_sqlite", peer="base")
_ENGINES = (_OURS, _MLFLOW, _FLOOR)
_HISTORY = Engine(name="cloudmlops' history", module="history.ours")


@dataclass(frozen=True, kw_only=True)
class _Sizes:
    promotions: int
    reads: int
    entries: int
    rounds: int


_SIZES = {
    Scale.FULL: _Sizes(promotions=100, reads=1_000, entries=10_000, rounds=3),
    Scale.QUICK: _Sizes(promotions=50, reads=200, entries=1_000, rounds=1),
    Scale.TINY: _Sizes(promotions=5, reads=10, entries=20, rounds=1),
}


def measure(bench: Bench) -> Report:
    """Time each registry's single calls; then write one long history and read it."""
    sizes = _SIZES[bench.scale]

    def run(engine: Engine, number: int) -> Answer:
        home = bench.home(f"{engine.name} registry {number}")
        return bench.ask(engine, {"folder": str(home), "promotions": sizes.promotions, "reads": sizes.reads})

    def history(engine: Engine, _: int) -> Answer:
        home = bench.home(engine.name)
        return bench.ask(engine, {"folder": str(home), "entries": sizes.entries, "reads": 5})

    runs = bench.in_turns(_ENGINES, run, rounds=sizes.rounds)
    histories = bench.in_turns([_HISTORY], history, rounds=1)

    def cell(engine: Engine, call: str, share: str) -> str:
        return shown(runs.figure(engine.name, lambda answer: answer[call][share] / 1e3), "ms")

    rows = [
        Row(
            what="a promotion, durable",
            unit="ms",
            ours=runs.figure(_OURS.name, lambda answer: answer["promotion"]["p50_us"] / 1e3),
            against=f"{_MLFLOW.name}, alias moved",
            theirs=runs.figure(_MLFLOW.name, lambda answer: answer["promotion"]["p50_us"] / 1e3),
            goal=Goal(bound=0.5),
        ),
        Row(
            what="the production version read",
            unit="ms",
            ours=runs.figure(_OURS.name, lambda answer: answer["reading"]["p50_us"] / 1e3),
            against=_MLFLOW.name,
            theirs=runs.figure(_MLFLOW.name, lambda answer: answer["reading"]["p50_us"] / 1e3),
            goal=Goal(bound=0.3, unit="ms"),
        ),
        Row(
            what=f"a history of {sizes.entries:,} entries read and verified",
            unit="s",
            ours=histories.figure(_HISTORY.name, lambda answer: answer["read_s"]),
            goal=Goal(bound=0.5, unit="s"),
        ),
    ]
    headings = ("registry", "promotion p50", "p99", "production read p50", "p99")
    calls = [(call, share) for call in ("promotion", "reading") for share in ("p50_us", "p99_us")]
    lines = [(engine.name, *(cell(engine, *it) for it in calls)) for engine in _ENGINES]
    return Report(rows=rows, details=[Details(title="Model registry", headings=headings, lines=lines)])
