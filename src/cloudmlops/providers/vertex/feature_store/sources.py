"""The sources of views, as what stands after FROM in BigQuery."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
from google.cloud import bigquery

from cloudmlops.domain.features import FeatureView, ParquetSource, SqlSource, TableSource
from cloudmlops.errors import InvalidEntitiesError, NotFoundError, ServiceError, UnsupportedError
from cloudmlops.materializers.feature_columns import schema_faults
from cloudmlops.ports.objects import ObjectStore
from cloudmlops.providers.vertex.feature_store.columns import arrow_schema
from cloudmlops.providers.vertex.feature_store.warehouse import Warehouse
from cloudmlops.providers.vertex.mapping.features import LONGEST_FEATURE, RESERVED, digest

_HINT: Final = "Mend the data, or change the view's columns and types."


class Sources:
    """Makes relations of sources. Parquet files are loaded into a table at each use, for they may have changed."""

    def __init__(self, warehouse: Warehouse, open_folder: Callable[[str], ObjectStore]) -> None:
        self._warehouse = warehouse
        self._open = open_folder

    def relation(self, view: FeatureView, *, operation: str) -> str:
        """Return what a view is read from, checked.

        Raises:
            InvalidEntitiesError: It cannot be read, lacks columns, or they have other types; all faults are listed.
        """
        found = self._place(view, operation=operation)
        if faults := list(_schema_faults(view, arrow_schema(self._fields(view, found, operation=operation)))):
            raise InvalidEntitiesError(
                f"the source of feature view {view.name!r} does not fit", faults=faults, hint=_HINT
            )
        return found

    def faults(self, view: FeatureView, *, operation: str) -> list[str]:
        """List what is wrong with a view's source, by a dry run."""
        try:
            self.relation(view, operation=operation)
        except InvalidEntitiesError as error:
            return list(error.faults)
        return []

    def table(self, view: FeatureView) -> str | None:
        """Return the name of the table that a source is kept in here; None for a query."""
        match view.source:
            case TableSource(table=name):
                return name
            case ParquetSource(uri=uri):
                return f"Parquet_{digest(uri)}"
            case SqlSource():
                return None

    def query(self, view: FeatureView) -> str | None:
        """Return the query of a source in BigQuery's dialect, its tables with their full names; None for a table."""
        return self._bigquery_text(view.source) if isinstance(view.source, SqlSource) else None

    def _place(self, view: FeatureView, *, operation: str) -> str:
        if (query := self.query(view)) is not None:
            return f"(\n{query}\n)"
        name = self.table(view) or ""
        if isinstance(view.source, ParquetSource):
            self._load(name, view, view.source.uri, operation=operation)
        return self._warehouse.name(name)

    def _fields(self, view: FeatureView, relation: str, *, operation: str) -> Sequence[bigquery.SchemaField]:
        if isinstance(view.source, SqlSource):
            try:
                return self._warehouse.fields(relation, operation=operation, resource=view.name)
            except ServiceError as error:
                if error.retryable:
                    raise
                raise InvalidEntitiesError(
                    f"the query of feature view {view.name!r} fails",
                    faults=[f"the query fails: {error}"],
                    hint=f"The query, in BigQuery's dialect: {relation}",
                ) from error
        name = self.table(view) or ""
        fields = self._warehouse.table_fields(name, operation=operation)
        if fields is None:
            known = ", ".join(known for known in self._warehouse.tables(operation=operation) if known.islower())
            raise InvalidEntitiesError(
                f"the source of feature view {view.name!r} is missing",
                faults=[f"the platform has no table {name!r}; there are: {known or 'none'}"],
                hint=_HINT,
            )
        return fields

    def _load(self, name: str, view: FeatureView, uri: str, *, operation: str) -> None:
        try:
            if uri.startswith("gs://"):
                self._warehouse.load_objects(name, self._objects(uri), operation=operation)
            elif "://" in uri and not uri.startswith("file:"):
                raise UnsupportedError(
                    f"the source of feature view {view.name!r} lies at {uri}, which BigQuery does not read",
                    hint="Copy it to Cloud Storage (gs://…), or keep it with platform.features.write_table.",
                )
            else:
                self._warehouse.load(name, _local_rows(view, uri), operation=operation)
        except NotFoundError as error:
            raise InvalidEntitiesError(
                f"the source of feature view {view.name!r} is missing",
                faults=[f"there is no Parquet file at {uri}"],
                hint=_HINT,
            ) from error

    def _bigquery_text(self, query: SqlSource) -> str:
        try:
            import sqlglot  # type: ignore[import-not-found,unused-ignore]  # optional
            from sqlglot import exp
        except ImportError as error:
            raise UnsupportedError(
                "a query as the source of a feature view needs sqlglot, which is not installed",
                hint="pip install sqlglot.",
            ) from error
        try:
            tree = sqlglot.parse_one(query.query, read=query.dialect)
        except (sqlglot.errors.SqlglotError, ValueError) as error:
            raise InvalidEntitiesError(
                "the query of a feature view cannot be translated",
                faults=[f"no valid {query.dialect} query: {error}"],
            ) from error
        own = {part.alias for part in tree.find_all(exp.CTE)}
        bare = [table for table in tree.find_all(exp.Table) if not table.db and table.name and table.name not in own]
        if not bare and query.dialect == "bigquery":
            return query.query.strip().rstrip(";")  # as it was written
        project, dataset = self._warehouse.parent
        for table in bare:
            table.set("db", exp.to_identifier(dataset, quoted=True))
            table.set("catalog", exp.to_identifier(project, quoted=True))
        return str(tree.sql(dialect="bigquery"))

    def _objects(self, uri: str) -> list[str]:
        """Return the Parquet files at an address: a file, a pattern in the last part, or a folder.

        Raises:
            NotFoundError: There is none.
        """
        folder, _, last = uri.rpartition("/")
        if "*" not in last:
            if last and urlsplit(folder).netloc and self._open(folder).exists(last):
                return [uri]
            folder, last = uri.rstrip("/"), "*.parquet"
        found = [key for key in self._open(folder).list() if fnmatchcase(key.rpartition("/")[2], last)]
        if not found:
            raise NotFoundError(f"there is no Parquet file at {uri}", hint=_HINT)
        return [f"{folder}/{key}" for key in sorted(found)]


