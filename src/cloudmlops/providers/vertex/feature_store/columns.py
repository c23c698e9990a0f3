"""Arrow's columns as BigQuery's and back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import pyarrow as pa
from google.cloud import bigquery

from cloudmlops.materializers.feature_columns import TIME, Rounding, microsecond_times

_ARROW: Final = {
    "STRING": pa.string(),
    "BYTES": pa.binary(),
    "INTEGER": pa.int64(),
    "INT64": pa.int64(),
    "FLOAT": pa.float64(),
    "FLOAT64": pa.float64(),
    "BOOLEAN": pa.bool_(),
    "BOOL": pa.bool_(),
    "DATE": pa.date32(),
    "DATETIME": pa.timestamp("us"),
    "TIMESTAMP": TIME,
    "TIME": pa.time64("us"),
    "NUMERIC": pa.decimal128(38, 9),
    "BIGNUMERIC": pa.decimal256(76, 38),
}
_NO_VALUES: Final = "cloudmlops: no values"
"""Describes a column that was kept when it had nulls only: it fits any type."""


def arrow_schema(fields: Iterable[bigquery.SchemaField]) -> pa.Schema:
    """Return the schema that a table of these fields has in Arrow; what has no counterpart is a struct."""
    return pa.schema([pa.field(field.name, _arrow(field)) for field in fields])


def fields_of(schema: pa.Schema) -> list[bigquery.SchemaField]:
    """Return the fields of a table that holds what `loadable` makes of a table of this schema."""
    return [_field(field.name, field.type) for field in schema]


def loadable(table: pa.Table) -> pa.Table:
    """Return a table whose types BigQuery has: whole numbers of 64 bits, times in microseconds."""
    columns = {}
    for name in table.column_names:
        column = table[name]
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        if pa.types.is_timestamp(column.type) and column.type.tz:
            # Finer times are rounded up: nothing is known before its time.
            column = microsecond_times(column, Rounding.UP)
        columns[name] = column.cast(_plain(column.type))
    return pa.table(columns)


def _arrow(field: bigquery.SchemaField) -> pa.DataType:
    if field.description == _NO_VALUES:
        return pa.null()
    kind = _ARROW.get(field.field_type, pa.struct([]))
    return pa.list_(kind) if field.mode == "REPEATED" else kind


def _field(name: str, kind: pa.DataType) -> bigquery.SchemaField:
    types = pa.types
    if types.is_dictionary(kind):
        kind = kind.value_type
    if types.is_null(kind):
        return bigquery.SchemaField(name, "STRING", description=_NO_VALUES)
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        inner = _field("item", kind.value_type)
        return bigquery.SchemaField(name, inner.field_type, mode="REPEATED", fields=inner.fields)
    if types.is_struct(kind):
        return bigquery.SchemaField(name, "RECORD", fields=[_field(part.name, part.type) for part in kind])
    for wanted, fits in _FITTING:
        if fits(kind):
            return bigquery.SchemaField(name, wanted)
    raise ValueError(f"column {name!r} is {kind}, which BigQuery has not")


_FITTING: Final[list[tuple[str, Any]]] = [
    ("INTEGER", pa.types.is_integer),
    ("FLOAT", pa.types.is_floating),
    ("BOOLEAN", pa.types.is_boolean),
    ("DATE", pa.types.is_date),
    ("TIMESTAMP", lambda kind: pa.types.is_timestamp(kind) and kind.tz is not None),
    ("DATETIME", pa.types.is_timestamp),
    ("TIME", pa.types.is_time),
    (
        "STRING",
        lambda kind: pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind),
    ),
    (
        "BYTES",
        lambda kind: (
            pa.types.is_binary(kind)
            or pa.types.is_large_binary(kind)
            or pa.types.is_fixed_size_binary(kind)
            or pa.types.is_binary_view(kind)
        ),
    ),
    ("BIGNUMERIC", lambda kind: pa.types.is_decimal(kind) and (kind.precision > 38 or kind.scale > 9)),
    ("NUMERIC", pa.types.is_decimal),
]


def _plain(kind: pa.DataType) -> pa.DataType:
    types = pa.types
    if types.is_null(kind):
        return pa.string()
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return pa.list_(_plain(kind.value_type))
    if types.is_timestamp(kind):
        return pa.timestamp("us", "UTC" if kind.tz else None)
    if types.is_struct(kind) or types.is_decimal(kind):
        return kind
    return _ARROW[_field("column", kind).field_type]
