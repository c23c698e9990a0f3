"""What a sweep tries: the distributions of its parameters, and how points are chosen among them.

Distributions and what each way of sampling takes are as documented (learn.microsoft.com, "Hyperparameter tuning a
model"): grid sampling takes choices only, Bayesian sampling choices and uniform ones. Sobol is the sequence of that
name, in up to ten dimensions. The service's own Bayesian search is not public: what stands for it varies the best that
is known, the same way each time. Without a seed the job's name is one, so that a job chooses the same points again.
"""

from __future__ import annotations

import itertools
import math
import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Final

from cloudmlops.emulators.azure.arm.errors import UserError
from cloudmlops.emulators.azure.jobs.sobol import DIMENSIONS, sobol

Point = Mapping[str, Any]
"""A value for each parameter."""
_FIRST: Final = 4
"""How many points a Bayesian search tries before it varies the best."""
_NEAR: Final = 0.15
"""How far, as a share of what a parameter ranges over, the best is varied."""


def _quantized(value: float, step: float) -> float:
    return round(value / step) * step


def _normal(share: float, mean: float, deviation: float) -> float:
    return NormalDist(mean, deviation).inv_cdf(min(max(share, 1e-12), 1 - 1e-12))


_OF: Final[Mapping[str, tuple[int, Callable[..., Any]]]] = {
    "choice": (1, lambda share, values: values[min(int(share * len(values)), len(values) - 1)]),
    "randint": (1, lambda share, upper: min(int(share * upper), int(upper) - 1)),
    "uniform": (2, lambda share, low, high: low + share * (high - low)),
    "quniform": (3, lambda share, low, high, step: _quantized(low + share * (high - low), step)),
    "loguniform": (2, lambda share, low, high: math.exp(low + share * (high - low))),
    "qloguniform": (3, lambda share, low, high, step: _quantized(math.exp(low + share * (high - low)), step)),
    "normal": (2, _normal),
    "qnormal": (3, lambda share, mean, deviation, step: _quantized(_normal(share, mean, deviation), step)),
    "lognormal": (2, lambda share, mean, deviation: math.exp(_normal(share, mean, deviation))),
    "qlognormal": (3, lambda share, mean, deviation, step: _quantized(math.exp(_normal(share, mean, deviation)), step)),
}
"""By name: how many arguments there are, and the value at a share of the whole, from 0 to 1."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Distribution:
    """What one parameter ranges over."""

    kind: str
    arguments: Sequence[Any]

    def at(self, share: float) -> Any:
        """Return the value below which a share of all lies, from 0 to 1."""
        return _OF[self.kind][1](share, *self.arguments)


def read_space(given: Mapping[str, Any]) -> dict[str, Distribution]:
    """Read a search space, such as `{"lr": ["uniform", [0.001, 0.1]]}`.

    Raises:
        Refused: It is malformed, or wants what is not emulated.
    """
    if not given:
        raise UserError("INVALID_ARGUMENT", "The searchSpace of a sweep is required.")
    return {name: _read(name, one) for name, one in given.items()}


def _read(name: str, given: Any) -> Distribution:
    kind, arguments = (given[0], given[1]) if isinstance(given, list) and len(given) == 2 else (None, ())
    count = _OF.get(str(kind), (0, None))[0]
    if not count or not isinstance(arguments, list) or len(arguments) != count:
        raise UserError("INVALID_ARGUMENT", f"The distribution {given!r} of {name} is none.")
    if kind == "choice":
        values = arguments[0]
        if not isinstance(values, list) or not values:
            raise UserError("INVALID_ARGUMENT", f"The choice of {name} has no values.")
        if any(isinstance(one, dict) for one in values):
            raise UserError("UNIMPLEMENTED", f"A search space within a choice is not emulated: {name}.")
    elif not all(isinstance(one, (int, float)) for one in arguments):
        raise UserError("INVALID_ARGUMENT", f"The distribution {given!r} of {name} is not of numbers.")
    return Distribution(kind=str(kind), arguments=arguments)


class Sampler(ABC):
    """Chooses points, one after the other."""

    @abstractmethod
    def next(self, tried: Sequence[tuple[Point, float | None]]) -> Point | None:
        """Return the next point; None when there is none left.

        Args:
            tried: What has been tried, with how good it was: more is better; None is not known.
        """


def sampler_of(given: Mapping[str, Any], space: Mapping[str, Distribution], *, name: str) -> Sampler:
    """Return what chooses the points of a sweep.

    Args:
        given: The sampling algorithm.
        space: What there is to be chosen from.
        name: Of the job.

    Raises:
        Refused: It is none, or does not take what the space has.
    """
    kind = str(given.get("samplingAlgorithmType"))
    seed = given.get("seed")
    chance = random.Random(name if seed is None else int(seed))  # noqa: S311 nothing is kept secret by it
    if kind == "Random":
        if given.get("logbase") is not None:
            raise UserError("UNIMPLEMENTED", "The logbase of random sampling is not emulated.")
        if str(given.get("rule") or "random").lower() == "sobol":
            if len(space) > DIMENSIONS:
                raise UserError(
                    "UNIMPLEMENTED", f"Sobol sampling of more than {DIMENSIONS} parameters is not emulated."
                )
            return _Listed(_points(space, sobol(len(space))))
        return _Listed(_points(space, ([chance.random() for _ in space] for _ in itertools.count())))
    if kind == "Grid":
        _check_kinds(space, "Grid", ("choice",))
        values = itertools.product(*(one.arguments[0] for one in space.values()))
        return _Listed(dict(zip(space, point, strict=True)) for point in values)
    if kind == "Bayesian":
        _check_kinds(space, "Bayesian", ("choice", "uniform", "quniform"))
        return _Varying(space, chance)
    raise UserError("INVALID_ARGUMENT", f"The sampling algorithm {kind!r} is none of Random, Grid and Bayesian.")


class _Listed(Sampler):
    def __init__(self, points: Iterator[Point]) -> None:
        self._points = points

    def next(self, tried: Sequence[tuple[Point, float | None]]) -> Point | None:  # noqa: ARG002 whatever was tried
        return next(self._points, None)


class _Varying(Sampler):
    def __init__(self, space: Mapping[str, Distribution], chance: random.Random) -> None:
        self._space = space
        self._chance = chance
        self._shares: list[tuple[Point, dict[str, float]]] = []

    def next(self, tried: Sequence[tuple[Point, float | None]]) -> Point | None:
        known = [(score, point) for point, score in tried if score is not None]
        best = max(known, key=lambda one: one[0])[1] if len(known) >= _FIRST else None
        near = next((shares for point, shares in self._shares if point == best), None)
        shares = {name: self._share(near[name] if near else None) for name in self._space}
        point = {name: one.at(shares[name]) for name, one in self._space.items()}
        self._shares.append((point, shares))
        return point

    def _share(self, near: float | None) -> float:
        if near is None:
            return self._chance.random()
        return min(max(self._chance.gauss(near, _NEAR), 0.0), 1.0)


def _points(space: Mapping[str, Distribution], shares: Iterator[Sequence[float]]) -> Iterator[Point]:
    for one in shares:
        yield {name: distribution.at(share) for (name, distribution), share in zip(space.items(), one, strict=True)}


def _check_kinds(space: Mapping[str, Distribution], sampling: str, kinds: Sequence[str]) -> None:
    wrong = [name for name, one in space.items() if one.kind not in kinds]
    if wrong:
        raise UserError(
            "INVALID_ARGUMENT",
            f"{sampling} sampling takes {', '.join(kinds)} only: {wrong[0]} is {space[wrong[0]].kind}.",
        )
