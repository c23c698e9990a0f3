"""How many bytes BigQuery counts: 8 for a number or a time, 1 for a BOOL, 2 and its UTF-8 bytes for a text.

https://cloud.google.com/bigquery/pricing#data
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

import duckdb

from cloudmlops.emulators.google.bigquery.fields import Field, quoted

_FIXED: Final = {
    "INTEGER": 8,
    "FLOAT": 8,
    "NUMERIC": 16,
    "BOOLEAN": 1,
    "DATE": 8,
    "DATETIME": 8,
    "TIME": 8,
    "TIMESTAMP": 8,
}


def table_bytes(
    cursor: duckdb.DuckDBPyConnection,
    target: str,
    fields: Sequence[Field],
    rows: int,
    *,
    columns: Collection[str] | None = None,
) -> int:
    """Count the bytes of some of a table's columns.

    Args:
        cursor: To read with.
        target: The table in DuckDB's SQL.
        fields: All columns.
        rows: How many rows there are.
        columns: The names, in lower case, of those that count; None for all.
    """
    if not rows:
        return 0
    total = 0
    counted = []
    for field in fields:
        if columns is not None and field["name"].lower() not in columns:
            continue
        if field.get("mode") == "REPEATED" or field["type"] not in _FIXED:
            counted.append(_size(quoted(field["name"]), field))
        elif field.get("mode") == "REQUIRED":
            total += _FIXED[field["type"]] * rows
        else:
            counted.append(f"{_FIXED[field['type']]} * (count({quoted(field['name'])}))")
    sums = [part if part.endswith("))") and "count(" in part else f"coalesce(sum({part}), 0)" for part in counted]
    if sums:
        found = cursor.execute(f"SELECT {' + '.join(sums)} FROM {target}").fetchall()  # noqa: S608 quoted
        total += int(found[0][0])
    return total


def _size(value: str, field: Field, depth: int = 0) -> str:
    """The bytes of one value, as an expression of DuckDB."""
    if field.get("mode") == "REPEATED":
        item = f"item{depth}"
        inner = _size(item, {**field, "mode": "NULLABLE"}, depth + 1)
        return f"coalesce(list_sum(list_transform({value}, lambda {item}: {inner})), 0)"
    if field["type"] == "RECORD":
        parts = " + ".join(_size(f"struct_extract({value}, '{part['name']}')", part, depth) for part in field["fields"])
        return f"({parts})"
    if field["type"] in {"STRING", "JSON"}:
        return f"coalesce(2 + strlen({value}), 0)"
    if field["type"] == "BYTES":
        return f"coalesce(2 + octet_length({value}), 0)"
    return f"CASE WHEN {value} IS NULL THEN 0 ELSE {_FIXED[field['type']]} END"
