"""Arrow columns in the types that features and keys are declared with."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cloudmlops.domain.feature_types import FeatureType, type_name
from cloudmlops.domain.features import FeatureView

TIME: Final = pa.timestamp("us", "UTC")

_ARROW: Final[dict[str, pa.DataType]] = {
    "int": pa.int64(),
    "float": pa.float64(),
    "bool": pa.bool_(),
    "str": pa.string(),
    "bytes": pa.binary(),
    "date": pa.date32(),
    "datetime": TIME,
}


class Rounding(Enum):
    """What becomes of times finer than microseconds."""

    DOWN = "down"
    """For entity rows: nothing is read that was not known yet."""
    UP = "up"
    """For feature rows: nothing is known before its time."""


def arrow_type(kind: FeatureType) -> pa.DataType:
    """Return the Arrow type in which values of a declared type are kept."""
    name = type_name(kind) or ""
    if name.startswith("list["):
        return pa.list_(_ARROW[name[5:-1]])
    return _ARROW[name]


def type_fault(given: pa.DataType, kind: FeatureType) -> str | None:
    """Say in words why a column of an Arrow type cannot hold a declared type; None when it can."""
    name = type_name(kind) or ""
    if pa.types.is_dictionary(given):
        given = given.value_type
    if pa.types.is_null(given):
        return None
    if name.startswith("list["):
        is_list = pa.types.is_list(given) or pa.types.is_large_list(given) or pa.types.is_fixed_size_list(given)
        return _scalar_fault(given.value_type, name[5:-1], name) if is_list else f"is {given}, not {name}"
    return _scalar_fault(given, name, name)


def conformed(column: pa.ChunkedArray | pa.Array, kind: FeatureType) -> pa.ChunkedArray | pa.Array:
    """Cast a column to its declared type without loss.

    Raises:
        ValueError: Its type is another, or a value does not fit; the message says so in words.
    """
    wanted = arrow_type(kind)
    if column.type == wanted:
        return column
    if fault := type_fault(column.type, kind):
        raise ValueError(fault)
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
        return conformed(column, kind)
    if pa.types.is_timestamp(column.type):
        return microsecond_times(column, Rounding.DOWN)
    try:
        return column.cast(wanted)
    except pa.ArrowInvalid as error:
        raise ValueError(f"holds a value that is no {type_name(kind)}: {error}") from error


def time_fault(given: pa.DataType) -> str | None:
    """Say in words why a column of an Arrow type holds no times; None when it does."""
    if pa.types.is_null(given):
        return None
    if not pa.types.is_timestamp(given):
        return f"is {given}, not a timestamp"
    return None if given.tz else "has no time zone; times must be time-zone aware, such as UTC"


def schema_faults(view: FeatureView, schema: pa.Schema) -> Iterator[str]:
    """List which columns a view's source lacks and which have another type than declared."""
    for name, kind in (*view.entity.keys.items(), *view.features.items()):
        if name not in schema.names:
            yield f"column {name!r} is missing; there are: {', '.join(schema.names)}"
        elif fault := type_fault(schema.field(name).type, kind):
            yield f"column {name!r} {fault}"
    for name in filter(None, (view.timestamp, view.created)):
        if name not in schema.names:
            yield f"time column {name!r} is missing; there are: {', '.join(schema.names)}"
        elif fault := time_fault(schema.field(name).type):
            yield f"time column {name!r} {fault}"


def microsecond_times(column: pa.ChunkedArray | pa.Array, rounding: Rounding) -> pa.ChunkedArray | pa.Array:
    """Return times in UTC and whole microseconds.

    Raises:
        ValueError: The column holds no times, has no time zone, or a time lies beyond the year 294,000.
    """
    if column.type == TIME:
        return column
    if fault := time_fault(column.type):
        raise ValueError(fault)
    if pa.types.is_null(column.type):
        return column.cast(TIME)
    if column.type.unit != "ns":
        try:
            return column.cast(TIME)
        except pa.ArrowInvalid as error:
            raise ValueError(f"holds a time out of range: {error}") from error
    finer = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    whole = pc.fill_null(finer.cast(pa.int64()), 0).to_numpy(zero_copy_only=False)
    whole = -(-whole // 1000) if rounding is Rounding.UP else whole // 1000
    return pa.array(whole, pa.int64(), mask=_nulls(finer)).cast(TIME)


def _nulls(column: pa.Array) -> np.ndarray[Any, Any] | None:
    return column.is_null().to_numpy(zero_copy_only=False) if column.null_count else None


def _scalar_fault(given: pa.DataType, name: str, wanted: str) -> str | None:
    types = pa.types
    fits = {
        "int": types.is_integer(given),
        "float": types.is_floating(given) or types.is_integer(given) or types.is_decimal(given),
        "bool": types.is_boolean(given),
        "str": types.is_string(given) or types.is_large_string(given) or types.is_string_view(given),
        "bytes": types.is_binary(given)
        or types.is_large_binary(given)
        or types.is_fixed_size_binary(given)
        or types.is_binary_view(given),
        "date": types.is_date(given),
        "datetime": types.is_timestamp(given),
    }[name]
    if not fits:
        return f"is {given}, not {wanted}"
    if name == "datetime" and not given.tz:
        return "has no time zone; times must be time-zone aware, such as UTC"
    return None
