"""The provider for Vertex AI: what its adapters add to the SDK's own calls."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.bench import Answer, Bench, Engine, Scale
from benchmarks.measuring import Figure, Spread
from benchmarks.table import Details, Goal, Report, Row, shown

_OURS = Engine(
    name="cloudmlops", module="vertex.adapter", around=("cloudmlops", "emulate", "vertex", "--bucket", "bench", "--")
)
_CALLS = {
    "fetched": ("one entity's features, by FetchFeatureValues", "fetch_feature_values"),
    "read_directly": ("one entity's features, from Bigtable itself", "read_rows"),
    "predicted": ("a prediction", "raw_predict"),
    "got": ("a model version got", "get_model"),
    "looked_up": ("a model's stamp looked up", "the same call"),
    "listed": ("models listed", "list_models"),
    "registered": ("a version registered", "the same calls"),
    "labelled": ("a promotion drawn as labels", "the same calls"),
    "run": ("a run looked at", "the same calls"),
}
"""What is done, and by what without us."""


@dataclass(frozen=True, kw_only=True)
class _Sizes:
    calls: int
    rounds: int


_SIZES = {
    Scale.FULL: _Sizes(calls=1_000, rounds=3),
    Scale.QUICK: _Sizes(calls=200, rounds=1),
    Scale.TINY: _Sizes(calls=5, rounds=1),
}


def measure(bench: Bench) -> Report:
    """Make the same calls through cloudmlops and through the SDK's own clients, in turns."""
    sizes = _SIZES[bench.scale]

    def run(engine: Engine, _: int) -> Answer:
        return bench.ask(engine, {"calls": sizes.calls})

    runs = bench.in_turns([_OURS], run, rounds=sizes.rounds)

    def figure(call: str, share: str, per: float) -> Figure:
        return runs.figure(_OURS.name, lambda answer: answer[call][share] / per)

    def row(call: str, what: str, bare_call: str) -> Row:
        bare = figure(call, "bare_us", 1e3)
        asked = figure(call, "calls", 1)
        # A tenth more or a millisecond a call, whichever is the greater.
        more = asked.median / bare.median if isinstance(bare, Spread) and isinstance(asked, Spread) else 0
        return Row(
            what=f"Vertex AI, {what}, p50",
            unit="ms",
            ours=figure(call, "ours_us", 1e3),
            against=f"SDK, {bare_call}",
            theirs=bare,
            goal=Goal(bound=1 + max(0.1, more)),
        )

    def line(call: str, what: str) -> tuple[str, ...]:
        return what, shown(figure(call, "calls", 1), ""), shown(figure(call, "more_us", 1), "µs")

    details = Details(
        title="The adapters' share",
        headings=("call", "requests to Google", "more than bare, p50"),
        lines=[line(call, what) for call, (what, _) in _CALLS.items()],
    )
    return Report(rows=[row(call, *words) for call, words in _CALLS.items()], details=[details])
