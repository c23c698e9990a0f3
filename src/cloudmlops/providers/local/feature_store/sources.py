"""A feature view's source as columns that are read when they are needed, and only the rows that are needed."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import accumulate
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import unquote, urlsplit

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cloudmlops.domain.feature_types import FeatureType
from cloudmlops.domain.features import FeatureView, ParquetSource, SqlSource, TableSource
from cloudmlops.errors import InvalidEntitiesError, NotFoundError, UnsupportedError
from cloudmlops.materializers.feature_columns import (
    Rounding,
    conformed,
    microsecond_times,
    schema_faults,
)

Indices = np.ndarray[Any, np.dtype[np.int64]]

WHOLE_ROWS: Final = 200_000
"""A source of fewer rows is read at once: threads and second looks would cost more than they save."""
_THREADS: Final = min(4, os.cpu_count() or 1)


class SourceColumns(Protocol):
    """Rows of a source, by column and by position."""

    @property
    def schema(self) -> pa.Schema: ...

    @property
    def rows(self) -> int: ...

    def read(self, names: Sequence[str]) -> list[pa.ChunkedArray]:
        """Return whole columns as the source has them."""
        ...

    def take(self, names: Sequence[str], rows: Indices) -> list[pa.ChunkedArray]:
        """Return the columns' values in `rows`, which ascend."""
        ...


class ViewSource:
    """The source of one view, checked, its columns in their declared types."""

    def __init__(self, view: FeatureView, columns: SourceColumns) -> None:
        self._view = view
        self._columns = columns
        if faults := list(schema_faults(view, columns.schema)):
            raise _unreadable(view, faults)

    @property
    def rows(self) -> int:
        """How many rows the source has."""
        return self._columns.rows

    def keys(self) -> list[pa.ChunkedArray]:
        """Return the key columns, in the entity's order."""
        return self._conformed(self._view.entity.keys, self._read)

    def keys_in(self, rows: Indices) -> list[pa.ChunkedArray]:
        """Return the key columns in `rows`, which ascend."""
        return self._conformed(self._view.entity.keys, lambda wanted: self._take(wanted, rows))

    def times_in(self, rows: Indices) -> pa.ChunkedArray:
        """Return the timestamps in `rows`, which ascend."""
        return self._times(self._take([self._view.timestamp], rows)[0])

    def times(self) -> pa.ChunkedArray:
        """Return the timestamps, in whole microseconds."""
        return self._times(self._read([self._view.timestamp])[0])

    def created(self, rows: Indices) -> pa.ChunkedArray | None:
        """Return the created times in `rows`, which ascend; None when the view has none."""
        if self._view.created is None:
            return None
        return self._times(self._take([self._view.created], rows)[0])

    def features(self, names: Sequence[str], rows: Indices) -> list[pa.ChunkedArray]:
        """Return features' values in `rows`, which ascend."""
        kinds = {name: self._view.features[name] for name in names}
        return self._conformed(kinds, lambda wanted: self._take(wanted, rows))

    def nulls(self, name: str) -> pa.ChunkedArray:
        """Return where a feature is null."""
        return pa.chunked_array([chunk.is_null() for chunk in self._read([name])[0].chunks], pa.bool_())

    def _conformed(
        self, kinds: Mapping[str, FeatureType], read: Callable[[Sequence[str]], list[pa.ChunkedArray]]
    ) -> list[pa.ChunkedArray]:
        found, faults = [], []
        for (name, kind), column in zip(kinds.items(), read(list(kinds)), strict=True):
            try:
                found.append(conformed(column, kind))
            except ValueError as error:
                faults.append(f"column {name!r} {error}")
        if faults:
            raise _unreadable(self._view, faults)
        return found

    def _times(self, column: pa.ChunkedArray) -> pa.ChunkedArray:
        try:
            times = microsecond_times(column, Rounding.UP)
        except ValueError as error:
            raise _unreadable(self._view, [f"a time column {error}"]) from error
        return times if isinstance(times, pa.ChunkedArray) else pa.chunked_array([times])

    def _read(self, names: Sequence[str]) -> list[pa.ChunkedArray]:
        try:
            return self._columns.read(names)
        except (pa.ArrowException, OSError) as error:
            raise _unreadable(self._view, [f"its data is damaged: {error}"]) from error

    def _take(self, names: Sequence[str], rows: Indices) -> list[pa.ChunkedArray]:
        try:
            return self._columns.take(names, rows)
        except (pa.ArrowException, OSError) as error:
            raise _unreadable(self._view, [f"its data is damaged: {error}"]) from error


