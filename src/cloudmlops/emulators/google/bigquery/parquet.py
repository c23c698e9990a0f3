"""Parquet files as tables of BigQuery's types."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cloudmlops.emulators.google.bigquery.fields import arrow_type
from cloudmlops.emulators.google.bigquery.refusals import invalid, not_emulated

Fields = list[dict[str, Any]]


def read_parquet(body: bytes, schema: Fields, *, infer_lists: bool) -> tuple[pa.Table, Fields]:
    """Return a file's rows and its columns, which are `schema`'s where that names them.

    Raises:
        Refused: It is damaged, does not fit, or holds a type that is not emulated.
    """
    try:
        rows = pq.read_table(io.BytesIO(body))
    except (pa.ArrowInvalid, OSError) as error:
        raise invalid(
            f"Error while reading data, error message: Input file is not in Parquet format. {error}"
        ) from error
    wanted = {field["name"].lower(): field for field in schema}
    columns, fields = [], []
    for name, column, inner in zip(rows.column_names, rows.columns, rows.schema, strict=True):
        found = _field(inner, infer_lists=infer_lists)
        field = wanted.get(name.lower(), found)
        if schema and name.lower() not in wanted:
            field = found
        if (field["type"], field.get("mode") == "REPEATED") != (found["type"], found.get("mode") == "REPEATED"):
            _check_conversion(name, found, field)
        columns.append(_converted(column, field, name))
        fields.append({**field, "name": field["name"]})
    present = {field["name"].lower() for field in fields}
    for field in schema:
        if field["name"].lower() not in present:
            if field.get("mode") == "REQUIRED":
                raise invalid(f"Required field {field['name']} is missing in the Parquet file")
            columns.append(pa.chunked_array([pa.nulls(rows.num_rows, arrow_type(field))]))
            fields.append(field)
    return pa.table(columns, schema=pa.schema([pa.field(f["name"], arrow_type(f)) for f in fields])), fields


_CONVERSIONS = {
    ("INTEGER", "FLOAT"),
    ("INTEGER", "NUMERIC"),
    ("INTEGER", "TIMESTAMP"),
    ("DATETIME", "TIMESTAMP"),
    ("TIMESTAMP", "DATETIME"),
    ("STRING", "JSON"),
    ("STRING", "BYTES"),
    ("BYTES", "STRING"),
    ("FLOAT", "NUMERIC"),
}


def _check_conversion(name: str, found: Mapping[str, Any], field: Mapping[str, Any]) -> None:
    same_mode = (found.get("mode") == "REPEATED") == (field.get("mode") == "REPEATED")
    if not same_mode or (found["type"], field["type"]) not in _CONVERSIONS:
        raise invalid(
            f"Provided Schema does not match the file. Field {name} has changed type from {found['type']} to "
            f"{field['type']}"
        )


def _converted(column: pa.ChunkedArray, field: Mapping[str, Any], name: str) -> pa.ChunkedArray:
    wanted = arrow_type(field)
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    try:
        if pa.types.is_timestamp(column.type):
            # Finer than a microsecond is cut, as the service does.
            column = pc.cast(column, pa.timestamp("us", tz=column.type.tz), safe=False)
            if column.type.tz is None and wanted.equals(pa.timestamp("us", tz="UTC")):
                return pc.assume_timezone(column, "UTC")
        return column.cast(wanted)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise invalid(f"Error while reading data, error message: column {name}: {error}") from error


def _field(column: pa.Field, *, infer_lists: bool) -> dict[str, Any]:
    kind = column.type
    made: dict[str, Any] = {"name": column.name, "mode": "NULLABLE" if column.nullable else "REQUIRED"}
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        if not infer_lists:
            raise not_emulated(f"loading the list {column.name} without parquetOptions.enableListInference")
        element = _field(kind.value_field.with_name(column.name), infer_lists=infer_lists)
        if element["mode"] == "REPEATED":
            raise invalid(f"column {column.name} is a list of lists, which BigQuery does not hold")
        return {**element, "mode": "REPEATED"}
    if pa.types.is_struct(kind):
        parts: Sequence[pa.Field] = [kind.field(place) for place in range(kind.num_fields)]
        return {**made, "type": "RECORD", "fields": [_field(part, infer_lists=infer_lists) for part in parts]}
    if pa.types.is_dictionary(kind):
        return _field(pa.field(column.name, kind.value_type, column.nullable), infer_lists=infer_lists)
    return {**made, "type": _type(column.name, kind)}


def _type(name: str, kind: pa.DataType) -> str:
    if pa.types.is_integer(kind):
        return "INTEGER"
    if pa.types.is_floating(kind):
        return "FLOAT"
    if pa.types.is_boolean(kind):
        return "BOOLEAN"
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return "STRING"
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return "BYTES"
    if pa.types.is_date(kind):
        return "DATE"
    if pa.types.is_time(kind):
        return "TIME"
    if pa.types.is_timestamp(kind):
        return "TIMESTAMP" if kind.tz is not None else "DATETIME"
    if pa.types.is_decimal(kind) and kind.scale <= 9 and kind.precision - kind.scale <= 29:
        return "NUMERIC"
    if pa.types.is_null(kind):
        return "INTEGER"
    raise not_emulated(f"loading column {name} of Parquet type {kind}")
