"""The point-in-time join: ten features, a time to live, Parquet in and memory out, at several sizes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks import data
from benchmarks.bench import Answer, Bench, Engine, Runs, Scale
from benchmarks.measuring import Figure, Missing, Spread
from benchmarks.table import Details, Goal, Report, Row, shown

_OURS = Engine(name="cloudmlops", module="point_in_time.ours")
_LONG_LIVED = Engine(name="cloudmlops, ttl 30 days", module="point_in_time.ours", options={"ttl_s": 30 * 86_400})
_ASOF = Engine(name="DuckDB ASOF", module="point_in_time.duckdb_asof", peer="base")
_POLARS = Engine(name="polars join_asof", module="point_in_time.polars_asof", peer="base")
_RANKED = Engine(name="DuckDB ROW_NUMBER", module="point_in_time.duckdb_ranked", peer="base")
_BY_HAND = Engine(name="pandas by hand, keys first", module="point_in_time.pandas_late", peer="base")
_FEAST = Engine(name="Feast DuckDB", module="point_in_time.feast", peer="feast")
_SCAN = Engine(name="floor: read and decode", module="point_in_time.scan", peer="base")

_ALL = (_OURS, _ASOF, _POLARS, _RANKED, _BY_HAND, _FEAST, _SCAN)
_TTL_S = 86_400


@dataclass(frozen=True, kw_only=True)
class _Sizes:
    features: tuple[int, int]
    entities: tuple[int, int]
    """Small and large each; peers run on the large features only."""
    rounds: int


_SIZES = {
    Scale.FULL: _Sizes(features=(1_000_000, 10_000_000), entities=(100_000, 1_000_000), rounds=3),
    Scale.QUICK: _Sizes(features=(100_000, 1_000_000), entities=(10_000, 100_000), rounds=1),
    Scale.TINY: _Sizes(features=(1_000, 10_000), entities=(100, 1_000), rounds=1),
}


def measure(bench: Bench) -> Report:
    """Join at four sizes; at the largest also with a time to live that takes in thirty times as many versions."""
    sizes = _SIZES[bench.scale]
    few, many = sizes.features
    less, more = sizes.entities
    runs = {
        (many, more): _joined(bench, [*_ALL, _LONG_LIVED], many, more),
        (many, less): _joined(bench, _ALL, many, less),
        (few, more): _joined(bench, [_OURS], few, more),
        (few, less): _joined(bench, [_OURS], few, less),
    }
    raw_mib = data.versions(bench.scratch / "data", feature_rows=many, entity_rows=more).raw_bytes / 2**20
    large, narrow = runs[many, more], runs[many, less]
    rows = [
        _against_best(f"join {_size(many, more)}", large, [_ASOF, _POLARS], 0.6),
        _against_best(f"join {_size(many, more)}", large, [_FEAST], 1 / 3),
        _against_best(f"join {_size(many, less)}", narrow, [_ASOF, _POLARS, _RANKED, _BY_HAND, _FEAST], 1),
        Row(
            what="join: largest exponent of the time in either size",
            unit="",
            ours=_exponent({size: run.figure(_OURS.name, _seconds) for size, run in runs.items()}, sizes),
            goal=Goal(bound=1.05, unit=""),
        ),
        Row(
            what=f"join {_size(many, more)}: 30 times the versions inside the ttl",
            unit="s",
            ours=large.figure(_LONG_LIVED.name, _seconds),
            against="with a ttl of one day",
            theirs=large.figure(_OURS.name, _seconds),
            goal=Goal(bound=1.2),
        ),
        Row(
            what=f"join {_size(many, more)}: peak memory",
            unit="MiB",
            ours=large.figure(_OURS.name, lambda answer: answer["peak_mib"]),
            against="the raw bytes",
            theirs=Spread.of([raw_mib]),
            goal=Goal(bound=2.5),
        ),
    ]
    agreements = [_agreement(_size(*size), run) for size, run in runs.items()]
    rows += [row for row in agreements if row is not None]
    return Report(rows=rows, details=[_details(_size(*size), run) for size, run in runs.items()])


def _joined(bench: Bench, engines: Sequence[Engine], features: int, entities: int) -> Runs:
    folder = bench.scratch / "data"
    warm_up = data.versions(folder, feature_rows=1_000, entity_rows=100)
    full = data.versions(folder, feature_rows=features, entity_rows=entities)

    def run(engine: Engine, number: int) -> Answer:
        parameters = {
            "folder": str(bench.home(f"{engine.name} {features} {entities} {number}")),
            "features": str(full.features),
            "entities": str(full.entities),
            "ttl_s": _TTL_S,
            "warm_up": {"features": str(warm_up.features), "entities": str(warm_up.entities)},
        }
        return bench.ask(engine, parameters)

    return bench.in_turns(engines, run, rounds=_SIZES[bench.scale].rounds)


def _against_best(what: str, runs: Runs, others: Sequence[Engine], bound: float) -> Row:
    name, best = runs.best([engine.name for engine in others], _seconds)
    ours = runs.figure(_OURS.name, _seconds)
    return Row(what=what, unit="s", ours=ours, against=name, theirs=best, goal=Goal(bound=bound))


def _exponent(figures: dict[tuple[int, int], Figure], sizes: _Sizes) -> Figure:
    """Time grows as size to this power; the greatest of the two steps in features and the two in entities."""
    medians = {size: figure.median for size, figure in figures.items() if isinstance(figure, Spread)}
    if len(medians) < len(figures):
        return next(figure for figure in figures.values() if isinstance(figure, Missing))
    (few, many), (less, more) = sizes.features, sizes.entities
    by_features = [math.log(medians[many, n] / medians[few, n]) / math.log(many / few) for n in (less, more)]
    by_entities = [math.log(medians[n, more] / medians[n, less]) / math.log(more / less) for n in (few, many)]
    return Spread.of([max(by_features + by_entities)])


def _agreement(size: str, runs: Runs) -> Row | None:
    """The share of the other engines whose rows, hits and sum are ours; None if nobody else answered."""

    def answers(engine: Engine) -> set[tuple[float, ...]]:
        return {(run["rows"], run["hits"], round(run["sum"], 1)) for run in runs.answers[engine.name]}

    others = [engine for engine in _ALL if engine not in (_OURS, _SCAN) and runs.answers.get(engine.name)]
    if not (others and runs.answers[_OURS.name]):
        return None
    alike = [engine for engine in others if answers(engine) == answers(_OURS)]
    return Row(
        what=f"join {size}: engines that answer as we do",
        unit="",
        ours=Spread.of([len(alike)]),
        against="of all",
        theirs=Spread.of([len(others)]),
        goal=Goal(bound=1, at_least=True),
    )


def _details(size: str, runs: Runs) -> Details:
    def line(name: str) -> tuple[str, ...]:
        wall = runs.figure(name, _seconds)
        cpu = runs.figure(name, lambda answer: answer["cpu_s"])
        peak = runs.figure(name, lambda answer: answer["peak_mib"])
        apart = runs.figure(name, lambda answer: answer["prepare_s"])
        return (name, shown(wall, "s"), shown(cpu, "s"), shown(peak, "MiB"), shown(apart, "s"))

    headings = ("engine", "wall", "CPU", "peak", "definitions, apart")
    return Details(title=f"Point-in-time join, {size}", headings=headings, lines=[line(name) for name in runs.answers])


def _seconds(answer: Answer) -> float:
    seconds: float = answer["s"]
    return seconds


def _size(features: int, entities: int) -> str:
    """Feature rows x entity rows."""

    def short(rows: int) -> str:
        return f"{rows // 1_000_000}M" if rows >= 1_000_000 else f"{rows // 1_000}k" if rows >= 1_000 else str(rows)

    return f"{short(features)} x {short(entities)}"
