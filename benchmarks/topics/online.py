"""Online features: reading one and a hundred entities, and materialising."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks import data
from benchmarks.bench import Answer, Bench, Engine, Runs, Scale
from benchmarks.table import Details, Goal, Report, Row, shown

_OURS = Engine(name="cloudmlops", module="online.ours")
_RAW = Engine(name="raw sqlite3", module="online.raw_sqlite", peer="base")
_FEAST = Engine(name="Feast sqlite", module="online.feast", peer="feast", slow=True)
_ENGINES = (_OURS, _RAW, _FEAST)


@dataclass(frozen=True, kw_only=True)
class _Sizes:
    keys: int
    history_rows: int
    """Of the large source whose materialisation's peak memory is printed: a hundred versions a key."""
    reads: Mapping[str, int]
    feast_reads: Mapping[str, int]
    rounds: int


_SIZES = {
    Scale.FULL: _Sizes(
        keys=100_000,
        history_rows=10_000_000,
        reads={"one": 10_000, "hundred": 1_000},
        feast_reads={"one": 1_000, "hundred": 100},
        rounds=3,
    ),
    Scale.QUICK: _Sizes(
        keys=10_000,
        history_rows=1_000_000,
        reads={"one": 2_000, "hundred": 200},
        feast_reads={"one": 200, "hundred": 20},
        rounds=1,
    ),
    Scale.TINY: _Sizes(
        keys=100,
        history_rows=10_000,
        reads={"one": 50, "hundred": 10},
        feast_reads={"one": 50, "hundred": 10},
        rounds=1,
    ),
}


def measure(bench: Bench) -> Report:
    """Fill and read each store, one row a key; then fill ours from the large history."""
    sizes = _SIZES[bench.scale]
    folder = bench.scratch / "data"
    latest, warm_up = data.latest(folder, keys=sizes.keys), data.latest(folder, keys=100)
    history = data.versions(folder, feature_rows=sizes.history_rows, entity_rows=sizes.history_rows // 10).features

    def run(engine: Engine, number: int) -> Answer:
        parameters = {
            "folder": str(bench.home(f"{engine.name} online {number}")),
            "features": str(latest),
            "warm_up": str(warm_up),
            "keys": sizes.keys,
            "reads": sizes.feast_reads if engine is _FEAST else sizes.reads,
        }
        return bench.ask(engine, parameters)

    def fill(engine: Engine, number: int) -> Answer:
        parameters = {
            "folder": str(bench.home(f"{engine.name} history {number}")),
            "features": str(history),
            "warm_up": str(warm_up),
            "keys": 0,
            "reads": None,
        }
        return bench.ask(engine, parameters)

    runs = bench.in_turns(_ENGINES, run, rounds=sizes.rounds, slow_rounds=min(2, sizes.rounds))
    large = bench.in_turns([_OURS], fill, rounds=1)
    return Report(rows=_rows(runs, large, sizes), details=[_details(runs, sizes)])


def _rows(runs: Runs, large: Runs, sizes: _Sizes) -> list[Row]:
    def read(what: str, size: str, bound: float) -> Row:
        ours, theirs = (runs.figure(engine.name, lambda answer: answer[size]["p50_us"]) for engine in (_OURS, _RAW))
        goal = Goal(bound=bound)
        return Row(what=f"online read, {what}, p50", unit="µs", ours=ours, against=_RAW.name, theirs=theirs, goal=goal)

    def per_second(answer: Answer) -> float:
        rate: float = sizes.keys / answer["fill_s"]
        return rate

    return [
        read("1 entity", "one", 5),
        read("100 entities", "hundred", 2.5),
        Row(
            what=f"materialise {sizes.keys:,} entities",
            unit="/s",
            ours=runs.figure(_OURS.name, per_second),
            against=_FEAST.name,
            theirs=runs.figure(_FEAST.name, per_second),
            goal=Goal(bound=25, at_least=True),
        ),
        Row(
            what=f"materialise from {sizes.history_rows:,} rows",
            unit="s",
            ours=large.figure(_OURS.name, lambda answer: answer["fill_s"]),
        ),
        Row(
            what=f"materialise from {sizes.history_rows:,} rows: peak memory",
            unit="MiB",
            ours=large.figure(_OURS.name, lambda answer: answer["peak_mib"]),
        ),
    ]


def _details(runs: Runs, sizes: _Sizes) -> Details:
    def line(engine: Engine) -> tuple[str, ...]:
        name = engine.name
        return (
            name,
            shown(runs.figure(name, lambda answer: answer["one"]["p50_us"]), "µs"),
            shown(runs.figure(name, lambda answer: answer["one"]["p99_us"]), "µs"),
            shown(runs.figure(name, lambda answer: answer["hundred"]["p50_us"]), "µs"),
            shown(runs.figure(name, lambda answer: answer["hundred"]["p99_us"]), "µs"),
            shown(runs.figure(name, lambda answer: answer["fill_s"]), "s"),
            shown(runs.figure(name, lambda answer: answer["fill_cpu_s"]), "s"),
            shown(runs.figure(name, lambda answer: answer["bytes"] / 2**20), "MiB"),
        )

    headings = ("engine", "1 entity p50", "p99", "100 entities p50", "p99", "materialise", "CPU", "on disk")
    title = f"Online store of {sizes.keys:,} entities"
    return Details(title=title, headings=headings, lines=[line(engine) for engine in _ENGINES])
