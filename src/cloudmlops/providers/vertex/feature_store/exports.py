"""Tables of BigQuery as Parquet files in the platform's bucket: how a large result is read.

The answer to a query comes in pages of JSON, of which a client reads some 15,000 rows a second. BigQuery writes Parquet
itself, at no charge, and into the bucket that the provider has anyhow. The Storage Read API would stream Arrow; it asks
for a package, a host and a permission of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from google.cloud import bigquery

from cloudmlops.ports.objects import ObjectStore
from cloudmlops.providers.passing_files import PassingFiles
from cloudmlops.providers.vertex.feature_store.columns import arrow_schema

_ROOT: Final = "passing"
_AT_ONCE: Final = 4


class Exports:
    """A folder of the platform's objects for files that are read once."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects
        self._passing = PassingFiles(objects, _ROOT, now=lambda: datetime.now(UTC))

    @contextmanager
    def folder(self) -> Iterator[str]:
        """Keep files under a key of their own, which are removed afterwards, as are those that a killed process left.

        What cannot be removed takes nothing from what was read: a later call removes it.
        """
        with self._passing.folder() as name:
            yield f"{_ROOT}/{name}/"

    def pattern(self, folder: str) -> str:
        """Return the address that BigQuery writes the files of a folder to."""
        return f"{self._objects.uri}/{folder}*.parquet"

    def read(self, folder: str, fields: Sequence[bigquery.SchemaField]) -> pa.Table:
        """Return the rows of all files as a query's answer has them.

        Args:
            folder: Of the files.
            fields: Of the table that they were made of.
        """
        schema = arrow_schema(fields)

        def rows(key: str) -> pa.Table:
            found = pq.read_table(pa.BufferReader(self._objects.get(key)))
            columns = [_answered(found[field.name], field.type) for field in schema]
            return pa.table(columns, schema=schema)

        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="cloudmlops-exports") as threads:
            return pa.concat_tables([schema.empty_table(), *threads.map(rows, self._objects.list(folder))])


def _answered(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    """Return a column in the type that a query's answer has; BigQuery knows empty lists and no null ones."""
    column = column.cast(kind)
    if pa.types.is_list(kind) and column.null_count:
        empty = pa.array([[]], kind)[0]
        column = pc.if_else(column.is_null(), empty, column)
    return column
