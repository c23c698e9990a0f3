"""Which members of a sorted array are its quantiles."""

from __future__ import annotations


def places(count: int, parts: int) -> list[int]:
    """The places, from 1, of the bounds of so many parts: the first is the least, each other one ends its part."""
    if parts < 1:
        raise ValueError("The second argument to the function APPROX_QUANTILES must be positive")
    return [max(1, -(-number * count // parts)) for number in range(parts + 1)]
