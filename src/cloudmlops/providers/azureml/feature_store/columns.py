"""Arrow's columns as Delta tables keep them, and sources' columns as the statements want them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from cloudmlops.domain.feature_columns import EVENT_TIME
from cloudmlops.domain.features import FeatureView
from cloudmlops.errors import InvalidEntitiesError, InvalidRequestError
from cloudmlops.materializers.feature_columns import TIME, Rounding, arrow_type, conformed, microsecond_times
from cloudmlops.providers.azureml.feature_store.lake import NO_VALUES
from cloudmlops.providers.azureml.mapping.features_statements import AT, ROW, entity_columns


def storable(name: str, table: pa.Table) -> pa.Table:
    """Return a table whose types Delta has: whole numbers of 64 bits with a sign, times in microseconds.

    Raises:
        InvalidRequestError: Columns have other types or values, or names that differ in case alone; all are listed.
    """
    faults = [
        f"{count} columns are called {column!r} in upper or lower case, which Delta does not tell apart"
        for column, count in Counter(column.lower() for column in table.column_names).items()
        if count > 1
    ]
    if not table.num_columns:
        faults.append("it has no columns")
    fields, columns = [], []
    for column in table.column_names:
        try:
            stored = _storable(table[column])
        except ValueError as error:
            faults.append(f"column {column!r} {error}")
        else:
            fields.append(pa.field(column, stored.type, metadata=NO_VALUES if _is_void(table[column]) else None))
            columns.append(stored)
    if faults:
        raise InvalidRequestError(f"table {name!r} cannot be kept as a Delta table", faults=faults)
    return pa.table(columns, schema=pa.schema(fields))


def shown_schema(stored: pa.Schema) -> pa.Schema:
    """Return the schema of what was made storable: a column without values has no type."""
    return pa.schema(
        [
            field.with_type(pa.null()) if (field.metadata or {}).get(b"cloudmlops") == b"no values" else field
            for field in stored
        ]
    )


def used_columns(view: FeatureView) -> list[str]:
    """Return the columns of a source that its view reads."""
    return [*view.entity.keys, view.timestamp, *([view.created] if view.created else []), *view.features]


def prepared(view: FeatureView, source: pa.Table) -> pa.Table:
    """Return a source's rows as `mapping.features_statements` wants them.

    Raises:
        InvalidEntitiesError: A value does not fit its declared type; all faults are listed.
    """
    columns: dict[str, Any] = {}
    faults: list[str] = []

    def add(target: str, name: str, convert: Any) -> None:
        try:
            columns[target] = convert(source[name])
        except ValueError as error:
            faults.append(f"column {name!r} {error}")

    for place, (name, kind) in enumerate(view.entity.keys.items()):
        add(f"k{place}", name, lambda column, kind=kind: conformed(column, kind))
    add("ts", view.timestamp, _micros)
    if view.created is None:
        columns["created"] = pa.nulls(source.num_rows, pa.int64())
    else:
        add("created", view.created, _micros)
    for place, (name, kind) in enumerate(view.features.items()):
        add(f"f{place}", name, lambda column, kind=kind: conformed(column, kind))
    if faults:
        raise InvalidEntitiesError(
            f"the source of feature view {view.name!r} does not fit",
            faults=faults,
            hint="Mend the data, or change the view's columns and types.",
        )
    return pa.table({**columns, "place": pa.array(range(source.num_rows), pa.int64())})


def asked_table(views: Sequence[FeatureView], entities: pa.Table) -> pa.Table:
    """Return the entity rows as the join wants them."""
    columns = {ROW: pa.array(range(entities.num_rows), pa.int64()), AT: entities[EVENT_TIME].cast(pa.int64())}
    for name, column in entity_columns(views).items():
        columns[column] = entities[name]
    return pa.table(columns)


def joined_table(views: Sequence[FeatureView], found: pa.Table) -> pa.Table:
    """Return what a join answered as the views' output columns, in the order of the entity rows."""
    found = found.take(pc.sort_indices(found[ROW]))
    return pa.table(
        {
            name: found[f"v{number}f{place}"].cast(arrow_type(kind))
            for number, view in enumerate(views)
            for place, (name, kind) in enumerate(zip(view.columns, view.features.values(), strict=True))
        }
    )


def no_features(views: Sequence[FeatureView], rows: int) -> pa.Table:
    """Return the views' output columns with nulls only."""
    return pa.table(
        {
            name: pa.nulls(rows, arrow_type(kind))
            for view in views
            for name, kind in zip(view.columns, view.features.values(), strict=True)
        }
    )


def own_columns(view: FeatureView, kept: pa.Table) -> pa.Table:
    """Return what a reduction answered under the view's own names, in the declared types."""
    columns = {
        name: kept[f"k{place}"].cast(arrow_type(kind)) for place, (name, kind) in enumerate(view.entity.keys.items())
    }
    columns[view.timestamp] = kept["ts"].cast(pa.int64()).cast(TIME)
    if view.created:
        columns[view.created] = kept["created"].cast(pa.int64()).cast(TIME)
    for place, (name, kind) in enumerate(view.features.items()):
        columns[name] = kept[f"f{place}"].cast(arrow_type(kind))
    return pa.table(columns)


def _micros(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return microsecond_times(column, Rounding.UP).cast(pa.int64())


def _is_void(column: pa.ChunkedArray) -> bool:
    return bool(pa.types.is_null(column.type))


def _storable(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_dictionary(column.type):
        return _storable(column.cast(column.type.value_type))
    if pa.types.is_timestamp(column.type) and column.type.tz:
        # Finer times are rounded up: nothing is known before its time.
        return microsecond_times(column, Rounding.UP)
    try:
        return column.cast(_stored_type(column.type))
    except pa.ArrowInvalid as error:
        raise ValueError(f"holds a value that Delta has not: {error}") from error


def _stored_type(kind: pa.DataType) -> pa.DataType:
    types = pa.types
    if types.is_null(kind):
        return pa.string()
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind) or types.is_list_view(kind):
        return pa.list_(_stored_type(kind.value_type))
    if types.is_struct(kind):
        return pa.struct([pa.field(part.name, _stored_type(part.type)) for part in kind])
    if types.is_timestamp(kind):
        return TIME if kind.tz else pa.timestamp("us")
    if types.is_decimal(kind) and kind.precision <= _LONGEST_DECIMAL:
        return pa.decimal128(kind.precision, kind.scale)
    for fits, stored in _STORED:
        if fits(kind):
            return stored
    raise ValueError(f"is {kind}, which Delta has not")


_LONGEST_DECIMAL: Final = 38
_STORED: Final[list[tuple[Any, pa.DataType]]] = [
    (pa.types.is_boolean, pa.bool_()),
    (pa.types.is_int8, pa.int8()),
    (pa.types.is_int16, pa.int16()),
    (pa.types.is_int32, pa.int32()),
    (pa.types.is_integer, pa.int64()),
    (pa.types.is_float16, pa.float32()),
    (pa.types.is_float32, pa.float32()),
    (pa.types.is_float64, pa.float64()),
    (pa.types.is_date, pa.date32()),
    (pa.types.is_string, pa.string()),
    (pa.types.is_large_string, pa.string()),
    (pa.types.is_string_view, pa.string()),
    (pa.types.is_binary, pa.binary()),
    (pa.types.is_large_binary, pa.binary()),
    (pa.types.is_fixed_size_binary, pa.binary()),
    (pa.types.is_binary_view, pa.binary()),
]
