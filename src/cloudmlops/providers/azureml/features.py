"""Features on Azure ML: history as Delta tables on Blob storage, rows online in Redis."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

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
from cloudmlops.providers.azureml.feature_store.sources import Sources
from cloudmlops.providers.azureml.feature_store.tables import Tables
from cloudmlops.providers.azureml.mapping.features_statements import DUCKDB, join_statement, kept_statement

if TYPE_CHECKING:
    from cloudmlops.providers.azureml.backends import AzureMLBackends


class AzureMLFeatures(FeaturesPort):
    """The Azure ML provider's part of features."""

    def __init__(self, backends: AzureMLBackends) -> None:
        lake = Lake(backends.wire)
        self._online = OnlineStore(backends.wire)
        self._tables = Tables(backends, lake)
        self._sources = Sources(self._tables, lake, Addresses(backends))

    def source_faults(self, view: FeatureView) -> list[str]:
        return self._sources.faults(view, operation="features.apply")

    def register(self, view: FeatureView) -> None:
        """Show a view as a feature set of its entity, where there is a feature store."""

    def join(self, views: Sequence[FeatureView], entities: Table) -> Table:
        operation = "features.training_table"
        if not entities.num_rows or not views:
            return no_features(views, entities.num_rows)
        sources = [self._sources.open(view.stored, operation=operation) for view in views]
        names = [f"source{number}" for number in range(len(views))]
        tables = {
            name: prepared(view.stored, source.read(used_columns(view.stored)))
            for name, view, source in zip(names, views, sources, strict=True)
        }
        statement = join_statement(views, names, "asked", DUCKDB)
        return joined_table(views, answer(statement, {**tables, "asked": asked_table(views, entities)}))

    def materialize(self, view: FeatureView, *, at: datetime, rebuild: bool) -> int:
        operation = "features.materialize"
        source = self._sources.open(view, operation=operation)
        rows = prepared(view, source.read(used_columns(view)))
        statement = kept_statement(view, "source", until=to_microseconds(at) - microseconds(view.source_delay))
        kept = answer(statement, {"source": rows})
        self._online.write(view, [own_columns(view, kept)], instead=rebuild, operation=operation)
        return pc.sum(kept["newest"]).as_py() or 0

    def push(self, view: FeatureView, rows: Table) -> None:
        self._online.write(view, [rows])

    def reader(self, view: FeatureView) -> OnlineReader:
        return self._online.reader(view)

    def write_table(self, name: str, table: Table) -> None:
        self._tables.write(name, table, operation="features.write_table")

    def close(self) -> None:
        """Close connections."""
        self._online.close()