def _schema_faults(view: FeatureView, schema: pa.Schema) -> Iterator[str]:
    """List which columns a source lacks, which have another type than declared, and which BigQuery cannot hold."""
    yield from schema_faults(view, schema)
    used = [*view.entity.keys, *view.features, view.timestamp, *([view.created] if view.created else [])]
    for name, count in Counter(name.lower() for name in used).items():
        if count > 1:
            yield f"{count} columns are called {name!r} in upper or lower case, which BigQuery does not tell apart"
    for name in view.features:
        if name.lower().startswith(RESERVED) or len(name) > LONGEST_FEATURE:
            yield f"feature {name!r} begins with {RESERVED!r} or is longer than {LONGEST_FEATURE} characters"


def _local_rows(view: FeatureView, uri: str) -> pa.Table:
    path = Path(unquote(urlsplit(uri).path) if uri.startswith("file:") else uri).expanduser()
    used = [*view.entity.keys, view.timestamp, *([view.created] if view.created else []), *view.features]
    files = sorted(path.rglob("*.parquet")) if path.is_dir() else [path]
    if not files or not all(file.is_file() for file in files):
        raise InvalidEntitiesError(
            f"the source of feature view {view.name!r} is missing",
            faults=[f"there is no Parquet file at {uri}"],
            hint=_HINT,
        )
    try:
        parts = [pq.read_table(file) for file in files]
        parts = [part.select([name for name in used if name in part.column_names]) for part in parts]
        return pa.concat_tables(parts, promote_options="permissive")
    except (pa.ArrowException, OSError) as error:
        raise InvalidEntitiesError(
            f"the source of feature view {view.name!r} cannot be read",
            faults=[f"{uri} is not a readable Parquet file: {error}"],
            hint=_HINT,
        ) from error
