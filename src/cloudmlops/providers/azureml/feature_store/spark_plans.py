"""What a Spark job does for some views: their sources as relations, and the statements over them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import pyarrow as pa

from cloudmlops.domain.features import FeatureView
from cloudmlops.errors import UnsupportedError
from cloudmlops.providers.azureml.feature_store import queries
from cloudmlops.providers.azureml.feature_store.columns import used_columns
from cloudmlops.providers.azureml.feature_store.parquet import ParquetFiles
from cloudmlops.providers.azureml.feature_store.sources import DeltaSource, QuerySource, Source
from cloudmlops.providers.azureml.mapping.features_spark import ENTITIES, SparkPlan, SparkRelation
from cloudmlops.providers.azureml.mapping.features_statements import (
    SPARK,
    join_statement,
    kept_statement,
    prepared_statement,
)

_READ_AS_FILES: Final = frozenset({"timestampNtz", "v2Checkpoint", "vacuumProtocolCheck", "domainMetadata"})
"""Features of Delta tables whose files hold what the table holds."""


def join_plan(views: Sequence[FeatureView], sources: Sequence[Source]) -> SparkPlan:
    """Return the point-in-time join of views to entity rows.

    Raises:
        UnsupportedError: A source is where Spark does not read it.
        InvalidEntitiesError: A query cannot be said in Spark's SQL.
    """
    relations: dict[str, SparkRelation] = {}
    statements: dict[str, str] = {}
    for number, (view, source) in enumerate(zip(views, sources, strict=True)):
        _add(view.stored, source, number, relations, statements)
    names = [f"_source{number}" for number in range(len(views))]
    return SparkPlan(
        relations=list(relations.values()),
        views=statements,
        statement=join_statement(views, names, ENTITIES, SPARK),
        entities=True,
    )


def kept_plan(view: FeatureView, source: Source, *, until: int) -> SparkPlan:
    """Return the reduction of a view's source at a time; it raises as `join_plan` does."""
    relations: dict[str, SparkRelation] = {}
    statements: dict[str, str] = {}
    _add(view, source, 0, relations, statements)
    return SparkPlan(
        relations=list(relations.values()),
        views=statements,
        statement=kept_statement(view, "_source0", until=until),
    )


def _add(
    view: FeatureView, source: Source, number: int, relations: dict[str, SparkRelation], statements: dict[str, str]
) -> None:
    raw = f"_raw{number}"
    nanoseconds = frozenset[str]()
    match source:
        case QuerySource(query=query, tables=tables):
            relations |= {name: _delta(name, table, table.schema.names) for name, table in tables.items()}
            statements[raw] = queries.in_dialect(query, "spark")
        case DeltaSource():
            relations[raw] = _delta(raw, source, used_columns(view))
        case ParquetFiles():
            relations[raw] = _files(raw, source)
            nanoseconds = frozenset(field.name for field in source.schema if _is_in_nanoseconds(field.type))
    statements[f"_source{number}"] = prepared_statement(view, raw, nanoseconds=nanoseconds)


def _delta(name: str, source: DeltaSource, columns: Sequence[str]) -> SparkRelation:
    protocol, metadata = source.table.protocol(), source.table.metadata()
    used = set(protocol.reader_features or ()) - _READ_AS_FILES
    if metadata.partition_columns:
        used.add("partitions")
    if metadata.configuration.get("delta.columnMapping.mode", "none") != "none":
        used.add("columnMapping")
    paths = pa.table(source.table.get_add_actions(flatten=True))["path"].to_pylist()
    if any("://" in path for path in paths):
        used.add("files of another table")
    if used:
        raise UnsupportedError(
            f"the Delta table {source.name!r} has {', '.join(sorted(used))}: a Spark job of ours reads no such table",
            hint="Keep it with platform.features.write_table, or let it be joined here: a larger spark_from_mib.",
        )
    return SparkRelation(
        name=name,
        folder=source.uri.rstrip("/"),
        files=sorted(paths),
        columns={column: _spark_type(source.schema.field(column).type) for column in columns},
    )


def _files(name: str, source: ParquetFiles) -> SparkRelation:
    if not source.folder:
        raise UnsupportedError(
            f"the source of feature view {source.view.name!r} is not on Blob storage, and too large to be joined here",
            hint="Keep it with platform.features.write_table, or let it be joined here: a larger spark_from_mib.",
        )
    return SparkRelation(
        name=name,
        folder=source.folder,
        files=[file.name for file in source.files],
        columns={field.name: _spark_type(field.type) for field in source.schema},
    )


def _is_in_nanoseconds(kind: pa.DataType) -> bool:
    if pa.types.is_list(kind):
        kind = kind.value_type
    return bool(pa.types.is_timestamp(kind)) and kind.unit == "ns"


def _spark_type(kind: pa.DataType) -> str | None:
    """Return the type of a column that no file has; None where it has no values at all."""
    types = pa.types
    if types.is_null(kind):
        return None
    if types.is_list(kind) or types.is_large_list(kind):
        return f"ARRAY<{_spark_type(kind.value_type)}>"
    return next((name for fits, name in _TYPES if fits(kind)), "STRING")


_TYPES: Final[Sequence[tuple[Any, str]]] = (
    (pa.types.is_integer, "BIGINT"),
    (pa.types.is_floating, "DOUBLE"),
    (pa.types.is_boolean, "BOOLEAN"),
    (pa.types.is_date, "DATE"),
    (pa.types.is_timestamp, "TIMESTAMP"),
    (pa.types.is_binary, "BINARY"),
    (pa.types.is_large_binary, "BINARY"),
)
