"""Prefect's thread-pool task runner, with the server that it starts for itself."""

from __future__ import annotations

from pathlib import Path

from prefect import flow, task
from prefect.cache_policies import INPUTS, NO_CACHE
from prefect.futures import PrefectFuture
from prefect.task_runners import ThreadPoolTaskRunner

from benchmarks.engines.pipelines import Layers, RunLayers, tagged, work


def prepare(_: Path) -> RunLayers:
    def run(layers: Layers, cache: bool, marks: str) -> None:
        work_task = task(work, cache_policy=INPUTS if cache else NO_CACHE, persist_result=cache)

        @flow(name="bench", task_runner=ThreadPoolTaskRunner(max_workers=max(map(len, layers))))
        def bench() -> None:
            before: list[PrefectFuture[str]] = []
            for layer in tagged(layers):
                before = [work_task.submit(marks, seconds, tag, wait_for=before) for tag, seconds in layer]
            for future in before:
                future.result()

        bench()

    return run
