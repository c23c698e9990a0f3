"""Features at Google: history in BigQuery, rows online in a feature online store of Bigtable type."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from threading import Lock
from typing import TYPE_CHECKING, Any

from google.cloud import bigquery
from google.cloud.aiplatform_v1.types import BigQuerySource, FeatureGroup

from cloudmlops.domain.features import EVENT_TIME, FeatureView, microseconds
from cloudmlops.domain.point_in_time import FeatureRow, to_microseconds
from cloudmlops.errors import NotFoundError, UnsupportedError
from cloudmlops.ports.features import FeaturesPort, OnlineReader, Table
from cloudmlops.providers.vertex.feature_store.online import OnlineRows
from cloudmlops.providers.vertex.feature_store.resources import Resources
from cloudmlops.providers.vertex.feature_store.sources import Sources
from cloudmlops.providers.vertex.feature_store.statements import (
    AT,
    ROW,
    Relation,
    entity_columns,
    is_list,
    join_statement,
    kept_statement,
    newest_statement,
    sql_type,
)
from cloudmlops.providers.vertex.feature_store.warehouse import Warehouse
from cloudmlops.providers.vertex.mapping import features as mapping

if TYPE_CHECKING:
    from cloudmlops.providers.vertex.backends import VertexBackends


class VertexFeatures(FeaturesPort):
    """The Vertex provider's part of features."""

    def __init__(self, backends: VertexBackends) -> None:
        self._settings = backends.settings
        self._objects = backends.objects
        self._warehouse = Warehouse(backends.wire)
        self._sources = Sources(self._warehouse)
        self._resources = Resources(backends.wire)
        self._rows = OnlineRows(backends.wire)
        self._ready: set[str] = set()
        self._preparing = Lock()

    def source_faults(self, view: FeatureView) -> list[str]:
        return self._sources.faults(view, operation="features.apply")

    def register(self, view: FeatureView) -> None:
        """Show a view as a feature group with its features, and make what serves it."""
        operation = "features.apply"
        table = self._sources.table(view)
        if table is None:
            table = f"Source_{mapping.group_id(view.name)}"
            self._warehouse.ensure_view(table, self._sources.query(view) or "", operation=operation)
        group = _group(self._warehouse.uri(table), keys=list(view.entity.keys), timestamp=view.timestamp)
        group.big_query.dense = view.nulls == "row"
        features = {mapping.feature_id(name): name for name in view.features}
        self._resources.ensure_group(mapping.group_id(view.name), group, features, view=view.name, operation=operation)
        self._prepare(view, self._generation(view), operation=operation)

    def join(self, views: Sequence[FeatureView], entities: Table) -> Table:
        import pyarrow as pa

        operation = "features.training_table"
        if not entities.num_rows or not views:
            return _nothing(views, entities.num_rows)
        asked, moments = _asked(views, entities)
        relations = [
            Relation(view=view, source=self._sources.relation(view.stored, operation=operation)) for view in views
        ]
        with self._warehouse.passing(asked, operation=operation) as table:
            statement = join_statement(relations, table, first=min(moments), last=max(moments))
            found = self._warehouse.rows(
                statement, rows=entities.num_rows, operation=operation, resource=", ".join(view.name for view in views)
            )
        found = found.take(pa.compute.sort_indices(found[ROW]))
        return pa.table(dict(_joined_columns(views, found)))

    def materialize(self, view: FeatureView, *, at: datetime, rebuild: bool) -> int:
        operation = "features.materialize"
        before = self._generation(view)
        generation = before + 1 if rebuild else before
        relation = Relation(view=view, source=self._sources.relation(view, operation=operation))
        kept = self._prepare(view, generation, operation=operation)
        until = to_microseconds(at) - microseconds(view.source_delay)
        statement = kept_statement(relation, None if rebuild else self._warehouse.name(kept), until=until)
        self._warehouse.replace(kept, statement, operation=operation, resource=view.name)
        counted = self._warehouse.rows(
            f"SELECT COUNTIF(arrived) AS keys_known FROM {self._warehouse.name(kept)}",  # noqa: S608 quoted
            rows=1,
            operation=operation,
            resource=view.name,
        )
        self._resources.sync(mapping.online_id(view, generation), view=view.name, operation=operation)
        if rebuild:
            self._objects.put(_generation_key(view), json.dumps({"generation": generation}).encode())
            self._remove(view, before)
        return int(counted["keys_known"][0].as_py() or 0)

    def push(self, view: FeatureView, rows: Table) -> None:
        if self._settings.transport == "rest":
            raise UnsupportedError(
                "rows cannot be pushed over REST: the service takes direct writes over gRPC only",
                hint="Connect with transport=grpc, or materialise the view.",
            )
        operation = "features.push"
        generation = self._generation(view)
        self._prepare(view, generation, operation=operation)
        identity = mapping.online_id(view, generation)
        if not self._resources.synced(identity, view=view.name, operation=operation):
            self._resources.sync(identity, view=view.name, operation=operation)
        self._rows.write(view, self._resources.view_name(identity), list(_pushed(view, rows)))

    def reader(self, view: FeatureView) -> OnlineReader:
        served = self._resources.view_name(mapping.online_id(view, self._generation(view)))
        return lambda keys: self._rows.read(view, served, keys)

    def write_table(self, name: str, table: Table) -> None:
        self._warehouse.load(name, table, operation="features.write_table")

    def bytes_of_source(self, view: FeatureView) -> int:
        """Return how many bytes BigQuery reads of a view's source when it is joined, by a dry run."""
        operation = "features.training_table"
        relation = Relation(view=view, source=self._sources.relation(view.stored, operation=operation))
        statement = kept_statement(relation, None, until=to_microseconds(datetime.max.replace(tzinfo=None)))
        return self._warehouse.bytes_of(statement, operation=operation, resource=view.name)

    def close(self) -> None:
        """Close connections."""
        self._rows.close()
        self._warehouse.close()

    def _prepare(self, view: FeatureView, generation: int, *, operation: str) -> str:
        """Make what serves a view, unless it is there; return the table of what is kept."""
        identity = mapping.online_id(view, generation)
        kept = f"Kept_{identity}"
        with self._preparing:
            if identity in self._ready:
                return kept
            self._warehouse.ensure_table(kept, _kept_fields(view), operation=operation)
            served = f"Online_{identity}"
            self._warehouse.ensure_view(served, _served_query(view, self._warehouse.name(kept)), operation=operation)
            keys = [f"{mapping.KEY}{place}" for place in range(len(view.entity.keys))]
            group = _group(self._warehouse.uri(served), keys=keys, timestamp=mapping.TIMESTAMP)
            group.big_query.dense = True
            features = mapping.served_ids(view)
            self._resources.ensure_group(
                f"{identity}_online",
                group,
                dict(zip(features, features, strict=True)),
                view=view.name,
                operation=operation,
            )
            self._resources.ensure_store(operation=operation)
            self._resources.ensure_view(identity, f"{identity}_online", features, view=view.name, operation=operation)
            self._ready.add(identity)
        return kept

    def _generation(self, view: FeatureView) -> int:
        """Return how often a view was rebuilt."""
        try:
            return int(json.loads(self._objects.get(_generation_key(view)))["generation"])
        except NotFoundError:
            return 0

    def _remove(self, view: FeatureView, generation: int) -> None:
        identity = mapping.online_id(view, generation)
        operation = "features.materialize"
        self._ready.discard(identity)
        self._resources.delete_view(identity, view=view.name, operation=operation)
        self._resources.delete_group(f"{identity}_online", view=view.name, operation=operation)
        self._warehouse.delete(f"Online_{identity}", operation=operation)
        self._warehouse.delete(f"Kept_{identity}", operation=operation)


