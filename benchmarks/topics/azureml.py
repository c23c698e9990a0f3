"""Emulated Azure ML: from the shell to the first answer, and calls by Azure's own client."""

from __future__ import annotations

import time
from dataclasses import dataclass

from benchmarks.bench import Answer, Bench, Engine, Runs, Scale
from benchmarks.measuring import Missing
from benchmarks.table import Details, Goal, Report, Row, shown

_EMULATED = ("cloudmlops", "emulate", "azureml", "--workspace", "bench/bench", "--")
_SHELL = Engine(name="cloudmlops emulate azureml", module="emulators.azureml_first_call", around=_EMULATED)
_CALLS = Engine(name="emulated Azure ML", module="emulators.azureml_calls", around=_EMULATED)


@dataclass(frozen=True, kw_only=True)
class _Sizes:
    calls: int
    submits: int
    rounds: int


_SIZES = {
    Scale.FULL: _Sizes(calls=500, submits=20, rounds=5),
    Scale.QUICK: _Sizes(calls=100, submits=5, rounds=2),
    Scale.TINY: _Sizes(calls=3, submits=1, rounds=1),
}


def measure(bench: Bench) -> Report:
    """Start the emulator from the shell, and call it."""
    sizes = _SIZES[bench.scale]

    def run(engine: Engine, _: int) -> Answer:
        begun = time.time()
        parameters = {} if engine is _SHELL else {"calls": sizes.calls, "submits": sizes.submits}
        answer = bench.ask(engine, parameters)
        if "answered_at" in answer:
            answer["start_s"] = answer["answered_at"] - begun
        return answer

    if bench.scale is not Scale.TINY:  # byte code and page cache
        bench.ask(_SHELL, {})
    runs = bench.in_turns([_SHELL, _CALLS], run, rounds=sizes.rounds)
    return Report(rows=_rows(runs), details=[_details(runs)])


def _rows(runs: Runs) -> list[Row]:
    return [
        Row(
            what="emulated Azure ML from the shell: token and first call answered",
            unit="s",
            ours=runs.figure(_SHELL.name, lambda answer: answer["start_s"]),
            goal=Goal(bound=2.5, unit="s"),
        ),
        Row(
            what="the request of models.get, bare over a kept connection, p50",
            unit="ms",
            ours=runs.figure(_CALLS.name, lambda answer: answer["bare"]["p50_us"] / 1e3),
            goal=Goal(bound=5, unit="ms"),
        ),
        Row(
            what="a pipeline submitted by azure-ai-ml, p50",
            unit="ms",
            ours=runs.figure(_CALLS.name, lambda answer: answer["submit"]["p50_us"] / 1e3),
            goal=Goal(bound=500, unit="ms"),
        ),
        Row(
            what="idle after the first call: memory",
            unit="MiB",
            ours=runs.figure(_SHELL.name, lambda answer: answer["idle_mib"]),
            goal=Goal(bound=300, unit="MiB"),
        ),
    ]


def _details(runs: Runs) -> Details:
    kinds = (
        ("bare", "GET of a model's version"),
        ("get", "models.get of azure-ai-ml"),
        ("submit", "jobs.create_or_update"),
    )

    def cell(kind: str, share: str) -> str:
        figure = runs.figure(_CALLS.name, lambda answer: answer[kind][share] / 1e3)
        return f"not measured: {figure.reason}" if isinstance(figure, Missing) else shown(figure, "ms")

    lines = [(what, cell(kind, "p50_us"), cell(kind, "p99_us")) for kind, what in kinds]
    return Details(title="Calls of emulated Azure ML", headings=("call", "p50", "p99"), lines=lines)
