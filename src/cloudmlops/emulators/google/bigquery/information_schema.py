"""INFORMATION_SCHEMA: SCHEMATA, TABLES, COLUMNS, VIEWS."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

import pyarrow as pa

from cloudmlops.emulators.google.bigquery.catalog import Catalog, Resource, fields_of
from cloudmlops.emulators.google.bigquery.fields import STANDARD
from cloudmlops.emulators.google.bigquery.names import DatasetName
from cloudmlops.emulators.google.bigquery.refusals import invalid_query, not_emulated

_MOMENT: Final = pa.timestamp("us", tz="UTC")
_TABLE: Final = [("table_catalog", pa.string()), ("table_schema", pa.string()), ("table_name", pa.string())]


def information_schema(catalog: Catalog, view: str, parent: DatasetName | None, project: str) -> pa.Table:
    """Make one of the tables of metadata.

    Args:
        catalog: What is known.
        view: Its name in capitals, such as `TABLES`.
        parent: The dataset; None for all of the project.
        project: The project.

    Raises:
        Refused: It is not emulated.
    """
    regional = parent is not None and parent.dataset.lower().startswith("region-")
    if view == "SCHEMATA":
        return _schemata(catalog, project)
    if view not in _VIEWS:
        raise not_emulated(f"INFORMATION_SCHEMA.{view}")
    if parent is None:
        raise invalid_query(f"INFORMATION_SCHEMA.{view} must be qualified with a dataset")
    parents = [DatasetName.of(made["datasetReference"]) for made in catalog.datasets(project)] if regional else [parent]
    if not regional:
        catalog.dataset(parent)
    tables = [table for one in parents for table in catalog.tables(one)]
    columns, rows = _VIEWS[view]
    return _table(columns, [row for table in tables for row in rows(table)])


def _schemata(catalog: Catalog, project: str) -> pa.Table:
    columns = [
        ("catalog_name", pa.string()),
        ("schema_name", pa.string()),
        ("schema_owner", pa.string()),
        ("creation_time", _MOMENT),
        ("last_modified_time", _MOMENT),
        ("location", pa.string()),
    ]
    rows = [
        {
            "catalog_name": project,
            "schema_name": made["datasetReference"]["datasetId"],
            "schema_owner": None,
            "creation_time": _moment(made["creationTime"]),
            "last_modified_time": _moment(made["lastModifiedTime"]),
            "location": made["location"],
        }
        for made in catalog.datasets(project)
    ]
    return _table(columns, rows)


def _names(table: Resource) -> dict[str, Any]:
    reference = table["tableReference"]
    return {
        "table_catalog": reference["projectId"],
        "table_schema": reference["datasetId"],
        "table_name": reference["tableId"],
    }


def _of_tables(table: Resource) -> list[dict[str, Any]]:
    return [
        {
            **_names(table),
            "table_type": "VIEW" if table["type"] == "VIEW" else "BASE TABLE",
            "is_insertable_into": "NO" if table["type"] == "VIEW" else "YES",
            "is_typed": "NO",
            "creation_time": _moment(table["creationTime"]),
        }
    ]


def _of_columns(table: Resource) -> list[dict[str, Any]]:
    clustered = list(table.get("clustering", {}).get("fields", ()))
    partitioned = table.get("timePartitioning", {}).get("field")
    return [
        {
            **_names(table),
            "column_name": field["name"],
            "ordinal_position": place + 1,
            "is_nullable": "NO" if field.get("mode") == "REQUIRED" else "YES",
            "data_type": standard_type(field),
            "is_hidden": "NO",
            "is_system_defined": "NO",
            "is_partitioning_column": "YES" if field["name"] == partitioned else "NO",
            "clustering_ordinal_position": clustered.index(field["name"]) + 1 if field["name"] in clustered else None,
        }
        for place, field in enumerate(fields_of(table))
    ]


def _of_views(table: Resource) -> list[dict[str, Any]]:
    if table["type"] != "VIEW":
        return []
    return [
        {
            **_names(table),
            "view_definition": table["view"]["query"],
            "check_option": None,
            "use_standard_sql": "YES",
        }
    ]


def standard_type(field: Resource) -> str:
    """A column's type in GoogleSQL's words."""
    if field["type"] == "RECORD":
        parts = ", ".join(f"{part['name']} {standard_type(part)}" for part in field["fields"])
        kind = f"STRUCT<{parts}>"
    else:
        kind = STANDARD.get(str(field["type"]), str(field["type"]))
    return f"ARRAY<{kind}>" if field.get("mode") == "REPEATED" else kind


_VIEWS: Final[dict[str, tuple[list[tuple[str, pa.DataType]], Callable[[Resource], list[dict[str, Any]]]]]] = {
    "TABLES": (
        [
            *_TABLE,
            ("table_type", pa.string()),
            ("is_insertable_into", pa.string()),
            ("is_typed", pa.string()),
            ("creation_time", _MOMENT),
        ],
        _of_tables,
    ),
    "COLUMNS": (
        [
            *_TABLE,
            ("column_name", pa.string()),
            ("ordinal_position", pa.int64()),
            ("is_nullable", pa.string()),
            ("data_type", pa.string()),
            ("is_hidden", pa.string()),
            ("is_system_defined", pa.string()),
            ("is_partitioning_column", pa.string()),
            ("clustering_ordinal_position", pa.int64()),
        ],
        _of_columns,
    ),
    "VIEWS": (
        [*_TABLE, ("view_definition", pa.string()), ("check_option", pa.string()), ("use_standard_sql", pa.string())],
        _of_views,
    ),
}


def _table(columns: list[tuple[str, pa.DataType]], rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=pa.schema(columns))


def _moment(milliseconds: str) -> datetime:
    return datetime.fromtimestamp(int(milliseconds) / 1000, UTC)
