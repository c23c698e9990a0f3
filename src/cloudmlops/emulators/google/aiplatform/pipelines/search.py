"""Which parameters the trials of a study get: grid, random, and a plain search that learns from what is measured.

The default algorithm stands for Vizier's Bayesian optimisation and is not it: a part of the trials is random, each
other one varies the best that is known, the less the more is known. It finds good values of smooth problems, and by the
seed (the study's own specification, and a trial's number) the same ones each time as long as the same is measured.
"""

from __future__ import annotations

import hashlib
import itertools
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cloudmlops.emulators.core.faults import Refused

Value = float | str
Point = Mapping[str, Value]
_GRID: Final = "GRID_SEARCH"
_RANDOM: Final = "RANDOM_SEARCH"
_LINEAR: Final = ("SCALE_TYPE_UNSPECIFIED", "UNIT_LINEAR_SCALE")
_LOG: Final = "UNIT_LOG_SCALE"
_EXPLORED: Final = 5
"""So many trials are random before the first that varies what is known; afterwards each so-many-th is."""
_NEARNESS: Final = 0.3
"""How far a parameter is varied at first, as a part of its whole space."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Parameter:
    """One parameter: a range, or values in their order."""

    name: str
    low: float = 0.0
    high: float = 0.0
    whole: bool = False
    """Whether the range is of whole numbers."""
    values: tuple[Value, ...] = ()
    """Of a parameter that has no range."""
    ordered: bool = True
    """Whether values that follow one another are near to one another."""
    scale: str = _LINEAR[0]

    def at(self, unit: float) -> Value:
        """Return the value at a place in the unit interval."""
        if self.values:
            return self.values[min(int(unit * len(self.values)), len(self.values) - 1)]
        low, high = (self.low - 0.5, self.high + 0.5) if self.whole and self.scale in _LINEAR else (self.low, self.high)
        if self.scale in _LINEAR:
            value = low + unit * (high - low)
        elif self.scale == _LOG:
            value = low * (high / low) ** unit
        else:
            value = low + high - low * (high / low) ** (1 - unit)
        return min(max(float(round(value)) if self.whole else value, self.low), self.high)

    def place(self, value: Value) -> float:
        """Return a place in the unit interval at which a value is."""
        if self.values:
            return (self.values.index(value) + 0.5) / len(self.values)
        number = float(value)
        if self.high <= self.low:
            return 0.5
        if self.scale in _LINEAR:
            return (number - self.low) / (self.high - self.low)
        if self.scale == _LOG:
            return math.log(number / self.low) / math.log(self.high / self.low)
        return 1 - math.log((self.low + self.high - number) / self.low) / math.log(self.high / self.low)

    def all(self) -> Sequence[Value]:
        """Return all values, of a parameter that is no range of real numbers."""
        return self.values or [float(number) for number in range(int(self.low), int(self.high) + 1)]


class Search:
    """The points of one study, one after the other."""

    def __init__(self, spec: Any) -> None:
        """Read a `StudySpec`.

        Raises:
            Refused: It is not valid, or not emulated.
        """
        self.parameters = tuple(_parameter(given) for given in spec.parameters)
        names = [parameter.name for parameter in self.parameters]
        if len(set(names)) < len(names):
            raise Refused("INVALID_ARGUMENT", "study_spec.parameters has two parameters of one parameter_id.")
        self.algorithm = _enum(spec, "algorithm")
        if self.algorithm == _GRID:
            real = [one.name for one in self.parameters if not one.values and not one.whole]
            if real:
                raise Refused(
                    "INVALID_ARGUMENT",
                    f"GRID_SEARCH needs INTEGER, CATEGORICAL or DISCRETE parameters: {real[0]!r} is a DOUBLE.",
                )
        elif self.algorithm not in (_RANDOM, "ALGORITHM_UNSPECIFIED"):
            raise Refused("UNIMPLEMENTED", f"The algorithm {self.algorithm} is not emulated.")
        self._seed = hashlib.sha256(spec.SerializeToString(deterministic=True)).hexdigest()
        self._grid: Iterator[tuple[Value, ...]] = (
            itertools.product(*(parameter.all() for parameter in self.parameters))
            if self.algorithm == _GRID
            else iter(())
        )

    def next(self, number: int, best: Point | None) -> Point | None:
        """Return the point of a trial; None when the grid is at its end.

        Args:
            number: Of the trial, from 1.
            best: The point of the trial with the best measurement so far, if there is one.
        """
        if self.algorithm == _GRID:
            chosen = next(self._grid, None)
            if chosen is None:
                return None
            return {parameter.name: value for parameter, value in zip(self.parameters, chosen, strict=True)}
        chance = random.Random(f"{self._seed}/{number}")  # noqa: S311 it is to be the same each time
        learns = self.algorithm != _RANDOM and number > _EXPLORED and number % _EXPLORED != 0
        if best is None or not learns:
            return {parameter.name: parameter.at(chance.random()) for parameter in self.parameters}
        spread = _NEARNESS / math.sqrt(number / _EXPLORED)
        return {
            parameter.name: _varied(parameter, best[parameter.name], spread, chance) for parameter in self.parameters
        }


def _varied(parameter: Parameter, value: Value, spread: float, chance: random.Random) -> Value:
    if not parameter.ordered:
        return parameter.at(chance.random()) if chance.random() < spread else value
    return parameter.at(min(max(chance.gauss(parameter.place(value), spread), 0.0), 1.0))


def _parameter(given: Any) -> Parameter:
    name = given.parameter_id
    if not name:
        raise Refused("INVALID_ARGUMENT", "A parameter of the study has no parameter_id.")
    if given.conditional_parameter_specs:
        raise Refused("UNIMPLEMENTED", f"Conditional parameters, such as those of {name!r}, are not emulated.")
    kind = given.WhichOneof("parameter_value_spec")
    if kind is None:
        raise Refused("INVALID_ARGUMENT", f"The parameter {name!r} has no specification of its values.")
    values = getattr(given, kind)
    if values.HasField("default_value"):
        raise Refused("INVALID_ARGUMENT", f"The parameter {name!r} has a default value, which only Vizier supports.")
    scale = _enum(given, "scale_type")
    if kind == "categorical_value_spec":
        return Parameter(name=name, values=_some(name, list(values.values)), ordered=False)
    if kind == "discrete_value_spec":
        found = Parameter(name=name, values=_some(name, sorted(values.values)), scale=scale)
        low = min(values.values)
    else:
        low, high = values.min_value, values.max_value
        if not low <= high or not all(map(math.isfinite, (low, high))):
            raise Refused("INVALID_ARGUMENT", f"The parameter {name!r} has no values between {low} and {high}.")
        found = Parameter(name=name, low=float(low), high=float(high), whole=kind == "integer_value_spec", scale=scale)
    if scale not in _LINEAR and low <= 0:
        raise Refused("INVALID_ARGUMENT", f"The parameter {name!r} is scaled by {scale}: its values must be positive.")
    return found


def _some(name: str, values: Sequence[Value]) -> tuple[Value, ...]:
    if not values:
        raise Refused("INVALID_ARGUMENT", f"The parameter {name!r} has no values.")
    return tuple(values)


def _enum(message: Any, field: str) -> str:
    found = message.DESCRIPTOR.fields_by_name[field].enum_type.values_by_number.get(getattr(message, field))
    return str(found.name) if found is not None else str(getattr(message, field))
