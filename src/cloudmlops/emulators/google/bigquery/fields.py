"""Columns and their types, as BigQuery's schemas, DuckDB and Arrow say them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import pyarrow as pa

from cloudmlops.emulators.core.faults import Refused

Field = Mapping[str, Any]
"""A `TableFieldSchema`, as JSON."""

_ALIASES: Final = {
    "INT64": "INTEGER",
    "FLOAT64": "FLOAT",
    "BOOL": "BOOLEAN",
    "STRUCT": "RECORD",
    "DECIMAL": "NUMERIC",
}

_DUCKDB: Final = {
    "INTEGER": "BIGINT",
    "FLOAT": "DOUBLE",
    "STRING": "VARCHAR",
    "BYTES": "BLOB",
    "BOOLEAN": "BOOLEAN",
    "TIMESTAMP": "TIMESTAMPTZ",
    "DATETIME": "TIMESTAMP",
    "DATE": "DATE",
    "TIME": "TIME",
    "NUMERIC": "DECIMAL(38,9)",
    "JSON": "JSON",
}

_ARROW: Final = {
    "INTEGER": pa.int64(),
    "FLOAT": pa.float64(),
    "STRING": pa.string(),
    "BYTES": pa.binary(),
    "BOOLEAN": pa.bool_(),
    "TIMESTAMP": pa.timestamp("us", tz="UTC"),
    "DATETIME": pa.timestamp("us"),
    "DATE": pa.date32(),
    "TIME": pa.time64("us"),
    "NUMERIC": pa.decimal128(38, 9),
    "JSON": pa.string(),
}

_OF_DUCKDB: Final = {
    "BIGINT": "INTEGER",
    "INTEGER": "INTEGER",
    "SMALLINT": "INTEGER",
    "TINYINT": "INTEGER",
    "UINTEGER": "INTEGER",
    "USMALLINT": "INTEGER",
    "UTINYINT": "INTEGER",
    "HUGEINT": "INTEGER",
    "UBIGINT": "INTEGER",
    "DOUBLE": "FLOAT",
    "FLOAT": "FLOAT",
    "VARCHAR": "STRING",
    "BLOB": "BYTES",
    "BOOLEAN": "BOOLEAN",
    "TIMESTAMP WITH TIME ZONE": "TIMESTAMP",
    "TIMESTAMP": "DATETIME",
    "DATE": "DATE",
    "TIME": "TIME",
    "JSON": "JSON",
    '"NULL"': "INTEGER",
    "NULL": "INTEGER",
}

STANDARD: Final = {"INTEGER": "INT64", "FLOAT": "FLOAT64", "BOOLEAN": "BOOL"}
"""The names of types in GoogleSQL, where they differ from those in schemas."""


def checked(fields: Sequence[Field], *, at: str = "") -> list[dict[str, Any]]:
    """Return the fields with the names of types that the service answers with, and modes.

    Raises:
        Refused: A type is unknown, or not emulated; a name is missing or given twice.
    """
    seen: set[str] = set()
    result = []
    for field in fields:
        name = str(field.get("name", ""))
        if not name:
            raise Refused("INVALID_ARGUMENT", "Empty field name", reason="invalid")
        if name.lower() in seen:
            raise Refused("INVALID_ARGUMENT", f"Field {name} already exists in schema", reason="invalid")
        seen.add(name.lower())
        written = str(field.get("type", "")).upper()
        kind = _ALIASES.get(written, written)
        made = {**field, "type": kind, "mode": str(field.get("mode") or "NULLABLE").upper()}
        if kind == "RECORD":
            made["fields"] = checked(field.get("fields", ()), at=f"{at}{name}.")
        elif kind in {"BIGNUMERIC", "GEOGRAPHY", "INTERVAL", "RANGE", "BIGDECIMAL"}:
            raise Refused("UNIMPLEMENTED", f"type {kind} (field {at}{name}) is not emulated", reason="notImplemented")
        elif kind not in _DUCKDB:
            raise Refused(
                "INVALID_ARGUMENT", f"Invalid value for type: {written} is not a valid value", reason="invalid"
            )
        for part in ("policyTags", "defaultValueExpression", "precision", "scale", "maxLength", "rangeElementType"):
            if field.get(part):
                raise Refused("UNIMPLEMENTED", f"{part} of field {at}{name} is not emulated", reason="notImplemented")
        result.append(made)
    return result


def quoted(name: str) -> str:
    """A name as an identifier of DuckDB."""
    return '"' + name.replace('"', '""') + '"'


def duckdb_type(field: Field) -> str:
    """The type of a column in DuckDB."""
    if field["type"] == "RECORD":
        parts = ", ".join(f"{quoted(part['name'])} {duckdb_type(part)}" for part in field["fields"])
        kind = f"STRUCT({parts})"
    else:
        kind = _DUCKDB[field["type"]]
    return f"{kind}[]" if field.get("mode") == "REPEATED" else kind


def arrow_type(field: Field) -> pa.DataType:
    """The type of a column in Arrow."""
    if field["type"] == "RECORD":
        kind = pa.struct([pa.field(part["name"], arrow_type(part)) for part in field["fields"]])
    else:
        kind = _ARROW[field["type"]]
    return pa.list_(kind) if field.get("mode") == "REPEATED" else kind


def field_of(name: str, kind: Any) -> dict[str, Any]:
    """The field of a column that DuckDB made.

    Raises:
        Refused: BigQuery has no such type, or it is not emulated.
    """
    if kind.id == "list":
        element = field_of(name, kind.child)
        if element["mode"] == "REPEATED":
            raise Refused(
                "INVALID_ARGUMENT", f"Cannot construct array with element type ARRAY: {name}", reason="invalidQuery"
            )
        return {**element, "mode": "REPEATED"}
    if kind.id == "struct":
        return {
            "name": name,
            "type": "RECORD",
            "mode": "NULLABLE",
            "fields": [field_of(part, inner) for part, inner in kind.children],
        }
    if kind.id == "decimal":
        return {"name": name, "type": "NUMERIC", "mode": "NULLABLE"}
    known = _OF_DUCKDB.get(str(kind))
    if known is None:
        raise Refused("UNIMPLEMENTED", f"column {name} of type {kind} is not emulated", reason="notImplemented")
    return {"name": name, "type": known, "mode": "NULLABLE"}


def result_expression(name: str, kind: Any) -> str | None:
    """What turns a result's column into the type that BigQuery would give; None when it has it already."""
    if str(kind) in {"HUGEINT", "UBIGINT", "UINTEGER", "INTEGER", "SMALLINT", "TINYINT", "NULL", '"NULL"'}:
        return f"CAST({quoted(name)} AS BIGINT)"
    if str(kind) == "FLOAT":
        return f"CAST({quoted(name)} AS DOUBLE)"
    if kind.id == "decimal" and str(kind) != "DECIMAL(38,9)":
        return f"CAST({quoted(name)} AS DECIMAL(38,9))"
    return None
