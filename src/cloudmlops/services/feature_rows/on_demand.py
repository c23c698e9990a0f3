"""Calling on-demand functions: the same arrays, whether for a training table or for one request."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from cloudmlops.domain.feature_types import FeatureType, type_name
from cloudmlops.domain.features import FeatureService
from cloudmlops.domain.on_demand import OnDemandFeature
from cloudmlops.errors import InvalidRequestError


def add_to_table(service: FeatureService, columns: Mapping[str, Any]) -> dict[str, Any]:
    """Compute a service's on-demand features for a training table.

    Args:
        service: The service.
        columns: Keys, request columns and view features by name: Arrow columns in their declared types.

    Returns:
        Feature to Arrow column.
    """
    kinds = _kinds(service)
    return _computed(service, kinds, lambda name: _from_arrow(columns[name], kinds[name]))


def add_to_rows(service: FeatureService, columns: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
    """Compute a service's on-demand features for a request; like `add_to_table`, but of and to Python values."""
    kinds = _kinds(service)
    found = _computed(service, kinds, lambda name: _from_values(columns[name], kinds[name]))
    return {name: column.to_pylist() for name, column in found.items()}


def _kinds(service: FeatureService) -> dict[str, FeatureType]:
    return {**service.join_keys, **service.request, **service.columns}


def _computed(
    service: FeatureService, kinds: Mapping[str, FeatureType], column: Callable[[str], Any]
) -> dict[str, Any]:
    arrays: dict[str, Any] = {}
    found: dict[str, Any] = {}
    for feature in service.on_demand:
        for name in feature.inputs:
            if name not in arrays:
                arrays[name] = _from_arrow(found[name], kinds[name]) if name in found else column(name)
        found[feature.name] = _result(feature, [arrays[name] for name in feature.inputs])
    return found


def _from_arrow(column: Any, kind: FeatureType) -> Any:
    import numpy as np

    match type_name(kind):
        case "int" | "float" | "bool":
            return column.cast("float64", safe=False).to_numpy().astype(np.float64, copy=True)
        case "date":
            return column.to_numpy().astype("datetime64[D]")
        case "datetime":
            return column.to_numpy().astype("datetime64[us]")
        case _:
            return _objects(column.to_pylist())


def _from_values(values: Sequence[Any], kind: FeatureType) -> Any:
    import numpy as np

    match type_name(kind):
        case "int" | "float" | "bool":
            return np.array(values, np.float64)  # None is NaN
        case "date":
            return np.array(values, "datetime64[D]")  # None is NaT
        case "datetime":
            return np.array([value and _naive_utc(value) for value in values], "datetime64[us]")
        case _:
            return _objects(values)


def _naive_utc(value: datetime) -> datetime:
    return value.astimezone(UTC).replace(tzinfo=None)


def _objects(values: Sequence[Any]) -> Any:
    import numpy as np

    array = np.empty(len(values), object)
    array[:] = values
    return array


def _result(feature: OnDemandFeature, inputs: Sequence[Any]) -> Any:
    import numpy as np
    import pyarrow as pa

    from cloudmlops.materializers.feature_columns import arrow_type

    count = len(inputs[0])
    result = np.asarray(feature.function(**dict(zip(feature.inputs, inputs, strict=True))))
    if result.shape != (count,):
        raise InvalidRequestError(
            f"on-demand feature {feature.name!r} returned an array of shape {result.shape} for {count} rows",
            hint="Return one value a row, computed from whole arrays.",
        )
    try:
        if result.dtype.kind == "f":
            null = np.isnan(result)
            if feature.dtype is not float:
                result = np.where(null, 0, result)
            if feature.dtype is bool:
                result = result.astype(bool)
            return pa.array(result, mask=null if null.any() else None).cast(arrow_type(feature.dtype))
        return pa.array(result, from_pandas=True).cast(arrow_type(feature.dtype))
    except (pa.ArrowException, TypeError) as error:
        raise InvalidRequestError(
            f"on-demand feature {feature.name!r} returned {result.dtype} values that are no "
            f"{type_name(feature.dtype)}: {error}",
            hint="Say @on_demand(dtype=…), or convert the result.",
        ) from error
