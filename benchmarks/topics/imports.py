"""What a shell waits for: `import X` and `X --help` as whole processes, over the bare interpreter."""

from __future__ import annotations

from benchmarks import peers, processes
from benchmarks.bench import Answer, Bench, Engine, Scale
from benchmarks.table import Details, Goal, Report, Row, shown

_BARE = "python -c pass"
_IMPORT = "import cloudmlops"
_HELP = "cloudmlops --help"

_IMPORTED = ("metaflow", "kfp", "dagster", "prefect", "mlflow", "zenml", "feast")
_HELPED = ("dvc", "zenml", "feast")

_OURS = [
    Engine(name=_BARE, peer="base", options={"command": ["python", "-c", "pass"]}),
    Engine(name=_IMPORT, options={"command": ["python", "-c", "import cloudmlops"]}),
    Engine(name=_HELP, options={"command": ["cloudmlops", "--help"]}),
]
_PEERS = [
    *((f"import {peer}", peer, ["python", "-c", f"import {peer}"]) for peer in _IMPORTED),
    *((f"{peer} --help", peer, [peer, "--help"]) for peer in _HELPED),
]
_ENGINES = [
    *_OURS,
    *(Engine(name=name, peer=peer, options={"command": command}, slow=True) for name, peer, command in _PEERS),
]
_ROUNDS = {Scale.FULL: (15, 3), Scale.QUICK: (5, 1), Scale.TINY: (2, 1)}
"""Of ours and of the peers."""


def measure(bench: Bench) -> Report:
    """Take the wall clock of each command from start to end."""
    rounds, peer_rounds = _ROUNDS[bench.scale]

    def start(engine: Engine, number: int) -> Answer:
        peer, home = peers.peer(engine.peer), bench.home(engine.peer)
        program, *arguments = engine.options["command"]
        command, environment = [peer.tool(program), *arguments], peer.environment(home)
        if number == 0:  # byte code, page cache, and what a tool sets up at its very first start
            processes.run(command, environment=environment, folder=home)
        finished = processes.run(command, environment=environment, folder=home)
        return {"wall_ms": finished.wall_s * 1e3, "cpu_ms": finished.cpu_s * 1e3, "peak_mib": finished.peak_mib}

    runs = bench.in_turns(_ENGINES, start, rounds=rounds, slow_rounds=peer_rounds)
    walls = {engine.name: runs.figure(engine.name, lambda answer: answer["wall_ms"]) for engine in _ENGINES}

    def row(ours: str, over: str, goal: Goal | None = None) -> Row:
        return Row(what=ours, unit="ms", ours=walls[ours], against=over, theirs=walls[over], goal=goal)

    rows = [row(_IMPORT, _BARE, Goal(bound=4)), row(_HELP, _BARE, Goal(bound=8))]
    lines = [
        (
            engine.name,
            shown(walls[engine.name], "ms"),
            f"{ratio:.3g}x" if (ratio := row(engine.name, _BARE).ratio) else "",
            shown(runs.figure(engine.name, lambda answer: answer["cpu_ms"]), "ms"),
            shown(runs.figure(engine.name, lambda answer: answer["peak_mib"]), "MiB"),
        )
        for engine in _ENGINES
    ]
    title = "Imports and --help, whole processes"
    return Report(
        rows=rows, details=[Details(title=title, headings=("command", "wall", "over bare", "CPU", "peak"), lines=lines)]
    )
