"""Metaflow's local runtime: a flow is a file of its own, and a run is a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from benchmarks.engines.pipelines import Layers, RunLayers

_HEAD = """
import os
from metaflow import FlowSpec, step
from benchmarks.engines.pipelines import work

class Bench(FlowSpec):
"""
_STEP = """
    @step
    def {name}(self):
        work(os.environ["MARKS"], {seconds}, "{name}")
"""
_NEXT = "        self.next(self.{name})\n"
_TAIL = """
if __name__ == "__main__":
    Bench()
"""


def prepare(folder: Path) -> RunLayers:
    def run(layers: Layers, _: bool, marks: str) -> None:
        flow = folder / f"flow_{len(layers)}.py"
        flow.write_text(_source(layers))
        command = [sys.executable, str(flow), "--quiet", "--no-pylint", "run"]
        subprocess.run(command, check=True, cwd=folder, env={**os.environ, "MARKS": marks}, stdout=subprocess.DEVNULL)

    return run


def _source(layers: Layers) -> str:
    """A chain; it needs a first step `start` and a last step `end`."""
    seconds = [layer[0] for layer in layers] if len(layers) > 1 else [0.0, 0.0]
    names = ["start", *(f"s{i}" for i in range(1, len(seconds) - 1)), "end"]
    steps = [_STEP.format(name=name, seconds=nap) for name, nap in zip(names, seconds, strict=True)]
    arrows = [*(_NEXT.format(name=name) for name in names[1:]), ""]
    return _HEAD + "".join(step + arrow for step, arrow in zip(steps, arrows, strict=True)) + _TAIL
