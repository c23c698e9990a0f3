"""Orchestrators of steps that only note their name and time.

An engine's module has `prepare(folder, **options) -> RunLayers`; a step comes after all steps of the layer before.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, NotRequired, TypedDict

Layers = list[list[float]]
"""The seconds that each step sleeps, layer by layer."""
RunLayers = Callable[[Layers, bool, str], object]
"""Run layers, with or without caching, as steps that call `work` with the given file."""


class Shape(TypedDict):
    """One pipeline to run; with `again`, a second time on a warm cache."""

    layers: Layers
    again: NotRequired[bool]


def work(marks: str, seconds: float, tag: str) -> str:
    """The body of every step: sleep, and note in the file `marks` when that began and ended.

    Some engines run its source text elsewhere or read its types: it needs nothing from outside, and this module does
    not put off the evaluation of annotations.
    """
    import time

    begun = time.monotonic()
    if seconds:
        time.sleep(seconds)
    with open(marks, "a") as file:  # noqa: PTH123 the least code that appends a line
        file.write(f"{tag} {begun} {time.monotonic()}\n")
    return tag


def tagged(layers: Layers) -> list[list[tuple[str, float]]]:
    """The layers with a name for each step."""
    return [[(f"{i}.{j}", seconds) for j, seconds in enumerate(layer)] for i, layer in enumerate(layers)]


def drive(
    engine: ModuleType, *, folder: str, shapes: dict[str, Shape], warm: bool = True, **options: object
) -> dict[str, Any]:
    """Run each shape; if `warm`, after a single step, so that lazy imports and a server's start are not counted."""
    home = Path(folder)
    home.mkdir(parents=True, exist_ok=True)
    run: RunLayers = engine.prepare(home, **options)
    answer: dict[str, Any] = {}
    if warm:
        begun = time.perf_counter()
        run([[0.0]], False, str(home / f"first-{os.getpid()}"))
        answer["first_s"] = time.perf_counter() - begun
    for name, shape in shapes.items():
        answer[name] = _timed(run, shape, home / f"marks-{name}-{os.getpid()}")
    return answer


def _timed(run: RunLayers, shape: Shape, marks: Path) -> dict[str, float]:
    layers, again = shape["layers"], shape.get("again", False)
    steps = sum(map(len, layers))
    figures: dict[str, float] = {}
    for prefix in ("", "again_") if again else ("",):
        marks.write_text("")
        begun = time.perf_counter()
        run(layers, again, str(marks))
        figures[f"{prefix}s"] = time.perf_counter() - begun
        noted = [line.split() for line in marks.read_text().splitlines()]
        expected = 0 if prefix else steps
        if len(noted) != expected:
            raise AssertionError(f"{len(noted)} steps ran, and {expected} should have")
        if max(map(len, layers)) > 1:
            first, last = noted[0], noted[-1]
            figures["between_s"] = float(last[1]) - float(first[2])
    return figures
