"""Dagster's in-process executor; its executor with a process a step takes over a second for each."""

from __future__ import annotations

from pathlib import Path

from dagster import DagsterInstance, In, Nothing, OpDefinition, job, op

from benchmarks.engines.pipelines import Layers, RunLayers, tagged, work


def prepare(_: Path) -> RunLayers:
    instance = DagsterInstance.get()

    def run(layers: Layers, _: bool, marks: str) -> None:
        @job
        def bench() -> None:
            before: list[object] = []
            for layer in tagged(layers):
                ops = [_op(marks, tag, seconds, inputs=len(before)) for tag, seconds in layer]
                before = [one(**{f"after_{i}": it for i, it in enumerate(before)}) for one in ops]

        if not bench.execute_in_process(instance=instance).success:
            raise RuntimeError("the job failed")

    return run


def _op(marks: str, tag: str, seconds: float, *, inputs: int) -> OpDefinition:
    @op(name="s" + tag.replace(".", "_"), ins={f"after_{i}": In(Nothing) for i in range(inputs)})
    def step() -> None:
        work(marks, seconds, tag)

    return step
