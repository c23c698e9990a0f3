"""The pipeline as a user of cloudmlops writes it; it is copied into a project folder of its own."""

from __future__ import annotations

import time

import cloudmlops as cm


@cm.step
def mark(marks: str, seconds: float, tag: str) -> str:
    """Do what `work` of this folder does: a project has only its own modules."""
    begun = time.monotonic()
    if seconds:
        time.sleep(seconds)
    with open(marks, "a") as file:  # noqa: PTH123 the least code that appends a line
        file.write(f"{tag} {begun} {time.monotonic()}\n")
    return tag


@cm.pipeline
def bench(marks: str, layers: list[list[float]]) -> None:
    before: list[str] = []
    for i, layer in enumerate(layers):
        before = [mark.with_options(after=before)(marks, seconds, f"{i}.{j}") for j, seconds in enumerate(layer)]
