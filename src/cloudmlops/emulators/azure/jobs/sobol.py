"""Sobol's sequence: points that fill a cube evenly.

Primitive polynomials and first direction numbers are those of S. Joe and F. Y. Kuo, "Constructing Sobol sequences with
better two-dimensional projections" (2008), for the first ten dimensions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

_BITS: Final = 30
_POLYNOMIALS: Final[Sequence[tuple[int, Sequence[int]]]] = (
    (0, (1,)),
    (1, (1, 3)),
    (1, (1, 3, 1)),
    (2, (1, 1, 1)),
    (1, (1, 1, 3, 3)),
    (4, (1, 3, 5, 13)),
    (2, (1, 1, 5, 5, 17)),
    (4, (1, 1, 5, 5, 5)),
    (7, (1, 1, 7, 11, 19)),
)
"""Of each dimension after the first: the inner coefficients, as bits, and the first direction numbers."""
DIMENSIONS: Final = len(_POLYNOMIALS) + 1


def sobol(dimensions: int) -> Iterator[list[float]]:
    """Yield points of a unit cube, after the one at its corner.

    Args:
        dimensions: Up to `DIMENSIONS`.
    """
    directions = [_directions(one) for one in range(dimensions)]
    place = [0] * dimensions
    for index in range(2**_BITS - 1):
        lowest_zero = (~index & (index + 1)).bit_length() - 1
        place = [known ^ numbers[lowest_zero] for known, numbers in zip(place, directions, strict=True)]
        yield [known / 2**_BITS for known in place]


def _directions(dimension: int) -> list[int]:
    if dimension == 0:
        return [1 << (_BITS - 1 - bit) for bit in range(_BITS)]
    inner, first = _POLYNOMIALS[dimension - 1]
    degree = len(first)
    numbers = [one << (_BITS - 1 - bit) for bit, one in enumerate(first)]
    for bit in range(degree, _BITS):
        number = numbers[bit - degree] ^ (numbers[bit - degree] >> degree)
        for part in range(1, degree):
            if inner >> (degree - 1 - part) & 1:
                number ^= numbers[bit - part]
        numbers.append(number)
    return numbers
