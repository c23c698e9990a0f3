"""Floor: each step is `python -c`, waited for; nothing is written down."""

from __future__ import annotations

import inspect
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.engines.pipelines import Layers, RunLayers, tagged, work

_PROGRAM = f"import sys\n{inspect.getsource(work)}\nwork(sys.argv[1], float(sys.argv[2]), sys.argv[3])"


def prepare(_: Path) -> RunLayers:
    pool = ThreadPoolExecutor()

    def run(layers: Layers, _: bool, marks: str) -> None:
        def step(named: tuple[str, float]) -> None:
            tag, seconds = named
            subprocess.run([sys.executable, "-c", _PROGRAM, marks, str(seconds), tag], check=True)

        for layer in tagged(layers):
            list(pool.map(step, layer))

    return run
