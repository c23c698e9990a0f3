"""What runs in a fresh process of an engine's environment: `python -m benchmarks.worker pipelines.kfp`.

It takes the parameters as JSON on stdin and prints the topic's figures as the last line of its output.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module


def main(engine: str) -> None:
    topic, _, _ = engine.partition(".")
    parameters = json.load(sys.stdin)
    driver = import_module(f"benchmarks.engines.{topic}")
    figures = driver.drive(import_module(f"benchmarks.engines.{engine}"), **parameters)
    print("\n" + json.dumps(figures), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
