"""What an orchestrator adds to steps that do nothing: chains, a diamond, cached re-runs, and from the shell."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks import peers, processes
from benchmarks.bench import Answer, Bench, Engine, Runs, Scale
from benchmarks.peers import OURS
from benchmarks.processes import ProcessFailedError
from benchmarks.table import Details, Goal, Report, Row, shown

_ISOLATED = Engine(name="cloudmlops, a process a step", module="pipelines.ours", options={"in_process": False})
_IN_PROCESS = Engine(name="cloudmlops, in process", module="pipelines.ours", options={"in_process": True})
_SPAWN = Engine(name="python -c a step", module="pipelines.spawn", peer="base")
_SQLITE = Engine(name="call and sqlite state", module="pipelines.sqlite_state", peer="base")
_KFP = Engine(name="kfp.local", module="pipelines.kfp", peer="kfp", slow=True)
_ZENML = Engine(name="ZenML", module="pipelines.zenml", peer="zenml", slow=True)
_METAFLOW = Engine(name="Metaflow", module="pipelines.metaflow", peer="metaflow", slow=True)
_DAGSTER = Engine(name="Dagster in process", module="pipelines.dagster", peer="dagster", slow=True)
_PREFECT = Engine(name="Prefect threads", module="pipelines.prefect", peer="prefect", slow=True)

_ASKED: Mapping[str, tuple[Engine, ...]] = {
    "chain": (_ISOLATED, _IN_PROCESS, _SPAWN, _SQLITE, _KFP, _ZENML, _METAFLOW, _DAGSTER),
    "cached": (_ISOLATED, _IN_PROCESS, _SQLITE, _KFP, _ZENML),
    "diamond": (_ISOLATED, _SPAWN, _SQLITE, _KFP, _PREFECT),
    "shell": (_ISOLATED, _SPAWN, _KFP),
}
"""Which engines run which shape; a slow one is not asked for what no goal names."""
_ENGINES = (_ISOLATED, _IN_PROCESS, _SPAWN, _SQLITE, _KFP, _ZENML, _METAFLOW, _DAGSTER, _PREFECT)


@dataclass(frozen=True, kw_only=True)
class _Sizes:
    chain: int
    shell: int
    nap_s: float
    rounds: int
    peer_rounds: int


_SIZES = {
    Scale.FULL: _Sizes(chain=50, shell=10, nap_s=1.0, rounds=5, peer_rounds=2),
    Scale.QUICK: _Sizes(chain=10, shell=10, nap_s=1.0, rounds=2, peer_rounds=1),
    Scale.TINY: _Sizes(chain=3, shell=2, nap_s=0.05, rounds=1, peer_rounds=1),
}


def measure(bench: Bench) -> Report:
    """Run the shapes in one process an engine, then the short chain as a program of its own."""
    sizes = _SIZES[bench.scale]
    shapes = {
        "chain": {"layers": [[0.0]] * sizes.chain},
        "cached": {"layers": [[0.0]] * sizes.chain, "again": True},
        "diamond": {"layers": [[0.0], [sizes.nap_s] * 4, [0.0]]},
    }

    def run(engine: Engine, number: int) -> Answer:
        folder = str(bench.home(f"{engine.name} {number}"))
        asked = {name: shape for name, shape in shapes.items() if engine in _ASKED[name]}
        answer = bench.ask(engine, {"folder": folder, "shapes": asked}) if asked else {}
        if engine in _ASKED["shell"]:
            layers = [[0.0]] * sizes.shell
            answer["shell"] = (
                _command(bench, Path(folder), layers) if engine.ours else _program(bench, engine, folder, layers)
            )
        return answer

    runs = bench.in_turns(_ENGINES, run, rounds=sizes.rounds, slow_rounds=sizes.peer_rounds)
    return Report(rows=_rows(runs, sizes), details=[_details(runs, sizes)])


def _program(bench: Bench, engine: Engine, folder: str, layers: list[list[float]]) -> Answer:
    """The whole of a program that runs the layers once."""
    parameters = {"folder": folder, "shapes": {"shell": {"layers": layers}}, "warm": False}
    account: Answer = bench.ask(engine, parameters)["process"]
    return account


def _command(bench: Bench, folder: Path, layers: list[list[float]]) -> Answer:
    """Our own command, in the project that was made before."""
    peer, marks = peers.peer(OURS), folder / "marks-shell"
    given = ["-p", f"marks={marks}", "-p", f"layers={json.dumps(layers)}"]
    environment = {**peer.environment(bench.home(OURS)), "CLOUDMLOPS_TARGET": f"local://{folder / 'platform'}"}
    command = [peer.tool("cloudmlops"), "run", "flow.py:bench", *given]
    finished = processes.run(command, environment=environment, folder=folder / "project")
    if (ran := len(marks.read_text().splitlines())) != len(layers):
        raise ProcessFailedError(f"{ran} of {len(layers)} steps ran")
    return {"wall_s": finished.wall_s}


def _rows(runs: Runs, sizes: _Sizes) -> list[Row]:
    picks = _picks(sizes)

    def row(what: str, unit: str, figure: str, ours: Engine, theirs: Engine, bound: float) -> Row:
        return Row(
            what=what,
            unit=unit,
            ours=runs.figure(ours.name, picks[figure]),
            against=theirs.name,
            theirs=runs.figure(theirs.name, picks[figure]),
            goal=Goal(bound=bound, unit=unit),
        )

    chain = f"a chain of {sizes.chain}, per step"
    return [
        row(f"{chain}, each in its own process", "ms", "chain_ms", _ISOLATED, _SPAWN, 20),
        row(f"{chain}, in process", "ms", "chain_ms", _IN_PROCESS, _DAGSTER, 1),
        row(f"{chain}, cached re-run", "ms", "cached_ms", _ISOLATED, _KFP, 0.5),
        row(f"{sizes.shell} steps from the shell", "s", "shell_s", _ISOLATED, _KFP, 0.6),
        row("a diamond of four 1 s sleeps, parallel part", "s", "diamond_s", _ISOLATED, _PREFECT, 1.2),
    ]


def _details(runs: Runs, sizes: _Sizes) -> Details:
    picks = _picks(sizes)

    def line(engine: Engine) -> tuple[str, ...]:
        def cell(figure: str, unit: str, shape: str) -> str:
            return shown(runs.figure(engine.name, picks[figure]), unit) if engine in _ASKED[shape] else ""

        return (
            engine.name,
            cell("chain_ms", "ms", "chain"),
            cell("cached_ms", "ms", "cached"),
            cell("diamond_s", "s", "diamond"),
            cell("shell_s", "s", "shell"),
        )

    headings = (
        "engine",
        f"chain of {sizes.chain}, a step",
        "cached, a step",
        "diamond",
        f"{sizes.shell} from the shell",
    )
    return Details(title="Local pipelines", headings=headings, lines=[line(engine) for engine in _ENGINES])


def _picks(sizes: _Sizes) -> dict[str, Callable[[Answer], float]]:
    return {
        "chain_ms": lambda answer: answer["chain"]["s"] / sizes.chain * 1e3,
        "cached_ms": lambda answer: answer["cached"]["again_s"] / sizes.chain * 1e3,
        "diamond_s": lambda answer: answer["diamond"]["between_s"],
        "shell_s": lambda answer: answer["shell"]["wall_s"],
    }
