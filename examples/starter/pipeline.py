"""A pipeline of two steps: `cloudmlops run pipeline.py:hello`."""

from __future__ import annotations

import cloudmlops as cm


@cm.step
def numbers(count: int) -> list[int]:
    """Make some data."""
    return list(range(count))


@cm.step
def summarise(values: list[int]) -> cm.Metrics:
    """Reduce it to two figures."""
    print(f"summing {len(values)} numbers")
    return cm.Metrics(total=sum(values), largest=max(values))


@cm.pipeline
def hello(count: int = 10) -> cm.Metrics:
    """Connect the steps; what runs where, and in which order, follows from it."""
    return summarise(numbers(count))
