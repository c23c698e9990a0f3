"""Which members of a sorted array are its quantiles."""

from __future__ import annotations

from fractions import Fraction


def places(count: int, parts: int) -> list[int]:
    """The places, from 1, of the bounds of so many parts: the first is the least, each other one ends its part."""
    if parts < 1:
        raise ValueError("The second argument to the function APPROX_QUANTILES must be positive")
    return [max(1, -(-number * count // parts)) for number in range(parts + 1)]


def weights(count: int, percentile: float) -> list[float] | None:
    """Where PERCENTILE_CONT is: a place, from 1, with its weight and that of the next."""
    if not count:
        return None
    place, rest = divmod(Fraction(percentile) * (count - 1), 1)
    # The lesser one is computed and the other is what is left, so that the lesser one is as near as can be.
    if rest > Fraction(1, 2):
        left = float(1 - rest)
        return [float(place + 1), left, 1 - left]
    right = float(rest)
    return [float(place + 1), 1 - right, right]


def discrete(count: int, percentile: float) -> int | None:
    """The place, from 1, of PERCENTILE_DISC: the first one whose share is not less."""
    return max(1, -(-Fraction(percentile) * count // 1)) if count else None
