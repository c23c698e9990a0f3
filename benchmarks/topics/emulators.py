"""Emulated Vertex AI: from the shell to the first answer, and calls by Google's own clients."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.bench import Answer, Bench, Engine, Runs, Scale
from benchmarks.measuring import Missing
from benchmarks.table import Details, Goal, Report, Row, shown

_EMULATED = ("cloudmlops", "emulate", "vertex", "--")
_SHELL = Engine(name="cloudmlops emulate vertex", module="emulators.first_call", around=_EMULATED)
_CALLS = Engine(name="emulated Vertex AI", module="emulators.calls", around=_EMULATED)
_SECOND = Engine(name="a second one in a process", module="emulators.second")
_MOTO = Engine(name="moto's server", module="emulators.moto")
_GOOGLES = Engine(name="Google's cbtemulator", module="emulators.point_read")


@dataclass(frozen=True, kw_only=True)
class _Sizes:
    calls: int
    rounds: int


_SIZES = {
    Scale.FULL: _Sizes(calls=1_000, rounds=5),
    Scale.QUICK: _Sizes(calls=200, rounds=2),
    Scale.TINY: _Sizes(calls=5, rounds=1),
}


def measure(bench: Bench) -> Report:
    """Start each emulator from the shell, and call it."""
    sizes = _SIZES[bench.scale]
    googles = None if bench.only_ours else _cbtemulator()
    # moto is in the dev extra, and so in our own environment.
    engines = [_SHELL, _CALLS, _SECOND, *([] if bench.only_ours else [_MOTO]), *([_GOOGLES] if googles else [])]

    def run(engine: Engine, _: int) -> Answer:
        parameters: dict[str, object] = {"calls": sizes.calls} if engine not in (_SHELL, _SECOND) else {}
        if engine is _GOOGLES:
            parameters["program"] = googles
        begun = time.time()
        answer = bench.ask(engine, parameters)
        if "answered_at" in answer:
            answer["start_s"] = answer["answered_at"] - begun
        return answer

    if bench.scale is not Scale.TINY:  # byte code and page cache
        bench.ask(_SHELL, {})
    runs = bench.in_turns(engines, run, rounds=sizes.rounds)
    for engine, reason in ((_MOTO, "left out"), (_GOOGLES, "left out" if bench.only_ours else "not on this machine")):
        if engine not in engines:
            runs.missing[engine.name] = reason
    return Report(rows=_rows(runs), details=[_details(runs)])


def _cbtemulator() -> str | None:
    """Google's emulator on the path or beside a Google Cloud SDK."""
    if found := shutil.which("cbtemulator"):
        return found
    roots = [Path(gcloud).resolve().parents[1] for gcloud in [shutil.which("gcloud")] if gcloud]
    roots += [Path("/usr/lib/google-cloud-sdk"), Path.home() / "google-cloud-sdk"]
    programs = [root / "platform/bigtable-emulator/cbtemulator" for root in roots]
    return next((str(program) for program in programs if os.access(program, os.X_OK)), None)


def _rows(runs: Runs) -> list[Row]:
    def call(what: str, kind: str, goal: Goal | None, peer: tuple[str, Engine] | None = None) -> Row:
        ours, theirs = (
            runs.figure(engine.name, lambda answer: answer[kind]["p50_us"] / 1e3) if engine else None
            for engine in (_CALLS, peer[1] if peer else None)
        )
        assert ours
        return Row(what=what, unit="ms", ours=ours, against=peer[0] if peer else "", theirs=theirs, goal=goal)

    return [
        Row(
            what="emulated Vertex AI from the shell: first gRPC call answered",
            unit="s",
            ours=runs.figure(_SHELL.name, lambda answer: answer["start_s"]),
            against=f"{_MOTO.name}, first S3 call",
            theirs=runs.figure(_MOTO.name, lambda answer: answer["start_s"]),
            goal=Goal(bound=2.5, unit="s"),
        ),
        Row(
            what="a second one in a process: first gRPC call answered",
            unit="s",
            ours=runs.figure(_SECOND.name, lambda answer: answer["second_s"]),
            goal=Goal(bound=0.3, unit="s"),
        ),
        call("a unary call over gRPC, p50", "grpc", Goal(bound=1.5, unit="ms")),
        call("a unary call over REST, p50", "rest", Goal(bound=3, unit="ms"), (f"{_MOTO.name}, head_object", _MOTO)),
        call('query_and_wait("SELECT 1"), p50', "query", Goal(bound=5, unit="ms")),
        call("emulated Bigtable, one row read, p50", "point_read", None, (_GOOGLES.name, _GOOGLES)),
        Row(
            what="idle after the first call: memory",
            unit="MiB",
            ours=runs.figure(_SHELL.name, lambda answer: answer["idle_mib"]),
            against=_MOTO.name,
            theirs=runs.figure(_MOTO.name, lambda answer: answer["idle_mib"]),
            goal=Goal(bound=350, unit="MiB"),
        ),
    ]


def _details(runs: Runs) -> Details:
    kinds = (
        (_CALLS, "grpc", "get_model over gRPC"),
        (_CALLS, "rest", "get_model over REST"),
        (_CALLS, "query", "SELECT 1 in BigQuery"),
        (_CALLS, "point_read", "one row of Bigtable"),
        (_GOOGLES, "point_read", "one row of Bigtable"),
        (_MOTO, "rest", "head_object of S3"),
    )

    def cell(engine: Engine, kind: str, share: str) -> str:
        figure = runs.figure(engine.name, lambda answer: answer[kind][share] / 1e3)
        return f"not measured: {figure.reason}" if isinstance(figure, Missing) else shown(figure, "ms")

    lines = [
        (engine.name, what, cell(engine, kind, "p50_us"), cell(engine, kind, "p99_us")) for engine, kind, what in kinds
    ]
    return Details(title="Calls of emulated services", headings=("emulator", "call", "p50", "p99"), lines=lines)