def open_source(view: FeatureView, *, tables: Path, whole_rows: int = WHOLE_ROWS) -> ViewSource:
    """Open a view's source.

    Args:
        view: The view.
        tables: The folder of the platform's own tables.
        whole_rows: A Parquet source of at most so many rows is read at once.

    Raises:
        InvalidEntitiesError: It cannot be read, lacks columns, or they have other types; all faults are listed.
        UnsupportedError: It is a query in a dialect that cannot be run here.
    """
    return ViewSource(view, _columns(view, tables, whole_rows))


def source_faults(view: FeatureView, *, tables: Path) -> list[str]:
    """List what is wrong with a view's source, without reading its data."""
    try:
        schema = (
            _query_schema(view.source, tables)
            if isinstance(view.source, SqlSource)
            else _columns(view, tables, 0).schema
        )
    except InvalidEntitiesError as error:
        return list(error.faults)
    return list(schema_faults(view, schema))


@dataclass(frozen=True)
class _Table:
    """Columns in memory."""

    table: pa.Table

    @property
    def schema(self) -> pa.Schema:
        return self.table.schema

    @property
    def rows(self) -> int:
        return int(self.table.num_rows)

    def read(self, names: Sequence[str]) -> list[pa.ChunkedArray]:
        return [self.table[name] for name in names]

    def take(self, names: Sequence[str], rows: Indices) -> list[pa.ChunkedArray]:
        return list(self.table.select(list(names)).take(pa.array(rows)).columns)


@dataclass(frozen=True)
class _RowGroup:
    file: int
    group: int
    start: int
    stop: int


class _Parquet:
    """Columns of Parquet files, decoded row group by row group on few threads, so that little is in memory at once."""

    def __init__(self, files: Sequence[Path | bytes], opened: Sequence[pq.ParquetFile], names: Sequence[str]) -> None:
        self._files = files
        self._metadata = [file.metadata for file in opened]
        # One file may have narrower numbers than the next.
        used = [pa.schema([file.schema_arrow.field(name) for name in names], {}) for file in opened]
        self.schema = pa.unify_schemas(used, promote_options="permissive")
        sizes = [
            (number, group, metadata.row_group(group).num_rows)
            for number, metadata in enumerate(self._metadata)
            for group in range(metadata.num_row_groups)
        ]
        stops = list(accumulate(rows for *_, rows in sizes))
        self._groups = [
            _RowGroup(number, group, stop - rows, stop)
            for (number, group, rows), stop in zip(sizes, stops, strict=True)
        ]
        self.rows = stops[-1] if stops else 0

    def read(self, names: Sequence[str]) -> list[pa.ChunkedArray]:
        return self._columns(names, [(group, None) for group in self._groups])

    def take(self, names: Sequence[str], rows: Indices) -> list[pa.ChunkedArray]:
        cuts = np.searchsorted(rows, [group.stop for group in self._groups])
        wanted = []
        for group, first, last in zip(self._groups, (0, *cuts), cuts, strict=False):
            if last > first:
                wanted.append((group, pa.array(rows[first:last] - group.start)))
        return self._columns(names, wanted)

    def _columns(
        self, names: Sequence[str], groups: Sequence[tuple[_RowGroup, pa.Array | None]]
    ) -> list[pa.ChunkedArray]:
        def decode(job: tuple[str, tuple[_RowGroup, pa.Array | None]]) -> pa.ChunkedArray:
            name, (group, rows) = job
            file = _parquet_file(self._files[group.file], self._metadata[group.file])
            column = file.read_row_group(group.group, columns=[name], use_threads=False)[name]
            column = column if rows is None else column.take(rows)
            wanted = self.schema.field(name).type
            return column if column.type == wanted else column.cast(wanted)

        jobs = [(name, group) for name in names for group in groups]
        with ThreadPoolExecutor(_THREADS) as pool:
            decoded = iter(list(pool.map(decode, jobs)))
        return [
            pa.chunked_array(
                [chunk for _ in groups for chunk in next(decoded).chunks], type=self.schema.field(name).type
            )
            for name in names
        ]


def _columns(view: FeatureView, tables: Path, whole_rows: int) -> SourceColumns:
    match view.source:
        case ParquetSource(uri=uri):
            return _parquet(view, uri, whole_rows)
        case TableSource(table=name):
            path = tables / f"{name}.parquet"
            if not path.exists():
                known = ", ".join(sorted(found.stem for found in tables.glob("*.parquet"))) or "none"
                raise _unreadable(view, [f"the platform has no table {name!r}; there are: {known}"])
            return _parquet(view, str(path), whole_rows)
        case SqlSource() as query:
            return _Table(_query(query, tables, lambda found: found.to_arrow_table()))


