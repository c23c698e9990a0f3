"""The sources of views: what columns they have, how much they hold, and their rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import pyarrow as pa

from cloudmlops.domain.features import FeatureView, ParquetSource, SqlSource, TableSource
from cloudmlops.errors import InvalidEntitiesError
from cloudmlops.materializers.feature_columns import schema_faults
from cloudmlops.providers.azureml.feature_store import queries
from cloudmlops.providers.azureml.feature_store.columns import shown_schema
from cloudmlops.providers.azureml.feature_store.parquet import ParquetFiles, find_files, unfit

if TYPE_CHECKING:
    import deltalake

    from cloudmlops.providers.azureml.feature_store.addresses import Addresses
    from cloudmlops.providers.azureml.feature_store.lake import Lake
    from cloudmlops.providers.azureml.feature_store.tables import Tables


class Source(Protocol):
    """Where a view's rows come from."""

    @property
    def schema(self) -> pa.Schema:
        """Its columns; one without values has no type."""
        ...

    @property
    def stored_bytes(self) -> int:
        """How much is stored, compressed as it is."""
        ...

    def read(self, columns: Sequence[str]) -> pa.Table:
        """Return all its rows."""
        ...


@dataclass(frozen=True, kw_only=True)
class DeltaSource:
    """A Delta table at one version."""

    lake: Lake
    uri: str
    table: deltalake.DeltaTable
    name: str
    operation: str

    @property
    def schema(self) -> pa.Schema:
        return shown_schema(pa.schema(self.table.schema().to_arrow()))

    @property
    def stored_bytes(self) -> int:
        return sum(pa.table(self.table.get_add_actions(flatten=True))["size_bytes"].to_pylist())

    def read(self, columns: Sequence[str]) -> pa.Table:
        found = self.lake.rows(self.uri, self.table, list(columns), operation=self.operation, resource=self.name)
        schema = self.schema
        for place, name in enumerate(columns):
            if pa.types.is_null(schema.field(name).type):
                found = found.set_column(place, name, pa.nulls(found.num_rows))
        return found


@dataclass(frozen=True, kw_only=True)
class QuerySource:
    """A query over tables."""

    query: SqlSource
    tables: dict[str, DeltaSource]

    @property
    def schema(self) -> pa.Schema:
        return queries.run(self.query, {name: table.schema.empty_table() for name, table in self.tables.items()}).schema

    @property
    def stored_bytes(self) -> int:
        return sum(table.stored_bytes for table in self.tables.values())

    def read(self, columns: Sequence[str]) -> pa.Table:
        found = {name: table.read(table.schema.names) for name, table in self.tables.items()}
        return queries.run(self.query, found).select(list(columns))


class Sources:
    """Opens sources."""

    def __init__(self, tables: Tables, lake: Lake, addresses: Addresses) -> None:
        self._tables = tables
        self._lake = lake
        self._addresses = addresses

    def open(self, view: FeatureView, *, operation: str) -> Source:
        """Open a view's source and check that it fits.

        Raises:
            InvalidEntitiesError: It cannot be read, lacks columns, or they have other types; all faults are listed.
        """
        source = self._opened(view, operation)
        if faults := list(schema_faults(view, source.schema)):
            raise unfit(view, faults)
        return source

    def faults(self, view: FeatureView, *, operation: str) -> list[str]:
        """List what is wrong with a view's source, without reading its rows."""
        try:
            self.open(view, operation=operation)
        except InvalidEntitiesError as error:
            return list(error.faults)
        return []

    def _opened(self, view: FeatureView, operation: str) -> Source:
        match view.source:
            case TableSource(table=name):
                return self._table(view, name, operation)
            case ParquetSource(uri=uri):
                return self._files(view, uri, operation)
            case SqlSource() as query:
                names = queries.tables_of(query)
                return QuerySource(query=query, tables={name: self._delta(view, name, operation) for name in names})

    def _table(self, view: FeatureView, name: str, operation: str) -> Source:
        if (found := self._tables.find(name, operation=operation)) is not None:
            own = self._tables.uri(name)
            return DeltaSource(lake=self._lake, uri=own, table=found, name=name, operation=operation)
        if (uri := self._addresses.of_data_asset(name, operation=operation)) is not None:
            table = self._lake.table(uri, operation=operation, resource=name)
            if table is not None:
                return DeltaSource(lake=self._lake, uri=uri, table=table, name=name, operation=operation)
            return self._files(view, uri, operation)
        known = ", ".join(self._tables.names()) or "none"
        raise unfit(
            view, [f"the platform has no table {name!r}, nor the workspace such a data asset; there are: {known}"]
        )

    def _delta(self, view: FeatureView, name: str, operation: str) -> DeltaSource:
        found = self._table(view, name, operation)
        if not isinstance(found, DeltaSource):
            raise unfit(view, [f"{name!r} in its query is no Delta table"])
        return found

    def _files(self, view: FeatureView, uri: str, operation: str) -> ParquetFiles:
        return find_files(view, self._addresses.resolved(uri, operation=operation), self._lake)
