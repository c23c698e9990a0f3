"""Extract jobs: tables into files of Cloud Storage, as CSV, JSON lines or Parquet."""

from __future__ import annotations

import base64
import gzip
import io
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.google.bigquery.callers import Caller
from cloudmlops.emulators.google.bigquery.catalog import Catalog, fields_of
from cloudmlops.emulators.google.bigquery.cells import float_text
from cloudmlops.emulators.google.bigquery.fields import Field
from cloudmlops.emulators.google.bigquery.jobs import Job, Jobs, Outcome
from cloudmlops.emulators.google.bigquery.names import TableName
from cloudmlops.emulators.google.bigquery.refusals import invalid, not_emulated
from cloudmlops.emulators.google.bigquery.warehouse import place

WriteObject = Callable[[str, str, bytes], object]
"""Writes an object of Cloud Storage: bucket, name, bytes; raises `Refused` (NOT_FOUND) when there is no bucket."""
_COMPRESSIONS: Final = {
    "CSV": ("NONE", "GZIP"),
    "NEWLINE_DELIMITED_JSON": ("NONE", "GZIP"),
    "PARQUET": ("NONE", "SNAPPY", "GZIP", "ZSTD"),
}
_REFUSED: Final = ("sourceModel", "modelExtractOptions")
_LARGEST_FILE_BYTES: Final = 1 << 30
_URI: Final = re.compile(r"gs://([^/*]+)/(.+)")
_ESCAPED: Final = {ord(sign): f"\\u{ord(sign):04x}" for sign in "<>&"}


class Extracting:
    """What extract jobs do."""

    def __init__(self, catalog: Catalog, jobs: Jobs, write_object: WriteObject | None) -> None:
        self._catalog = catalog
        self._jobs = jobs
        self._write_object = write_object

    def make(self, project: str, configuration: dict[str, Any], *, reference: Mapping[str, Any], caller: Caller) -> Job:
        """Make an extract job.

        Raises:
            Refused: It asks for what is not emulated or cannot be, or a job of that name is there.
        """
        extract = configuration["extract"]
        for refused in _REFUSED:
            if extract.get(refused):
                raise not_emulated(f"{refused} of an extract job")
        name = TableName.of(extract.get("sourceTable", {}), project=project)
        kind = str(extract.get("destinationFormat") or "CSV").upper()
        compression = str(extract.get("compression") or "NONE").upper()
        if kind not in _COMPRESSIONS:
            raise not_emulated(f"destinationFormat {kind} of an extract job")
        if compression not in _COMPRESSIONS[kind]:
            raise invalid(f"Compression type {compression} is not supported for the destination format {kind}.")
        bucket, path = _destination(extract)
        configuration = {**configuration, "jobType": "EXTRACT"}

        def work(job: Job) -> Outcome:
            return self._extract(
                job, name, bucket, path, lambda rows, fields: _file(rows, fields, kind, compression, extract)
            )

        return self._jobs.make(project, configuration, work, reference=reference, caller=caller, beside=name.parent)

    def _extract(
        self,
        job: Job,
        name: TableName,
        bucket: str,
        path: str,
        written: Callable[[pa.Table, Sequence[Field]], bytes],
    ) -> Outcome:
        job.caller.need("bigquery.tables.export", name)
        table = self._catalog.table(name)
        if table["type"] != "TABLE":
            raise invalid(f"{name} is not allowed for this operation because it is currently a {table['type']}.")
        if self._write_object is None:
            raise not_emulated(f"writing gs://{bucket}/{path}: no object store is joined to this BigQuery; it")
        fields = fields_of(table)
        columns = ", ".join('"' + field["name"].replace('"', '""') + '"' for field in fields) or "1"
        rows = job.cursor.sql(f"SELECT {columns} FROM {place(name)}").to_arrow_table()  # noqa: S608 quoted
        files = max(1, math.ceil(rows.nbytes / _LARGEST_FILE_BYTES))
        if files > 1 and "*" not in path:
            raise invalid(
                f"Table {name} too large to be exported to a single file. Specify a uri including a * to shard export. "
                "See 'Exporting data into one or more files'."
            )
        each = math.ceil(rows.num_rows / files)
        for number in range(files):
            key = path.replace("*", f"{number:012}")
            for permission in ("storage.objects.create", "storage.objects.delete"):
                job.caller.need_object(permission, bucket, key)
            try:
                self._write_object(bucket, key, written(rows.slice(number * each, each), fields))
            except Refused as refused:
                if refused.code != "NOT_FOUND":
                    raise
                raise Refused("NOT_FOUND", f"Not found: URI gs://{bucket}/{key}", reason="notFound") from refused
        told = {"destinationUriFileCounts": [str(files)], "inputBytes": str(rows.nbytes)}
        return Outcome(statistics={"extract": told, "totalBytesProcessed": str(rows.nbytes)})