def _generation_key(view: FeatureView) -> str:
    return f"features/online/{view.name}/{mapping.digest(view.layout)}.json"


def _group(uri: str, *, keys: Sequence[str], timestamp: str) -> FeatureGroup:
    table = FeatureGroup.BigQuery(
        big_query_source=BigQuerySource(input_uri=uri),
        entity_id_columns=keys,
        time_series=FeatureGroup.BigQuery.TimeSeries(timestamp_column=timestamp),
    )
    return FeatureGroup(big_query=table)


def _kept_fields(view: FeatureView) -> list[bigquery.SchemaField]:
    fields = [bigquery.SchemaField(f"k{place}", sql_type(kind)) for place, kind in enumerate(view.entity.keys.values())]
    fields += [bigquery.SchemaField("ts", "INT64"), bigquery.SchemaField("created", "INT64")]
    for place, kind in enumerate(view.features.values()):
        item = sql_type(kind).removeprefix("ARRAY<").removesuffix(">")
        fields.append(bigquery.SchemaField(f"f{place}", item, mode="REPEATED" if is_list(kind) else "NULLABLE"))
    return [*fields, bigquery.SchemaField("arrived", "BOOL")]


def _served_query(view: FeatureView, kept: str) -> str:
    """Return what the service reads: one row a key, in types that it serves."""
    columns = [
        f"{mapping.key_sql(f'k{place}', kind)} AS {mapping.KEY}{place}"
        for place, kind in enumerate(view.entity.keys.values())
    ]
    columns += [
        f"TIMESTAMP_MICROS(ts) AS {mapping.TIMESTAMP}",
        f"ts AS {mapping.EVENT_TIME}",
        f"created AS {mapping.CREATED}",
    ]
    for place, (name, kind) in enumerate(view.features.items()):
        columns.append(f"{mapping.served_sql(f'f{place}', kind)} AS `{mapping.feature_id(name)}`")
        if view.nulls == "last_value":
            columns.append(f"t{place} AS {mapping.SINCE}{place}")
    return f"SELECT {', '.join(columns)}\nFROM (\n{newest_statement(view, kept)}\n)"