def _parquet(view: FeatureView, uri: str, whole_rows: int) -> SourceColumns:
    files = _remote_files(uri) if "://" in uri and not uri.startswith("file:") else _local_files(uri)
    opened, faults = [], []
    for name, file in files:
        try:
            opened.append(_parquet_file(file))
        except (pa.ArrowException, OSError) as error:
            faults.append(f"{name} is not a readable Parquet file: {error}")
    if not files:
        faults.append(f"there is no Parquet file at {uri}")
    for (name, _), file in zip(files, opened, strict=False):
        # Files need not agree on the order of columns, only on the types of those that the view uses.
        if not faults:
            faults += [f"{name}: {fault}" for fault in schema_faults(view, file.schema_arrow)]
    if faults:
        raise _unreadable(view, faults)
    used = [*view.entity.keys, view.timestamp, *([view.created] if view.created else []), *view.features]
    found = _Parquet([file for _, file in files], opened, used)
    if found.rows > whole_rows:
        return found
    try:
        return _Table(pa.concat_tables([file.read(columns=used) for file in opened], promote_options="permissive"))
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(view, [f"its data is damaged: {error}"]) from error


def _parquet_file(file: Path | bytes, metadata: pq.FileMetaData | None = None) -> pq.ParquetFile:
    if isinstance(file, bytes):
        return pq.ParquetFile(pa.BufferReader(file), metadata=metadata)
    return pq.ParquetFile(file, metadata=metadata, memory_map=True)


def _local_files(uri: str) -> list[tuple[str, Path | bytes]]:
    path = Path(unquote(urlsplit(uri).path) if uri.startswith("file:") else uri).expanduser()
    if path.is_dir():
        return [(str(file), file) for file in sorted(path.rglob("*.parquet"))]
    if path.is_file():
        return [(str(path), path)]
    return [(file, Path(file)) for file in sorted(glob.glob(str(path), recursive=True))]  # noqa: PTH207 absolute or not


def _remote_files(uri: str) -> list[tuple[str, Path | bytes]]:
    from cloudmlops.storage.opening import open_store

    folder, _, name = uri.rpartition("/")
    if any(mark in folder for mark in "*?["):
        raise UnsupportedError(f"{uri} has a pattern in a folder's name", hint="Use patterns in the last part only.")
    store = open_store(folder)
    if name and not any(mark in name for mark in "*?["):
        try:
            return [(uri, store.get(name))]
        except NotFoundError:
            store, folder, name = open_store(uri), uri, ""  # a folder, written without its last slash
    keys = [
        key for key in store.list() if (fnmatchcase(key, name) and "/" not in key if name else key.endswith(".parquet"))
    ]
    return [(f"{folder}/{key}", store.get(key)) for key in keys]


def _query_schema(query: SqlSource, tables: Path) -> pa.Schema:
    return _query(query, tables, lambda found: found.limit(0).to_arrow_table().schema)


def _query(query: SqlSource, tables: Path, answer: Callable[[Any], Any]) -> Any:
    """Run a query on DuckDB, over the platform's tables by name; its time zone is UTC."""
    import duckdb

    text = _duckdb_text(query)
    with duckdb.connect(config={"autoinstall_known_extensions": False}) as connection:  # nothing is downloaded
        connection.execute("SET TimeZone = 'UTC'")
        for table in sorted(tables.glob("*.parquet")):
            connection.read_parquet(str(table)).create_view(table.stem)
        try:
            return answer(connection.sql(text))
        except duckdb.Error as error:
            raise InvalidEntitiesError(
                "the query of a feature view fails", faults=[f"the query fails: {error}"], hint=f"The query: {text}"
            ) from error


def _duckdb_text(query: SqlSource) -> str:
    if query.dialect == "duckdb":
        return query.query
    try:
        import sqlglot  # type: ignore[import-not-found,unused-ignore]  # optional
    except ImportError as error:
        raise UnsupportedError(
            f"a query in dialect {query.dialect!r} needs sqlglot, which is not installed",
            hint="pip install sqlglot, or write the query for DuckDB and leave dialect out.",
        ) from error
    try:
        return str(sqlglot.transpile(query.query, read=query.dialect, write="duckdb")[0])
    except (sqlglot.errors.SqlglotError, ValueError) as error:
        raise InvalidEntitiesError(
            "the query of a feature view cannot be translated", faults=[f"no valid {query.dialect} query: {error}"]
        ) from error


def _unreadable(view: FeatureView, faults: Sequence[str]) -> InvalidEntitiesError:
    return InvalidEntitiesError(
        f"the source of feature view {view.name!r} does not fit",
        faults=faults,
        hint="Mend the data, or change the view's columns and types.",
    )
