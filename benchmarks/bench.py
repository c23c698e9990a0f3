"""Running engines in turns, each run in a fresh process, and collecting what they answer."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from benchmarks import peers, processes
from benchmarks.measuring import Figure, Missing, Spread
from benchmarks.processes import ProcessFailedError

Answer = dict[str, Any]
"""What one run of an engine measured."""


class Scale(Enum):
    """How much is measured."""

    FULL = "full"
    QUICK = "quick"
    """Small sizes, one round: an indication within two minutes."""
    TINY = "tiny"
    """Our own engines at the least sizes: proof that the scripts work."""


@dataclass(frozen=True, kw_only=True)
class Engine:
    """One way to do a topic's task."""

    name: str
    """As the table calls it."""
    module: str = ""
    """Below `benchmarks.engines`, such as `pipelines.kfp`."""
    peer: str = peers.OURS
    around: tuple[str, ...] = ()
    """A program of the peer's with arguments, which runs the engine as its command: `cloudmlops emulate vertex --`."""
    options: Mapping[str, object] = field(default_factory=dict)
    """More parameters for this engine's driver."""
    slow: bool = False
    """So slow that it runs in fewer rounds than the others."""

    @property
    def ours(self) -> bool:
        return self.peer == peers.OURS


@dataclass(frozen=True, kw_only=True)
class Bench:
    """One call of the benchmark: its scale and its scratch folder."""

    scale: Scale
    scratch: Path

    only_ours: bool = False

    def home(self, name: str) -> Path:
        """A folder of an engine's own."""
        folder = self.scratch / re.sub(r"\W+", "-", name)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def ask(self, engine: Engine, parameters: Mapping[str, object], *, timeout_s: float = 400) -> Answer:
        """Run an engine's module once in its environment; the process's own figures are under `process`."""
        peer = peers.peer(engine.peer)
        home = self.home(engine.peer)
        around = [peer.tool(engine.around[0]), *engine.around[1:]] if engine.around else []
        finished = processes.run(
            [*around, peer.python, "-m", "benchmarks.worker", engine.module],
            environment=peer.environment(home),
            folder=home,
            stdin=json.dumps({**parameters, **engine.options}),
            timeout_s=timeout_s,
        )
        answer: Answer = json.loads(finished.output.strip().splitlines()[-1])
        account = {"wall_s": finished.wall_s, "cpu_s": finished.cpu_s, "peak_mib": finished.peak_mib}
        return {**answer, "process": account}

    def in_turns(
        self, engines: Sequence[Engine], run: Callable[[Engine, int], Answer], *, rounds: int, slow_rounds: int = 1
    ) -> Runs:
        """Run all engines in turns, so that a change of the machine's speed falls on all of them alike."""
        runs = Runs(engines)
        for number in range(rounds):
            for engine in engines:
                if engine.name in runs.missing or number >= (slow_rounds if engine.slow else rounds):
                    continue
                if reason := self._left_out(engine):
                    runs.missing[engine.name] = reason
                    continue
                say(f"  round {number + 1}/{rounds}: {engine.name}")
                try:
                    runs.answers[engine.name].append(run(engine, number))
                except ProcessFailedError as error:
                    runs.missing[engine.name] = str(error)
                    say(f"    failed: {error}")
        return runs

    def _left_out(self, engine: Engine) -> str | None:
        if self.only_ours and not engine.ours:
            return "left out"
        return peers.peer(engine.peer).missing


class Runs:
    """What each engine's runs answered, or why there is no answer."""

    def __init__(self, engines: Sequence[Engine]) -> None:
        self.answers: dict[str, list[Answer]] = {engine.name: [] for engine in engines}
        self.missing: dict[str, str] = {}

    def figure(self, engine: str, pick: Callable[[Answer], float]) -> Figure:
        """One figure of an engine over its runs."""
        if engine in self.missing:
            return Missing(reason=self.missing[engine])
        return Spread.of(pick(answer) for answer in self.answers[engine])

    def best(self, engines: Sequence[str], pick: Callable[[Answer], float]) -> tuple[str, Figure]:
        """The engine with the least median, and its figure."""
        figures = {name: self.figure(name, pick) for name in engines}
        known = {name: figure.median for name, figure in figures.items() if isinstance(figure, Spread)}
        name = min(known, key=known.__getitem__) if known else engines[0]
        return name, figures[name]


def say(text: str) -> None:
    """Tell the one who waits what is going on."""
    print(text, file=sys.stderr, flush=True)