def _asked(views: Sequence[FeatureView], entities: Any) -> tuple[Any, list[int]]:
    """Return the table of entity rows as the join wants it, and their times."""
    import pyarrow as pa

    moments = entities[EVENT_TIME].cast(pa.int64())
    columns = {ROW: pa.array(range(entities.num_rows), pa.int64()), AT: moments}
    for name, column in entity_columns(views).items():
        columns[column] = entities[name]
    return pa.table(columns), moments.to_pylist()


def _joined_columns(views: Sequence[FeatureView], found: Any) -> Iterator[tuple[str, Any]]:
    import pyarrow as pa
    import pyarrow.compute as pc

    from cloudmlops.materializers.feature_columns import arrow_type

    for number, view in enumerate(views):
        for place, (name, kind) in enumerate(zip(view.columns, view.features.values(), strict=True)):
            column = found[f"v{number}f{place}"].cast(arrow_type(kind))
            if is_list(kind):
                # BigQuery answers with an empty list where there is none.
                null = pc.fill_null(found[f"v{number}n{place}"], fill_value=True)
                column = pc.if_else(null, pa.scalar(None, column.type), column)
            yield name, column


def _nothing(views: Sequence[FeatureView], rows: int) -> Any:
    import pyarrow as pa

    from cloudmlops.materializers.feature_columns import arrow_type

    return pa.table(
        {
            name: pa.nulls(rows, arrow_type(kind))
            for view in views
            for name, kind in zip(view.columns, view.features.values(), strict=True)
        }
    )


def _pushed(view: FeatureView, rows: Any) -> Iterator[tuple[Any, FeatureRow]]:
    import pyarrow as pa

    keys = [rows[name].to_pylist() for name in view.entity.keys]
    times = rows[view.timestamp].cast(pa.int64()).to_pylist()
    created = rows[view.created].cast(pa.int64()).to_pylist() if view.created else [None] * len(times)
    values = [rows[name].to_pylist() for name in view.features]
    for key, ts, made, row in zip(zip(*keys, strict=True), times, created, zip(*values, strict=True), strict=True):
        yield (key[0] if len(key) == 1 else key), FeatureRow(ts, made, row)
