"""The provider for Vertex AI: what its adapters add to the SDK's own calls."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.bench import Answer, Bench, Engine, Scale
from benchmarks.measuring import Figure, Spread
from benchmarks.table import Details, Goal, Report, Row, shown

_OURS = Engine(name="cloudmlops", module="vertex.adapter", around=("cloudmlops", "emulate", "vertex", "--"))
_CALLS = {"read": "a model read", "list": "ten models listed"}


@dataclass(frozen=True, kw_only=True)
class _Sizes:
    calls: int
    rounds: int


_SIZES = {
    Scale.FULL: _Sizes(calls=1_000, rounds=3),
    Scale.QUICK: _Sizes(calls=200, rounds=1),
    Scale.TINY: _Sizes(calls=20, rounds=1),
}


def measure(bench: Bench) -> Report:
    """Make the same calls through the adapter and through the bare client, one after the other."""
    sizes = _SIZES[bench.scale]

    def run(engine: Engine, _: int) -> Answer:
        return bench.ask(engine, {"calls": sizes.calls})

    runs = bench.in_turns([_OURS], run, rounds=sizes.rounds)

    def figure(call: str, share: str, per: float) -> Figure:
        return runs.figure(_OURS.name, lambda answer: answer[call][share] / per)

    def row(call: str, what: str) -> Row:
        bare = figure(call, "bare_us", 1e3)
        # A tenth more or a millisecond, whichever is the greater.
        more = max(0.1, 1 / bare.median) if isinstance(bare, Spread) else 0.1
        return Row(
            what=f"Vertex AI, {what} by the adapter, p50",
            unit="ms",
            ours=figure(call, "ours_us", 1e3),
            against="the SDK's bare call",
            theirs=bare,
            goal=Goal(bound=1 + more),
        )

    rows = [row(call, what) for call, what in _CALLS.items()]
    lines = [(what, shown(figure(call, "more_us", 1), "µs")) for call, what in _CALLS.items()]
    return Report(
        rows=rows, details=[Details(title="The adapter's share", headings=("call", "more than bare, p50"), lines=lines)]
    )
