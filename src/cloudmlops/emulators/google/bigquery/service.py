"""The service: which function answers which path."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Final

from cloudmlops.emulators.core.answering import Answer, Asked, Operation, app
from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.core.service import Service, Surroundings
from cloudmlops.emulators.google.access import Access
from cloudmlops.emulators.google.audit import Audit
from cloudmlops.emulators.google.bigquery.auditing import CHANGING, BigQueryAudit, subject_of
from cloudmlops.emulators.google.bigquery.callers import PERMISSIONS, Caller
from cloudmlops.emulators.google.bigquery.catalog import Catalog
from cloudmlops.emulators.google.bigquery.datasets import Datasets
from cloudmlops.emulators.google.bigquery.extracting import Extracting, WriteObject
from cloudmlops.emulators.google.bigquery.job_resources import JobResources
from cloudmlops.emulators.google.bigquery.jobs import Jobs
from cloudmlops.emulators.google.bigquery.kept_jobs import KeptJobs
from cloudmlops.emulators.google.bigquery.loading import Loading, ReadObject
from cloudmlops.emulators.google.bigquery.names import DatasetName, TableName
from cloudmlops.emulators.google.bigquery.queries import Queries
from cloudmlops.emulators.google.bigquery.refusals import invalid, refusal
from cloudmlops.emulators.google.bigquery.rows import Rows
from cloudmlops.emulators.google.bigquery.tables import Tables
from cloudmlops.emulators.google.bigquery.uploads import Uploads
from cloudmlops.emulators.google.bigquery.warehouse import Warehouse
from cloudmlops.emulators.google.tokens import Tokens

Act = Callable[[Asked, Mapping[str, str], Caller], Answer]

PREFIXES: Final = ("/bigquery/v2", "/upload/bigquery/v2", "/resumable/upload/bigquery/v2")


def service(
    surroundings: Surroundings,
    *,
    read_object: ReadObject | None = None,
    write_object: WriteObject | None = None,
    audit: Audit | None = None,
) -> Service:
    """Make BigQuery.

    Args:
        surroundings: Of the emulator.
        read_object: Returns the bytes of an object of Cloud Storage by bucket and name, for load jobs from `gs://`;
            raises `Refused` (NOT_FOUND) when there is none.
        write_object: Writes the bytes of an object, for extract jobs to `gs://`; raises likewise without a bucket.
        audit: Where it is written what was changed, and what was refused.
    """
    state = surroundings.state
    tokens, access = Tokens(state), Access(state)
    warehouse = Warehouse(state.folder / "bigquery.duckdb" if state.durable else None)
    catalog = Catalog(state, surroundings.clock, warehouse)
    written = BigQueryAudit(audit)
    jobs = Jobs(catalog, KeptJobs(state), access, begun=written.begun, ended=written.ended)
    queries = Queries(catalog, jobs, surroundings.clock)
    loading = Loading(catalog, jobs, read_object)
    routes = _routes(
        Datasets(catalog),
        Tables(catalog, queries),
        Rows(catalog, surroundings.clock),
        JobResources(jobs, queries, loading, Extracting(catalog, jobs, write_object)),
        Uploads(loading),
    )

    def answered(operation: str, act: Act, path: Mapping[str, str], asked: Asked) -> Answer:
        caller = Caller(principal=tokens.principal(asked.headers.get("authorization")), access=access)
        asked, on = _unpacked(asked), _subject(path)

        def check() -> None:
            if (needed := PERMISSIONS.get(operation)) is not None:
                caller.need(needed, on)

        if operation not in CHANGING:
            with written.asking(operation, path["project"], caller):
                check()
            return act(asked, path, caller)
        with written.changing(operation, subject_of(operation, on, asked.json()), caller):
            check()
            return act(asked, path, caller)

    def find(asked: Asked) -> tuple[str, Operation]:
        for method, pattern, name, act in routes:
            if method == asked.method and (match := pattern.fullmatch(asked.path)):
                return name, partial(answered, name, act, match.groupdict())
        raise Refused("UNIMPLEMENTED", f"{asked.method} {asked.path} is not emulated", reason="notImplemented")

    def close() -> None:
        jobs.close()
        warehouse.close()

    return Service(
        name="bigquery",
        hosts=("bigquery.googleapis.com",),
        paths=PREFIXES,
        http=app(surroundings, "bigquery", find=find, refusal=refusal, recorded=_recorded),
        close=close,
    )


def _routes(
    datasets: Datasets, tables: Tables, rows: Rows, jobs: JobResources, uploads: Uploads
) -> list[tuple[str, re.Pattern[str], str, Act]]:
    one_dataset, one_table = "/datasets/{dataset}", "/datasets/{dataset}/tables/{table}"
    plain: list[tuple[str, str, str, Act]] = [
        ("POST", "/queries", "jobs.query", jobs.query),
        ("GET", "/queries/{job}", "jobs.getQueryResults", jobs.results),
        ("POST", "/jobs", "jobs.insert", jobs.insert),
        ("GET", "/jobs", "jobs.list", jobs.list),
        ("GET", "/jobs/{job}", "jobs.get", jobs.get),
        ("POST", "/jobs/{job}/cancel", "jobs.cancel", jobs.cancel),
        ("DELETE", "/jobs/{job}/delete", "jobs.delete", jobs.delete),
        ("POST", "/datasets", "datasets.insert", datasets.insert),
        ("GET", "/datasets", "datasets.list", datasets.list),
        ("GET", one_dataset, "datasets.get", datasets.get),
        ("PATCH", one_dataset, "datasets.patch", datasets.patch),
        ("PUT", one_dataset, "datasets.update", datasets.update),
        ("DELETE", one_dataset, "datasets.delete", datasets.delete),
        ("POST", f"{one_dataset}/tables", "tables.insert", tables.insert),
        ("GET", f"{one_dataset}/tables", "tables.list", tables.listed),
        ("GET", one_table, "tables.get", tables.get),
        ("PATCH", one_table, "tables.patch", tables.patch),
        ("PUT", one_table, "tables.update", tables.update),
        ("DELETE", one_table, "tables.delete", tables.delete),
        ("GET", f"{one_table}/data", "tabledata.list", rows.listed),
        ("POST", f"{one_table}/insertAll", "tabledata.insertAll", rows.insert_all),
    ]
    result = [(method, _pattern(PREFIXES[0], path), name, act) for method, path, name, act in plain]
    for prefix in PREFIXES[1:]:
        result.append(("POST", _pattern(prefix, "/jobs"), "jobs.insert", uploads.begin))
        result.append(("PUT", _pattern(prefix, "/jobs"), "jobs.insert", uploads.go_on))
    return result


def _subject(path: Mapping[str, str]) -> str | DatasetName | TableName:
    """Return what a method's permission is needed on: of a table that is to be made, the dataset."""
    if "dataset" not in path:
        return path["project"]
    if "table" in path:
        return TableName.of({"datasetId": path["dataset"], "tableId": path["table"]}, project=path["project"])
    return DatasetName.of({"datasetId": path["dataset"]}, project=path["project"])


def _pattern(prefix: str, path: str) -> re.Pattern[str]:
    return re.compile(prefix + "/projects/(?P<project>[^/]+)" + re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path))


def _unpacked(asked: Asked) -> Asked:
    """Return a request whose body is not compressed."""
    if asked.headers.get("content-encoding") != "gzip":
        return asked
    try:
        return replace(asked, body=gzip.decompress(asked.body))
    except (OSError, EOFError, zlib.error) as error:
        raise invalid(f"the body is no gzip: {error}") from error


def _recorded(asked: Asked) -> Mapping[str, Any]:
    if asked.method == "GET" or asked.path.startswith(PREFIXES[1:]):
        return dict(asked.query)
    try:
        content = _unpacked(asked).json()
    except Refused:
        return {}
    return content if isinstance(content, dict) else {}
