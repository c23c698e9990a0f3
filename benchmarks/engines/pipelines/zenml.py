"""ZenML's default local stack."""

from __future__ import annotations

from pathlib import Path

from zenml import pipeline, step

from benchmarks.engines.pipelines import Layers, RunLayers, tagged, work


def prepare(_: Path) -> RunLayers:
    work_step = step(work)

    def run(layers: Layers, cache: bool, marks: str) -> None:
        @pipeline(enable_cache=cache, name="bench")
        def bench() -> None:
            before: list[str] = []
            for layer in tagged(layers):
                for tag, seconds in layer:
                    work_step(marks=marks, seconds=seconds, tag=tag, after=before or None, id=_id(tag))
                before = [_id(tag) for tag, _ in layer]

        bench()

    return run


def _id(tag: str) -> str:
    return "s" + tag.replace(".", "_")
