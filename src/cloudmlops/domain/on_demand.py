"""Features that are computed when they are asked for: one function, in training and in serving."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import Any, overload

from cloudmlops.domain.feature_columns import column_faults, refuse, type_faults
from cloudmlops.domain.feature_types import OUTPUT_TYPES, FeatureType
from cloudmlops.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class OnDemandFeature:
    """A feature computed when it is asked for, by one function in training and in serving.

    The function takes arrays of n values, named like the columns it needs, and returns n values. Numbers and bools come
    as float64 (null is NaN), date and datetime as datetime64[D] and [us] in UTC (null is NaT), all else as objects
    (null is None). NaN in the result is null.
    """

    name: str
    _: KW_ONLY
    inputs: tuple[str, ...]
    dtype: FeatureType = float
    reference: str | None = None
    """`module:name`, where another process finds the function; None when it lies in no module."""
    loaded: Callable[..., Any] | None = field(default=None, compare=False, repr=False)

    def __hash__(self) -> int:
        return hash(self.name)

    @property
    def function(self) -> Callable[..., Any]:
        """The function, imported at first use.

        Raises:
            ConfigurationError: It cannot be imported.
        """
        if self.loaded is None:
            object.__setattr__(self, "loaded", _imported(self.reference or "", self.name))
        function: Callable[..., Any] = self.loaded  # type: ignore[assignment]  # set above
        return function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function, as without the decorator."""
        return self.function(*args, **kwargs)


@overload
def on_demand(function: Callable[..., Any], /) -> OnDemandFeature: ...
@overload
def on_demand(
    *, dtype: FeatureType = float, name: str | None = None
) -> Callable[[Callable[..., Any]], OnDemandFeature]: ...
def on_demand(
    function: Callable[..., Any] | None = None, /, *, dtype: FeatureType = float, name: str | None = None
) -> OnDemandFeature | Callable[[Callable[..., Any]], OnDemandFeature]:
    """Make a feature of a function over arrays; its parameters name the columns that it needs.

    Args:
        function: Takes and returns arrays of one value a row.
        dtype: The type of its result: float, int, bool or str.
        name: The feature's name; that of the function by default.

    Raises:
        InvalidRequestError: A parameter cannot be passed by name, or `dtype` is another type.
    """

    def wrapped(function: Callable[..., Any]) -> OnDemandFeature:
        called = name or function.__name__
        parameters = inspect.signature(function).parameters.values()
        faults = [
            f"parameter {parameter} cannot name a column"
            for parameter in parameters
            if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
        ]
        if not parameters:
            faults.append("the function takes no column")
        faults += column_faults("feature", [called])
        faults += type_faults("result", {called: dtype}, OUTPUT_TYPES)
        refuse(f"on-demand feature {called!r}", faults)
        return OnDemandFeature(
            called,
            inputs=tuple(parameter.name for parameter in parameters),
            dtype=dtype,
            reference=_reference(function),
            loaded=function,
        )

    return wrapped if function is None else wrapped(function)


def _reference(function: Callable[..., Any]) -> str | None:
    if "<" in function.__qualname__:
        return None  # a lambda, or local to another function
    module = function.__module__
    if module == "__main__":
        main = sys.modules["__main__"]
        spec, path = getattr(main, "__spec__", None), getattr(main, "__file__", None)
        # A script's folder is on the path, so the script can be imported under its own name.
        module = spec.name.removesuffix(".__main__") if spec else Path(path).stem if path else ""
    return f"{module}:{function.__qualname__}" if module else None


def _imported(reference: str, name: str) -> Callable[..., Any]:
    module, _, attribute = reference.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigurationError(
            f"on-demand feature {name!r} cannot be loaded from {reference!r}: {error}",
            hint=f"Put the module {module!r} on the path (PYTHONPATH), or install the project that holds it.",
        ) from error
    function: Callable[..., Any] = found.function if isinstance(found, OnDemandFeature) else found
    return function
