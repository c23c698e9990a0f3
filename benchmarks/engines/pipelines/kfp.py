"""Kubeflow Pipelines' local subprocess runner, without the virtual environment a step that it makes by default.

Kubeflow Pipelines reads annotations as they are, so that their evaluation is not put off here.
"""

import logging
from pathlib import Path

from kfp import dsl, local

from benchmarks.engines.pipelines import Layers, RunLayers, tagged, work


def prepare(folder: Path) -> RunLayers:
    logging.disable(logging.CRITICAL)
    component = dsl.component(work, base_image="python:3.11", install_kfp_package=False)

    def run(layers: Layers, cache: bool, marks: str) -> None:
        local.init(
            local.SubprocessRunner(use_venv=False),
            pipeline_root=str(folder / "out"),
            enable_caching=cache,
            cache_root=str(folder / "cache"),
        )

        @dsl.pipeline(name="bench")
        def bench() -> None:
            before: list[dsl.PipelineTask] = []
            for layer in tagged(layers):
                tasks = [component(marks=marks, seconds=seconds, tag=tag) for tag, seconds in layer]
                before = [task.after(*before) if before else task for task in tasks]

        bench()

    return run
