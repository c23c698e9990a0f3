"""FLOAT64 arithmetic once more, where it has come to what is not finite."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import Final

from cloudmlops.emulators.google.bigquery.library.typed_values import float_text

_OPERATORS: Final[dict[str, Callable[[float, float], float]]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}


def recomputed(program: str, values: Sequence[float | None]) -> float | None:
    """Compute step by step.

    Args:
        program: In reverse Polish notation: places of values, signs, and `~` for minus before a number.
        values: What it begins with; what is made of NULL is NULL.

    Raises:
        ValueError: A step divides by zero, or comes from finite numbers to what is none.
    """
    stack: list[float | None] = []
    for word in program.split():
        if word.isdigit():
            stack.append(values[int(word)])
        elif word == "~":
            last = stack.pop()
            stack.append(None if last is None else -last)
        else:
            right, left = stack.pop(), stack.pop()
            stack.append(None if left is None or right is None else _step(word, left, right))
    return stack.pop()


def _step(sign: str, left: float, right: float) -> float:
    if sign == "/" and right == 0:
        raise ValueError("division by zero")
    result = _OPERATORS[sign](left, right)
    if not math.isfinite(result) and math.isfinite(left) and math.isfinite(right):
        raise ValueError(f"double overflow: {float_text(left)} {sign} {float_text(right)}")
    return result
