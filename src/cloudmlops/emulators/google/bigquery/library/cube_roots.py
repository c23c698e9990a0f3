"""CBRT to the last bit: the FLOAT64 that is nearest to the root, which C libraries miss by one here and there."""

from __future__ import annotations

import math
from fractions import Fraction


def cube_root(x: float) -> float:
    """The cube root, rounded once."""
    if x == 0 or not math.isfinite(x):
        return x
    exact, root = abs(Fraction(x)), math.cbrt(abs(x))
    while _between(root, math.inf) < exact:
        root = math.nextafter(root, math.inf)
    while _between(root, 0.0) > exact:
        root = math.nextafter(root, 0.0)
    return math.copysign(root, x)


def _between(root: float, towards: float) -> Fraction:
    """The cube of what lies in the middle of two neighbours."""
    return ((Fraction(root) + Fraction(math.nextafter(root, towards))) / 2) ** 3
