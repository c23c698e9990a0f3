"""BigQuery: the dataset of features, its tables, and queries."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cached_property
from io import BytesIO
from threading import Lock
from typing import Any, Final
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
import requests
from google.api_core.exceptions import Conflict, Forbidden, GoogleAPIError, NotFound, RetryError, ServerError
from google.cloud import bigquery
from google.cloud.bigquery.retry import DEFAULT_JOB_RETRY, DEFAULT_RETRY

from cloudmlops.errors import ServiceError, UnexpectedReplyError
from cloudmlops.providers.vertex.errors import PROVIDER, translated
from cloudmlops.providers.vertex.feature_store.columns import fields_of, loadable
from cloudmlops.providers.vertex.feature_store.exports import Exports
from cloudmlops.providers.vertex.feature_store.statements import quoted
from cloudmlops.providers.vertex.wire import Wire

_PASSING_TABLE_LASTS: Final = timedelta(days=1)
"""So long a table stays that its process could not remove."""
_ROWS_A_REQUEST: Final = 500
_MOST_ROWS_IN_PAGES: Final = 100_000
"""The result of a query for more rows is exported as Parquet files: some seconds more, and some thirty times faster."""
_PERHAPS_BEGUN: Final = (Conflict, NotFound, RetryError, ServerError, requests.RequestException)
"""What may be said of a job that is there: its answer was lost, and asking again found its name or its upload used."""
_AFTERWARDS_SECONDS: Final = 10.0
"""So long, at most, what follows an error may take."""
_MOST_REPETITIONS: Final = 6
_log: Final = logging.getLogger("cloudmlops.features")


class Warehouse:
    """One dataset."""

    def __init__(self, wire: Wire, exports: Exports, check_bucket: Callable[[str], None]) -> None:
        self._wire = wire
        self._exports = exports
        self._check_bucket = check_bucket
        self._project = wire.settings.project
        self._dataset = wire.settings.dataset
        self._made = False
        self._lies_in: str | None = None
        self._making = Lock()

    @property
    def parent(self) -> tuple[str, str]:
        """The project and the dataset."""
        return self._project, self._dataset

    def name(self, table: str) -> str:
        """Return a table's full name in SQL."""
        return quoted(self._project, self._dataset, table)

    def uri(self, table: str) -> str:
        """Return a table's address, as Vertex AI writes it."""
        return f"bq://{self._project}.{self._dataset}.{table}"

    def load(self, name: str, table: pa.Table, *, operation: str) -> None:
        """Keep rows as a table, in the place of those it had; at once, or not at all."""
        with translated(operation, name):
            self._ensure(operation)
            self._load(name, table)

    def load_objects(self, name: str, uris: Sequence[str], *, operation: str) -> None:
        """Keep Parquet files of Cloud Storage as a table, in the place of the rows that it had."""
        configuration = _parquet()
        with translated(operation, name):
            self._ensure(operation)
            job = self._begun(
                lambda job_id: self._client.load_table_from_uri(
                    list(uris), self._id(name), job_id=job_id, job_config=configuration, **self._limits
                )
            )
            job.result(retry=self._limits["retry"])

    @contextmanager
    def passing(self, table: pa.Table, *, operation: str, resource: str) -> Iterator[str]:
        """Keep rows as a table that is removed afterwards; what it is called in SQL."""
        with translated(operation, resource):
            self._ensure(operation)
        with self._removed(operation) as name:
            with translated(operation, resource):
                made = bigquery.Table(self._id(name), schema=fields_of(table.schema))
                made.expires = datetime.now(UTC) + _PASSING_TABLE_LASTS
                self._client.create_table(made, exists_ok=True, **self._limits)
                self._load(name, table)
            yield self.name(name)

    def fields(self, relation: str, *, operation: str, resource: str) -> Sequence[bigquery.SchemaField]:
        """Return the columns of what stands after FROM, without reading it."""
        with translated(operation, resource):
            job = self._query(f"SELECT * FROM {relation}", bigquery.QueryJobConfig(dry_run=True))
            return list(job.schema or ())

    def table_fields(self, name: str, *, operation: str) -> Sequence[bigquery.SchemaField] | None:
        """Return a table's columns; None when there is none of that name."""
        with translated(operation, name):
            try:
                return list(self._client.get_table(self._id(name), **self._limits).schema)
            except NotFound:
                return None

    def tables(self, *, operation: str) -> list[str]:
        """Return the names of all tables."""
        with translated(operation, self._dataset):
            try:
                listed = self._client.list_tables(f"{self._project}.{self._dataset}", **self._limits)
                return sorted(table.table_id for table in listed)
            except NotFound:
                return []

    def rows(self, sql: str, *, rows: int, operation: str, resource: str) -> pa.Table:
        """Run a query; who logs at INFO is told how much it reads before it does, by a dry run.

        Args:
            sql: The query.
            rows: About how many rows its answer has; a large one is exported (`exports.py`).
            operation: The verb that it is asked for.
            resource: What is concerned.
        """
        with translated(operation, resource):
            if _log.isEnabledFor(logging.INFO):
                read = self._query(sql, bigquery.QueryJobConfig(dry_run=True)).total_bytes_processed
                _log.info("%s of %r reads %.1f MiB in BigQuery", operation, resource, (read or 0) / 2**20)
            if rows > _MOST_ROWS_IN_PAGES:
                return self._exported(sql, operation)
            found = self._query(sql, bigquery.QueryJobConfig()).result(retry=self._limits["retry"])
            return found.to_arrow(create_bqstorage_client=False)

    def change(self, sql: str, *, operation: str, resource: str) -> None:
        """Run a statement that changes rows: all of it takes effect, or nothing."""
        with translated(operation, resource):
            self._query(sql, bigquery.QueryJobConfig()).result(retry=self._limits["retry"])

    def append(self, name: str, rows: Sequence[Mapping[str, Any]], *, operation: str) -> None:
        """Add rows, written as JSON has them, to a table; they are read by the next query."""
        with translated(operation, name):
            for start in range(0, len(rows), _ROWS_A_REQUEST):
                part = rows[start : start + _ROWS_A_REQUEST]
                faults = self._client.insert_rows_json(self._id(name), part, **self._limits)
                if faults:
                    raise UnexpectedReplyError(
                        f"rows were not added to table {name!r}: {faults[0]}",
                        provider=PROVIDER,
                        operation=operation,
                        resource=name,
                    )

    def ensure_table(self, name: str, fields: Sequence[bigquery.SchemaField], *, operation: str) -> None:
        """Make an empty table, unless there is one of that name."""
        with translated(operation, name):
            self._ensure(operation)
            table = bigquery.Table(self._id(name), schema=fields)
            self._client.create_table(table, exists_ok=True, **self._limits)

    def ensure_view(self, name: str, sql: str, *, operation: str) -> None:
        """Make a view of a query, unless there is one of that name."""
        with translated(operation, name):
            self._ensure(operation)
            table = bigquery.Table(self._id(name))
            table.view_query = sql
            made = self._client.create_table(table, exists_ok=True, **self._limits)
            if made.view_query != sql:
                made.view_query = sql
                self._client.update_table(made, ["view_query"], **self._limits)

    def delete(self, name: str, *, operation: str) -> None:
        """Remove a table or view, if it is there."""
        with translated(operation, name):
            self._client.delete_table(self._id(name), not_found_ok=True, **self._limits)

    def close(self) -> None:
        """Close connections."""
        if "_client" in self.__dict__:
            self._client.close()

    @cached_property
    def _client(self) -> bigquery.Client:
        settings = self._wire.settings
        options = {"api_endpoint": settings.api_url} if settings.api_url is not None else None
        return bigquery.Client(
            project=self._project,
            credentials=self._wire.credentials,
            client_options=options,
            default_query_job_config=bigquery.QueryJobConfig(default_dataset=f"{self._project}.{self._dataset}"),
        )

    def _id(self, name: str) -> str:
        return f"{self._project}.{self._dataset}.{name}"

    def _ensure(self, operation: str) -> None:
        with self._making:
            if not self._made:
                self._check_bucket(operation)
                dataset = bigquery.Dataset(f"{self._project}.{self._dataset}")
                dataset.location = self._wire.settings.location
                if key := self._wire.settings.encryption_key:
                    dataset.default_encryption_configuration = bigquery.EncryptionConfiguration(key)
                made = self._client.create_dataset(dataset, exists_ok=True, **self._limits)
                self._lies_in = made.location
                self._made = True

    def _load(self, name: str, table: pa.Table) -> None:
        configuration = _parquet()
        configuration.schema = fields_of(table.schema)
        file = BytesIO()
        pq.write_table(loadable(table), file)
        file.seek(0)
        job = self._begun(
            lambda job_id: self._client.load_table_from_file(
                file,
                self._id(name),
                job_id=job_id,
                job_config=configuration,
                num_retries=self._repetitions,
                timeout=self._wire.timeout,
            )
        )
        job.result(retry=self._limits["retry"])

    def _exported(self, sql: str, operation: str) -> pa.Table:
        """Return what a query answers by way of a table and files, which are removed whatever happens."""
        asked = bigquery.ExtractJobConfig(destination_format="PARQUET", compression="SNAPPY")
        with self._removed(operation) as passing:
            name = self._id(passing)
            result = self._query(sql, bigquery.QueryJobConfig(destination=name)).result(retry=self._limits["retry"])
            table = bigquery.Table(name)
            table.expires = datetime.now(UTC) + _PASSING_TABLE_LASTS
            self._client.update_table(table, ["expires"], **self._limits)
            with self._exports.folder() as folder:
                pattern = self._exports.pattern(folder)
                job = self._begun(
                    lambda job_id: self._client.extract_table(
                        name, pattern, job_id=job_id, job_config=asked, **self._limits
                    )
                )
                job.result(retry=self._limits["retry"])
                return self._exports.read(folder, result.schema)

    @contextmanager
    def _removed(self, operation: str) -> Iterator[str]:
        """Give a name for a table that is removed afterwards; one that cannot be takes nothing from what was done."""
        name = f"Passing_{uuid4().hex}"
        try:
            yield name
        finally:
            try:
                with translated(operation, name):
                    self._client.delete_table(self._id(name), not_found_ok=True, **self._shortly)
            except ServiceError as error:
                _log.warning("a table that is not needed any more may be left, for a day: %s", error)

    def _begun(self, begin: Callable[[str], Any]) -> Any:
        """Return a job begun under a name of our own; one whose answer was lost is looked up by it."""
        job_id = f"cloudmlops-{uuid4().hex}"
        try:
            return begin(job_id)
        except _PERHAPS_BEGUN:
            job = self._job(job_id)
            if job is None:
                raise
            return job

    def _job(self, job_id: str) -> Any:
        """Return a job of this dataset; None when none is found."""
        try:
            return self._client.get_job(job_id, location=self._location(**self._shortly), **self._shortly)
        except (GoogleAPIError, requests.RequestException):
            return None

    def _query(self, sql: str, configuration: bigquery.QueryJobConfig) -> Any:
        again = DEFAULT_JOB_RETRY.with_timeout(self._wire.timeout)
        # A job whose answer was lost is found by its location; a dry run leaves none.
        location = None if configuration.dry_run else self._location(**self._limits)
        return self._client.query(sql, job_config=configuration, job_retry=again, location=location, **self._limits)

    def _location(self, **limits: Any) -> str | None:
        """Return where the dataset lies, and with it what its tables are joined with; None if that is not known."""
        if self._lies_in is None:
            try:
                self._lies_in = self._client.get_dataset(f"{self._project}.{self._dataset}", **limits).location
            except (NotFound, Forbidden):
                return None  # BigQuery tells by the tables where a query runs.
        return self._lies_in

    @cached_property
    def _limits(self) -> dict[str, Any]:
        """How long a call may take, with its repetitions; what a job itself does may last longer."""
        return _within(self._wire.timeout)

    @cached_property
    def _shortly(self) -> dict[str, Any]:
        return _within(min(self._wire.timeout, _AFTERWARDS_SECONDS))

    @cached_property
    def _repetitions(self) -> int:
        """How often an upload is repeated in the time of a call: after a second, two more, four more and so on."""
        return min(int(math.log2(self._wire.timeout + 1)), _MOST_REPETITIONS)


def _within(seconds: float) -> dict[str, Any]:
    return {"timeout": seconds, "retry": DEFAULT_RETRY.with_timeout(seconds)}


def _parquet() -> bigquery.LoadJobConfig:
    lists = bigquery.ParquetOptions()
    lists.enable_list_inference = True
    configuration = bigquery.LoadJobConfig(source_format="PARQUET", write_disposition="WRITE_TRUNCATE")
    configuration.parquet_options = lists
    return configuration