def _destination(extract: Mapping[str, Any]) -> tuple[str, str]:
    """Return the bucket and the object's name, which may have one `*`."""
    uris = extract.get("destinationUris") or [extract[name] for name in ("destinationUri",) if extract.get(name)]
    if not uris:
        raise invalid("Required parameter is missing: destinationUris")
    if len(uris) > 1:
        raise not_emulated("several destinationUris of an extract job")
    found = _URI.fullmatch(str(uris[0]))
    if found is None:
        raise invalid(f"Invalid extract destination URI '{uris[0]}'. Must be a valid Google Storage path.")
    path = re.sub("/+", "/", found[2]).lstrip("/")
    if path.count("*") > 1:
        raise invalid(f"Invalid extract destination URI '{uris[0]}'. Only one wildcard is allowed.")
    return found[1], path


def _file(rows: pa.Table, fields: Sequence[Field], kind: str, compression: str, extract: Mapping[str, Any]) -> bytes:
    if kind == "PARQUET":
        file = io.BytesIO()
        pq.write_table(rows, file, compression=compression.lower())
        return file.getvalue()
    content = _csv(rows, fields, extract) if kind == "CSV" else _json_lines(rows, fields)
    # Without the moment, so that the same rows are the same bytes.
    return gzip.compress(content, mtime=0) if compression == "GZIP" else content


def _csv(rows: pa.Table, fields: Sequence[Field], extract: Mapping[str, Any]) -> bytes:
    for field in fields:
        if field["type"] == "RECORD" or field.get("mode") == "REPEATED":
            raise invalid(f"Operation cannot be performed on a nested schema. Field: {field['name']}")
    delimiter = str(extract.get("fieldDelimiter") or ",")
    delimiter = {"tab": "\t", "\\t": "\t"}.get(delimiter, delimiter)
    file = io.StringIO(newline="")
    if str(extract.get("printHeader", True)).lower() == "true":
        file.write(delimiter.join(field["name"] for field in fields) + "\n")
    columns = [
        [None if value is None else _text(field["type"], value) for value in rows.column(number).to_pylist()]
        for number, field in enumerate(fields)
    ]
    for cells in zip(*columns, strict=True):
        file.write(delimiter.join(_quoted(cell, delimiter) for cell in cells) + "\n")
    return file.getvalue().encode()


def _quoted(cell: str | None, delimiter: str) -> str:
    """Write a cell: nothing for null, so that an empty text is written in quotes."""
    if cell is None:
        return ""
    if not cell or any(sign in cell for sign in (delimiter, '"', "\n", "\r")):
        return '"' + cell.replace('"', '""') + '"'
    return cell


def _json_lines(rows: pa.Table, fields: Sequence[Field]) -> bytes:
    lines = []
    for row in rows.to_pylist():
        text = json.dumps(_record(fields, row), ensure_ascii=False, separators=(",", ":"))
        lines.append(text.translate(_ESCAPED) + "\n")
    return "".join(lines).encode()


def _record(fields: Sequence[Field], row: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is written of a row; what is null is left out."""
    made = {}
    for field in fields:
        value = row[field["name"]]
        if field.get("mode") == "REPEATED":
            made[field["name"]] = [_json_value(field, one) for one in value or ()]
        elif value is not None:
            made[field["name"]] = _json_value(field, value)
    return made


def _json_value(field: Field, value: Any) -> Any:
    kind = field["type"]
    if kind == "RECORD":
        return _record(field["fields"], value)
    if kind == "NUMERIC":
        raise not_emulated(f"a NUMERIC column ({field['name']}) in a file of JSON lines")
    if kind == "BOOLEAN":
        return value
    if kind == "FLOAT" and math.isfinite(value):
        return value
    return json.loads(value) if kind == "JSON" else _text(kind, value)


def _text(kind: str, value: Any) -> str:
    match kind:
        case "BOOLEAN":
            return "true" if value else "false"
        case "BYTES":
            return base64.b64encode(value).decode()
        case "FLOAT":
            return float_text(value)
        case "NUMERIC":
            text = f"{value:f}"
            return text.rstrip("0").rstrip(".") if "." in text else text
        case "TIMESTAMP":
            return _moment(value)
        case "DATE" | "DATETIME" | "TIME":
            return str(value.isoformat())
    return str(value)


def _moment(value: datetime) -> str:
    moment = value.astimezone(UTC)
    fraction = f".{moment.microsecond:06}".rstrip("0") if moment.microsecond else ""
    return f"{moment:%Y-%m-%d %H:%M:%S}{fraction} UTC"
