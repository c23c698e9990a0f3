"""Features at Google: history in BigQuery, rows online in a feature online store of Bigtable type."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from threading import Lock
from typing import TYPE_CHECKING, Any

from google.cloud.aiplatform_v1.types import BigQuerySource, FeatureGroup

from cloudmlops.domain.capabilities import Capability
from cloudmlops.domain.features import FeatureView, microseconds
from cloudmlops.domain.point_in_time import FeatureRow, to_microseconds
from cloudmlops.errors import ServiceError
from cloudmlops.ports.features import FeaturesPort, OnlineReader, Table
from cloudmlops.providers.vertex.feature_store.exports import Exports
from cloudmlops.providers.vertex.feature_store.online import OnlineRows
from cloudmlops.providers.vertex.feature_store.places import (
    Generations,
    Place,
    generation_key,
    kept_fields,
    place_of,
    served_query,
)
from cloudmlops.providers.vertex.feature_store.resources import Resources
from cloudmlops.providers.vertex.feature_store.rows import (
    asked_table,
    joined_table,
    kept_rows,
    no_features,
    pushed_rows,
)
from cloudmlops.providers.vertex.feature_store.sources import Sources
from cloudmlops.providers.vertex.feature_store.statements import (
    Relation,
    join_statement,
    kept_statement,
    replacing_statement,
    shadowed_statement,
)
from cloudmlops.providers.vertex.feature_store.warehouse import Warehouse
from cloudmlops.providers.vertex.mapping import features as mapping

if TYPE_CHECKING:
    from cloudmlops.ports.objects import ObjectStore
    from cloudmlops.providers.vertex.backends import VertexBackends


class VertexFeatures(FeaturesPort):
    """The Vertex provider's part of features."""

    def __init__(self, backends: VertexBackends) -> None:
        self._capabilities = backends.capabilities
        self._generations = Generations(backends.objects)
        self._check_bucket = backends.check_bucket
        self._warehouse = Warehouse(backends.wire, Exports(backends.objects), backends.check_bucket)
        self._settings = backends.settings
        self._sources = Sources(self._warehouse, self._open)
        self._resources = Resources(backends.wire)
        self._online = OnlineRows(backends.wire, self._resources, backends.capabilities)
        self._ready: set[str] = set()
        self._preparing = Lock()

    def source_faults(self, view: FeatureView) -> list[str]:
        return self._sources.faults(view, operation="features.apply")

    def register(self, view: FeatureView) -> None:
        """Show a view as a feature group with its features, and make what serves it."""
        operation = "features.apply"
        self._check_bucket(operation)
        table = self._sources.table(view)
        if table is None:
            table = f"Source_{mapping.group_id(view.name)}"
            self._warehouse.ensure_view(table, self._sources.query(view) or "", operation=operation)
        group = _group(self._warehouse.uri(table), keys=list(view.entity.keys), timestamp=view.timestamp)
        group.big_query.dense = view.nulls == "row"
        features = {mapping.feature_id(name): name for name in view.features}
        self._resources.ensure_group(mapping.group_id(view.name), group, features, view=view.name, operation=operation)
        self._prepare(view, self._generations.read(generation_key(view)), operation=operation)

    def join(self, views: Sequence[FeatureView], entities: Table) -> Table:
        operation = "features.training_table"
        if not entities.num_rows or not views:
            return no_features(views, entities.num_rows)
        relations = [
            Relation(view=view, source=self._sources.relation(view.stored, operation=operation)) for view in views
        ]
        asked, moments = asked_table(views, entities)
        names = ", ".join(view.name for view in views)
        with self._warehouse.passing(asked, operation=operation, resource=names) as table:
            found = self._warehouse.rows(
                join_statement(relations, table, first=min(moments), last=max(moments)),
                rows=entities.num_rows,
                operation=operation,
                resource=names,
            )
        return joined_table(views, found)

    def materialize(self, view: FeatureView, *, at: datetime, rebuild: bool) -> int:
        operation = "features.materialize"
        before = self._generations.read(generation_key(view))
        generation = before + 1 if rebuild else before
        relation = Relation(view=view, source=self._sources.relation(view, operation=operation))
        if rebuild:
            self._remove(view, place_of(view, generation))  # what a killed attempt left
        place = self._prepare(view, generation, operation=operation)
        kept, pushed = self._warehouse.name(place.kept), self._warehouse.name(place.pushed)
        until = to_microseconds(at) - microseconds(view.source_delay)
        statement = kept_statement(relation, [] if rebuild else [kept, pushed], until=until)
        self._warehouse.change(replacing_statement(view, kept, statement), operation=operation, resource=view.name)
        self._resources.sync(place.identity, view=view.name, operation=operation)
        if rebuild:
            self._generations.write(generation_key(view), generation)
            self._remove(view, place_of(view, before))
        else:
            self._outrank_pushed(view, place)
        counted = self._rows_of(f"SELECT COUNTIF(arrived) AS known FROM {kept}", view)  # noqa: S608 quoted
        return int(counted["known"][0].as_py() or 0)

    def push(self, view: FeatureView, rows: Table) -> None:
        """Write rows directly, and keep them for the next materialisation.

        Of rows that two processes push of one key at the same moment the greater may stay behind until then.
        """
        self._capabilities.require(Capability.FEATURE_PUSH)
        operation = "features.push"
        place = self._prepare(view, self._generations.read(generation_key(view)), operation=operation)
        if not self._resources.synced(place.identity, view=view.name, operation=operation):
            self._resources.sync(place.identity, view=view.name, operation=operation)
        arriving = list(pushed_rows(view, rows))
        self._warehouse.append(
            place.pushed, [mapping.json_row(view, key, row) for key, row in arriving], operation=operation
        )
        self._online.write(view, self._resources.view_name(place.identity), arriving)

    def reader(self, view: FeatureView) -> OnlineReader:
        """Prepare reading; a rebuild by another process is seen within seconds."""
        key = generation_key(view)
        identities: dict[int, str] = {}

        def rows(generation: int, keys: Sequence[Any]) -> list[Sequence[FeatureRow]]:
            if (identity := identities.get(generation)) is None:
                identity = identities[generation] = place_of(view, generation).identity
            try:
                return self._online.read(view, self._resources.view_name(identity), keys)
            except ServiceError as error:
                if error.retryable or self._resources.synced(identity, view=view.name, operation="features.online"):
                    raise
                return [()] * len(keys)  # it was applied, and never materialised

        def read(keys: Sequence[Any]) -> list[Sequence[FeatureRow]]:
            generation = self._generations.recent(key)
            found = rows(generation, keys)
            if not all(found):
                # A view that was rebuilt elsewhere answers like one that knows none of the keys.
                latest = self._generations.recent(key, within_seconds=1.0)
                if latest != generation:
                    found = rows(latest, keys)
            return found

        return read

    def write_table(self, name: str, table: Table) -> None:
        self._warehouse.load(name, table, operation="features.write_table")

    def close(self) -> None:
        """Close connections."""
        self._online.close()
        self._warehouse.close()

    def _open(self, folder: str) -> ObjectStore:
        from cloudmlops.storage.opening import open_store

        url = self._settings.api_url
        return open_store(folder, endpoint=url, anonymous=url is not None, timeout=self._settings.timeout)

    def _prepare(self, view: FeatureView, generation: int, *, operation: str) -> Place:
        """Make what keeps and serves a view's rows, unless it is there."""
        place = place_of(view, generation)
        with self._preparing:
            if place.identity in self._ready:
                return place
            for table in (place.kept, place.pushed):
                self._warehouse.ensure_table(table, kept_fields(view), operation=operation)
            query = served_query(view, self._warehouse.name(place.kept))
            self._warehouse.ensure_view(place.served, query, operation=operation)
            keys = [f"{mapping.KEY}{number}" for number in range(len(view.entity.keys))]
            group = _group(self._warehouse.uri(place.served), keys=keys, timestamp=mapping.TIMESTAMP)
            group.big_query.dense = True
            features = mapping.served_ids(view)
            self._resources.ensure_group(
                place.group, group, dict(zip(features, features, strict=True)), view=view.name, operation=operation
            )
            self._resources.ensure_store(operation=operation)
            self._resources.ensure_view(place.identity, place.group, features, view=view.name, operation=operation)
            self._ready.add(place.identity)
        return place

    def _outrank_pushed(self, view: FeatureView, place: Place) -> None:
        """Write those kept rows directly that a pushed row of the same time or a later one would hide."""
        kept, pushed = self._warehouse.name(place.kept), self._warehouse.name(place.pushed)
        hidden = list(kept_rows(view, self._rows_of(shadowed_statement(view, kept, pushed), view)))
        if hidden:
            self._online.write(view, self._resources.view_name(place.identity), hidden)

    def _rows_of(self, statement: str, view: FeatureView) -> Any:
        return self._warehouse.rows(statement, rows=0, operation="features.materialize", resource=view.name)

    def _remove(self, view: FeatureView, place: Place) -> None:
        operation = "features.materialize"
        self._ready.discard(place.identity)
        self._resources.delete_view(place.identity, view=view.name, operation=operation)
        self._resources.delete_group(place.group, view=view.name, operation=operation)
        for table in (place.served, place.kept, place.pushed):
            self._warehouse.delete(table, operation=operation)


def _group(uri: str, *, keys: Sequence[str], timestamp: str) -> FeatureGroup:
    table = FeatureGroup.BigQuery(
        big_query_source=BigQuerySource(input_uri=uri),
        entity_id_columns=keys,
        time_series=FeatureGroup.BigQuery.TimeSeries(timestamp_column=timestamp),
    )
    return FeatureGroup(big_query=table)
