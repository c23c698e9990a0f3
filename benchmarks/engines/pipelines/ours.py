"""cloudmlops on a durable local platform, with a process a step or all in this process."""

from __future__ import annotations

import shutil
import sys
from importlib import import_module
from pathlib import Path

import cloudmlops as cm
from benchmarks.engines.pipelines import Layers, RunLayers

_FLOW = Path(__file__).with_name("ours_flow.py")


def prepare(folder: Path, *, in_process: bool) -> RunLayers:
    project = folder / "project"
    project.mkdir(exist_ok=True)
    shutil.copy(_FLOW, project / "flow.py")
    sys.path.insert(0, str(project))
    bench = import_module("flow").bench
    platform = cm.connect(f"local://{folder / 'platform'}")

    def run(layers: Layers, cache: bool, marks: str) -> None:
        parameters = {"marks": marks, "layers": layers}
        platform.pipelines.run(bench, parameters, wait=True, in_process=in_process, cache=cache)

    return run
