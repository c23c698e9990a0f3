"""Features on Azure ML: history as Delta tables on Blob storage, rows online in Redis."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.compute as pc

from cloudmlops.domain.features import FeatureView, microseconds
from cloudmlops.domain.point_in_time import to_microseconds
from cloudmlops.ports.features import FeaturesPort, OnlineReader, Table
from cloudmlops.providers.azureml.feature_store.addresses import Addresses
from cloudmlops.providers.azureml.feature_store.columns import (
    asked_table,
    joined_table,
    no_features,
    own_columns,
    prepared,
    used_columns,
)
from cloudmlops.providers.azureml.feature_store.engine import answer
from cloudmlops.providers.azureml.feature_store.lake import Lake
from cloudmlops.providers.azureml.feature_store.online import OnlineStore
from cloudmlops.providers.azureml.feature_store.shown import Shown
from cloudmlops.providers.azureml.feature_store.sources import Source, Sources
from cloudmlops.providers.azureml.feature_store.spark_jobs import SparkJobs
from cloudmlops.providers.azureml.feature_store.spark_plans import join_plan, kept_plan
from cloudmlops.providers.azureml.feature_store.tables import Tables
from cloudmlops.providers.azureml.mapping.features_statements import DUCKDB, join_statement, kept_statement

if TYPE_CHECKING:
    from cloudmlops.providers.azureml.backends import AzureMLBackends

_MIB: Final = 1024 * 1024


class AzureMLFeatures(FeaturesPort):
    """The Azure ML provider's part of features."""

    def __init__(self, backends: AzureMLBackends) -> None:
        lake = Lake(backends.wire)
        self._online = OnlineStore(backends.wire)
        self._tables = Tables(backends, lake)
        self._sources = Sources(self._tables, lake, Addresses(backends))
        self._shown = Shown(backends, self._tables)
        self._spark = SparkJobs(backends, lake)
        self._spark_from = backends.settings.spark_from_mib * _MIB

    def source_faults(self, view: FeatureView) -> list[str]:
        return self._sources.faults(view, operation="features.apply")

    def register(self, view: FeatureView) -> None:
        """Show a view as a feature set of its entity, where there is a feature store."""
        self._shown.show(view)

    def join(self, views: Sequence[FeatureView], entities: Table) -> Table:
        operation = "features.training_table"
        if not entities.num_rows or not views:
            return no_features(views, entities.num_rows)
        sources = [self._sources.open(view.stored, operation=operation) for view in views]
        asked = asked_table(views, entities)
        if (held := _held(sources)) >= self._spark_from:
            resource = ", ".join(view.name for view in views)
            plan = join_plan(views, sources)
            with self._spark.answer(plan, asked, stored_bytes=held, operation=operation, resource=resource) as parts:
                return joined_table(views, pa.concat_tables(parts))
        names = [f"source{number}" for number in range(len(views))]
        tables = {
            name: prepared(view.stored, source.read(used_columns(view.stored)))
            for name, view, source in zip(names, views, sources, strict=True)
        }
        statement = join_statement(views, names, "asked", DUCKDB)
        return joined_table(views, answer(statement, {**tables, "asked": asked}))

    def materialize(self, view: FeatureView, *, at: datetime, rebuild: bool) -> int:
        operation = "features.materialize"
        source = self._sources.open(view, operation=operation)
        until = to_microseconds(at) - microseconds(view.source_delay)
        if (held := _held([source])) >= self._spark_from:
            plan = kept_plan(view, source, until=until)
            with self._spark.answer(plan, None, stored_bytes=held, operation=operation, resource=view.name) as parts:
                return self._write(view, parts, instead=rebuild)
        rows = prepared(view, source.read(used_columns(view)))
        kept = answer(kept_statement(view, "source", until=until), {"source": rows})
        return self._write(view, [kept], instead=rebuild)

    def push(self, view: FeatureView, rows: Table) -> None:
        self._online.write(view, [rows])

    def reader(self, view: FeatureView) -> OnlineReader:
        return self._online.reader(view)

    def write_table(self, name: str, table: Table) -> None:
        self._tables.write(name, table, operation="features.write_table")

    def close(self) -> None:
        """Close connections."""
        self._online.close()

    def _write(self, view: FeatureView, parts: Iterable[Table], *, instead: bool) -> int:
        """Write what a reduction answered; return the number of keys."""
        keys = 0

        def counted() -> Iterator[Table]:
            nonlocal keys
            for part in parts:
                keys += pc.sum(part["newest"]).as_py() or 0
                yield own_columns(view, part)

        self._online.write(view, counted(), instead=instead, operation="features.materialize")
        return keys


def _held(sources: Sequence[Source]) -> int:
    """Return how many bytes some sources hold, as they are stored."""
    return sum(source.stored_bytes for source in sources)
