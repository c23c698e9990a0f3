"""Serving one row of a small scikit-learn model: latency, throughput and start."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import peers, processes
from benchmarks.bench import Answer, Bench, Engine, Runs, Scale
from benchmarks.client import load
from benchmarks.table import Details, Goal, Report, Row, shown

_OURS = Engine(name="cloudmlops' scoring server")
_ENDPOINT = Engine(name="cloudmlops' endpoint")
_FLOOR = Engine(name="Starlette + orjson + model", peer="base")
_MLFLOW = Engine(name="mlflow models serve", peer="mlflow")
_ENGINES = (_OURS, _ENDPOINT, _FLOOR, _MLFLOW)
_CONNECTIONS = (1, 8)
_BODY = json.dumps({"inputs": [[0.1, 0.2, -0.3, 0.4]]})


@dataclass(frozen=True, kw_only=True)
class _Sizes:
    rounds: int
    warm_s: float
    load_s: float


_SIZES = {
    Scale.FULL: _Sizes(rounds=3, warm_s=1, load_s=3),
    Scale.QUICK: _Sizes(rounds=1, warm_s=1, load_s=2),
    Scale.TINY: _Sizes(rounds=1, warm_s=0.1, load_s=0.2),
}


def measure(bench: Bench) -> Report:
    """Start each server, load it with one and with eight connections, and end it."""
    sizes = _SIZES[bench.scale]

    def run(engine: Engine, number: int) -> Answer:
        home = bench.home(f"{engine.name} {number}")
        body = home / "body.json"
        body.write_text(_BODY)
        with _served(engine, home) as (address, start_s):
            answer: Answer = {"start": {"s": start_s}}
            for connections in _CONNECTIONS:
                load(address, body, connections=connections, seconds=sizes.warm_s)
                answer[str(connections)] = load(address, body, connections=connections, seconds=sizes.load_s)
        return answer

    runs = bench.in_turns(_ENGINES, run, rounds=sizes.rounds)
    return Report(rows=_rows(runs), details=[_details(runs)])


@contextmanager
def _served(engine: Engine, home: Path) -> Iterator[tuple[str, float]]:
    """Yields the address of the engine's server and the seconds that it took to start."""
    peer = peers.peer(engine.peer)
    environment = peer.environment(home)
    model = home.parent / ("model.pickle" if engine is _FLOOR else f"model-{engine.peer}")
    if not model.exists():
        train = [peer.python, "-m", "benchmarks.engines.serving.train", str(model)]
        processes.run(train, environment=environment, folder=home)
    if engine is _ENDPOINT:
        command = [peer.python, "-m", "benchmarks.engines.serving.endpoint", f"local://{home / 'platform'}", str(model)]
        with processes.announced(command, environment=environment, folder=home) as told:
            yield f"{told['address']}/invocations", told["start_s"]
        return
    port = processes.free_port()
    command = {
        _OURS.name: [peer.python, "-m", "cloudmlops.serving", "--model", str(model), "--port", str(port)],
        _FLOOR.name: [peer.python, "-m", "benchmarks.engines.serving.starlette_server", str(port), str(model)],
        _MLFLOW.name: [peer.tool("mlflow"), "models", "serve", "-m", str(model), "-p", str(port), *_ONE_MLFLOW_WORKER],
    }[engine.name]
    address = f"http://127.0.0.1:{port}/invocations"
    with processes.server(
        command, environment=environment, folder=home, address=address, body=_BODY.encode()
    ) as start_s:
        yield address, start_s


_ONE_MLFLOW_WORKER = ["--host", "127.0.0.1", "--env-manager", "local", "--workers", "1"]


def _rows(runs: Runs) -> list[Row]:
    return [
        *_held_against_mlflow(runs, _OURS, "serving 1 row"),
        _row(runs, "serving 1 row, p50", ("1", "p50_us"), _OURS, _FLOOR, Goal(bound=1.3)),
        *_held_against_mlflow(runs, _ENDPOINT, "through an endpoint's address"),
        # Printed without a goal: the floor has no second process that splits the traffic.
        _row(runs, "through an endpoint's address, p50", ("1", "p50_us"), _ENDPOINT, _FLOOR, None),
    ]


def _held_against_mlflow(runs: Runs, ours: Engine, what: str) -> list[Row]:
    half, twice = Goal(bound=0.5), Goal(bound=2, at_least=True)
    return [
        _row(runs, f"{what}, p50", ("1", "p50_us"), ours, _MLFLOW, half),
        _row(runs, f"{what}, throughput of 1 connection", ("1", "per_s"), ours, _MLFLOW, twice),
        _row(runs, f"{what}, throughput of 8 connections", ("8", "per_s"), ours, _MLFLOW, twice),
        _row(runs, f"{what}, start", ("start", "s"), ours, _MLFLOW, half),
    ]


def _row(runs: Runs, what: str, figure: tuple[str, str], ours: Engine, theirs: Engine, goal: Goal | None) -> Row:
    part, measured = figure
    ours_figure, their_figure = (runs.figure(it.name, lambda answer: answer[part][measured]) for it in (ours, theirs))
    unit = _UNITS[measured]
    return Row(what=what, unit=unit, ours=ours_figure, against=theirs.name, theirs=their_figure, goal=goal)


def _details(runs: Runs) -> Details:
    columns = [("start", "s"), *((str(n), it) for n in _CONNECTIONS for it in ("p50_us", "p99_us", "per_s"))]

    def cell(engine: Engine, part: str, measured: str) -> str:
        return shown(runs.figure(engine.name, lambda answer: answer[part][measured]), _UNITS[measured])

    lines = [(engine.name, *(cell(engine, *column) for column in columns)) for engine in _ENGINES]
    headings = ("server", "start", "1 connection p50", "p99", "throughput", "8 connections p50", "p99", "throughput")
    return Details(title="Serving one row", headings=headings, lines=lines)


_UNITS = {"s": "s", "p50_us": "µs", "p99_us": "µs", "per_s": "/s"}
