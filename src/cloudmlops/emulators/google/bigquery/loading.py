"""Load and copy jobs: files into tables, tables into tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import pyarrow as pa

from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.google.bigquery.callers import Caller
from cloudmlops.emulators.google.bigquery.catalog import Catalog, fields_of
from cloudmlops.emulators.google.bigquery.fields import checked, duckdb_type, quoted
from cloudmlops.emulators.google.bigquery.files import Loaded, read_file
from cloudmlops.emulators.google.bigquery.jobs import Job, Jobs, Outcome, table_event
from cloudmlops.emulators.google.bigquery.names import TableName
from cloudmlops.emulators.google.bigquery.refusals import invalid, not_emulated
from cloudmlops.emulators.google.bigquery.warehouse import count, fill_arrays, insert, place

ReadObject = Callable[[str, str], bytes]

_REFUSED: Final = {
    "hivePartitioningOptions",
    "projectionFields",
    "decimalTargetTypes",
    "columnNameCharacterMap",
    "connectionProperties",
    "jsonExtension",
    "fileSetSpecType",
    "referenceFileSchemaUri",
    "timeZone",
    "dateFormat",
    "datetimeFormat",
    "timeFormat",
    "timestampFormat",
    "nullMarkers",
    "preserveAsciiControlCharacters",
}


class Loading:
    """What load and copy jobs do."""

    def __init__(self, catalog: Catalog, jobs: Jobs, read_object: ReadObject | None) -> None:
        self._catalog = catalog
        self.jobs = jobs
        self._read_object = read_object

    def make(
        self,
        project: str,
        configuration: dict[str, Any],
        body: bytes | None,
        *,
        reference: Mapping[str, Any],
        caller: Caller,
    ) -> Job:
        """Make a load job.

        Args:
            project: Of the job.
            configuration: A `JobConfiguration`.
            body: The file that was uploaded; None when the job names objects.
            reference: Its name and location, each if it was given.
            caller: Who asks for it.

        Raises:
            Refused: It asks for what is not emulated, or a job of that name is there.
        """
        load = configuration["load"]
        for refused in sorted(_REFUSED & {key for key, value in load.items() if value}):
            raise not_emulated(f"{refused} of a load job")
        name = TableName.of(load.get("destinationTable", {}), project=project)
        configuration = {**configuration, "jobType": "LOAD"}
        return self.jobs.make(
            project,
            configuration,
            lambda job: self._load(job, load, name, body),
            reference=reference,
            caller=caller,
            beside=name.parent,
        )

    def make_copy(
        self, project: str, configuration: dict[str, Any], *, reference: Mapping[str, Any], caller: Caller
    ) -> Job:
        """Make a copy job.

        Raises:
            Refused: It asks for what is not emulated, or a job of that name is there.
        """
        copy = configuration["copy"]
        if copy.get("operationType", "COPY") not in {"COPY", "OPERATION_TYPE_UNSPECIFIED"}:
            raise not_emulated(f"operationType {copy['operationType']} of a copy job")
        references = copy.get("sourceTables") or [copy["sourceTable"]]
        sources = [TableName.of(reference, project=project) for reference in references]
        target = TableName.of(copy.get("destinationTable", {}), project=project)
        disposition = copy.get("writeDisposition", "WRITE_EMPTY")
        configuration = {**configuration, "jobType": "COPY"}

        def work(job: Job) -> Outcome:
            for source in sources:
                job.caller.need("bigquery.tables.get", source)
                job.caller.need("bigquery.tables.getData", source)
            job.caller.need("bigquery.tables.update", target)
            tables = [self._catalog.table(source) for source in sources]
            fields = fields_of(tables[0])
            for source, table in zip(sources, tables, strict=True):
                if table["type"] != "TABLE":
                    raise invalid(f"Cannot copy {source}: it is a {table['type']}")
                if [(f["name"], duckdb_type(f)) for f in fields_of(table)] != [
                    (f["name"], duckdb_type(f)) for f in fields
                ]:
                    raise invalid(f"Source tables must have the same schema: {source} differs")
            rows = " UNION ALL ".join(f"SELECT * FROM {place(source)}" for source in sources)  # noqa: S608 quoted
            arrow = job.cursor.sql(rows).to_arrow_table()
            made = write_rows(
                self._catalog,
                job,
                target,
                Loaded(rows=arrow, fields=fields),
                disposition,
                create=copy.get("createDisposition", "CREATE_IF_NEEDED"),
                given={key: tables[0][key] for key in ("timePartitioning", "clustering") if key in tables[0]},
            )
            return Outcome(statistics={"copy": {"copiedRows": str(made)}})

        return self.jobs.make(project, configuration, work, reference=reference, caller=caller, beside=target.parent)

    def _load(self, job: Job, load: Mapping[str, Any], name: TableName, body: bytes | None) -> Outcome:
        job.caller.need("bigquery.tables.update", name)
        self._catalog.dataset(name.parent)
        bodies = [body] if body is not None else [self._object(job, uri) for uri in load.get("sourceUris") or ()]
        if not bodies:
            raise invalid("a load job needs a file or sourceUris")
        there = self._catalog.find(name)
        disposition = str(load.get("writeDisposition") or "WRITE_APPEND")
        schema = checked((load.get("schema") or {}).get("fields", ()))
        if not schema and there is not None and disposition != "WRITE_TRUNCATE":
            schema = fields_of(there)
        parts = [read_file(part, load, schema) for part in bodies]
        loaded = Loaded(
            rows=pa.concat_tables([part.rows for part in parts], promote_options="default"),
            fields=parts[0].fields,
            bad=sum(part.bad for part in parts),
        )
        given = {
            key: load[key] for key in ("timePartitioning", "rangePartitioning", "clustering") if load.get(key)
        } | dict(load.get("destinationTableProperties") or {})
        rows = write_rows(
            self._catalog,
            job,
            name,
            loaded,
            disposition,
            create=str(load.get("createDisposition") or "CREATE_IF_NEEDED"),
            given=given,
            options=load.get("schemaUpdateOptions") or (),
        )
        size = sum(map(len, bodies))
        return Outcome(
            statistics={
                "load": {
                    "inputFiles": str(len(bodies)),
                    "inputFileBytes": str(size),
                    "outputRows": str(rows),
                    "outputBytes": str(loaded.rows.nbytes),
                    "badRecords": str(loaded.bad),
                }
            }
        )

    def _object(self, job: Job, uri: str) -> bytes:
        bucket, _, key = uri.removeprefix("gs://").partition("/")
        if not uri.startswith("gs://") or not key:
            raise invalid(f"Invalid source URI: {uri}")
        if "*" in key:
            raise not_emulated(f"a wildcard in {uri}")
        if self._read_object is None:
            raise not_emulated(f"reading {uri}: no object store is joined to this BigQuery; it")
        job.caller.need_object("storage.objects.get", bucket, key)
        try:
            return self._read_object(bucket, key)
        except Refused as refused:
            if refused.code != "NOT_FOUND":
                raise
            raise Refused("NOT_FOUND", f"Not found: URI {uri}", reason="notFound") from refused


def write_rows(
    catalog: Catalog,
    job: Job,
    name: TableName,
    loaded: Loaded,
    disposition: str,
    *,
    create: str = "CREATE_IF_NEEDED",
    given: Mapping[str, Any] | None = None,
    options: Sequence[str] = (),
) -> int:
    """Write rows to a table as dispositions say, all or none.

    Returns:
        How many.

    Raises:
        Refused: The table is missing or not empty, its columns do not take the rows, or the caller may not write it.
    """
    fields = loaded.fields
    if create != "CREATE_NEVER":
        # Also where the table is there.
        job.caller.need("bigquery.tables.create", name.parent)
    job.caller.need("bigquery.tables.updateData", name)
    with catalog.warehouse.writing:
        there = catalog.find(name)
        if there is None:
            if create == "CREATE_NEVER":
                raise Refused("NOT_FOUND", f"Not found: Table {name}", reason="notFound")
            catalog.dataset(name.parent)
        elif there["type"] != "TABLE":
            raise invalid(f"Cannot write to {name}: it is a {there['type']}")
        fresh = there is None or disposition in {"WRITE_TRUNCATE", "WRITE_TRUNCATE_DATA"} or not fields_of(there)
        with catalog.warehouse.changing(job.cursor) as cursor:
            if there is not None and disposition == "WRITE_EMPTY" and count(cursor, place(name)):
                raise Refused("ALREADY_EXISTS", f"Already Exists: Table {name}", reason="duplicate")
            if fresh:
                columns = ", ".join(
                    f"{quoted(field['name'])} {duckdb_type(field)}"
                    + (" NOT NULL" if field.get("mode") == "REQUIRED" else "")
                    for field in fields
                )
                cursor.execute(f"DROP TABLE IF EXISTS {place(name)}")
                cursor.execute(f"CREATE TABLE {place(name)} ({columns})")
            else:
                fields = _widened(cursor, name, fields_of(there or {}), fields, options)
            insert(cursor, place(name), loaded.rows)
            fill_arrays(cursor, place(name), fields)
        kept = {**(given or {})}
        if there is not None:
            catalog.change_table(name, {**there, **kept, "schema": {"fields": list(fields)}})
        else:
            catalog.note_table(name, kept, fields=fields)
            job.changes.append(table_event("tableCreation", name))
    change: dict[str, Any] = {"insertedRowsCount": str(loaded.rows.num_rows)}
    job.changes.append(("tableDataChange", name, change | ({"truncated": True} if there is not None and fresh else {})))
    return int(loaded.rows.num_rows)


def _widened(
    cursor: Any,
    name: TableName,
    there: Sequence[Mapping[str, Any]],
    coming: Sequence[Mapping[str, Any]],
    options: Sequence[str],
) -> list[dict[str, Any]]:
    """Return the table's columns, with those that are added, if that is allowed."""
    known = {field["name"].lower(): field for field in there}
    result = [dict(field) for field in there]
    for field in coming:
        old = known.get(field["name"].lower())
        if old is None:
            if "ALLOW_FIELD_ADDITION" not in options:
                raise invalid(
                    f"Provided Schema does not match Table {name}. Cannot add fields (field: {field['name']})"
                )
            cursor.execute(f"ALTER TABLE {place(name)} ADD COLUMN {quoted(field['name'])} {duckdb_type(field)}")
            result.append(dict(field))
        elif duckdb_type(old) != duckdb_type(field):
            raise invalid(
                f"Provided Schema does not match Table {name}. Field {field['name']} has changed type from "
                f"{old['type']} to {field['type']}"
            )
    return result
