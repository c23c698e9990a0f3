"""Arrow tables on their way to BigQuery and back: entity rows, joined features, rows that are pushed or kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from cloudmlops.domain.feature_columns import EVENT_TIME
from cloudmlops.domain.features import FeatureView
from cloudmlops.domain.point_in_time import FeatureRow
from cloudmlops.materializers.feature_columns import arrow_type
from cloudmlops.providers.vertex.feature_store.statements import AT, ROW, entity_columns, is_list


def asked_table(views: Sequence[FeatureView], entities: pa.Table) -> tuple[pa.Table, list[int]]:
    """Return the table of entity rows as the join wants it, and their times in microseconds."""
    moments = entities[EVENT_TIME].cast(pa.int64())
    columns = {ROW: pa.array(range(entities.num_rows), pa.int64()), AT: moments}
    for name, column in entity_columns(views).items():
        columns[column] = entities[name]
    return pa.table(columns), moments.to_pylist()


def joined_table(views: Sequence[FeatureView], found: pa.Table) -> pa.Table:
    """Return what a join answered as the views' output columns, in the order of the entity rows."""
    found = found.take(pc.sort_indices(found[ROW]))
    columns = {}
    for number, view in enumerate(views):
        for place, (name, kind) in enumerate(zip(view.columns, view.features.values(), strict=True)):
            column = found[f"v{number}f{place}"].cast(arrow_type(kind))
            if is_list(kind):
                # BigQuery answers with an empty list where there is none.
                null = pc.fill_null(found[f"v{number}n{place}"], fill_value=True)
                column = pc.if_else(null, pa.scalar(None, column.type), column)
            columns[name] = column
    return pa.table(columns)


def no_features(views: Sequence[FeatureView], rows: int) -> pa.Table:
    """Return the views' output columns with nulls only."""
    return pa.table(
        {
            name: pa.nulls(rows, arrow_type(kind))
            for view in views
            for name, kind in zip(view.columns, view.features.values(), strict=True)
        }
    )


def pushed_rows(view: FeatureView, rows: pa.Table) -> Iterator[tuple[Any, FeatureRow]]:
    """Yield rows that have the view's columns, each with its key as an `OnlineReader` is asked for it."""
    return _feature_rows(
        [rows[name] for name in view.entity.keys],
        rows[view.timestamp],
        rows[view.created] if view.created else None,
        [rows[name] for name in view.features],
    )


def kept_rows(view: FeatureView, found: pa.Table) -> Iterator[tuple[Any, FeatureRow]]:
    """Yield rows of what is kept, likewise."""
    return _feature_rows(
        [found[f"k{place}"] for place in range(len(view.entity.keys))],
        found["ts"],
        found["created"],
        [found[f"f{place}"].cast(arrow_type(kind)) for place, kind in enumerate(view.features.values())],
    )


def _feature_rows(
    keys: Sequence[Any], times: Any, created: Any, features: Sequence[Any]
) -> Iterator[tuple[Any, FeatureRow]]:
    parts = [column.to_pylist() for column in keys]
    stamps = times.cast(pa.int64()).to_pylist()
    made = [None] * len(stamps) if created is None else created.cast(pa.int64()).to_pylist()
    values = [column.to_pylist() for column in features]
    for key, ts, since, row in zip(zip(*parts, strict=True), stamps, made, zip(*values, strict=True), strict=True):
        yield (key[0] if len(key) == 1 else key), FeatureRow(ts, since, row)
