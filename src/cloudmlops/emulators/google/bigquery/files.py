"""Files that load jobs bring: JSON lines, CSV, Parquet."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa

from cloudmlops.emulators.google.bigquery.fields import arrow_type
from cloudmlops.emulators.google.bigquery.parquet import read_parquet
from cloudmlops.emulators.google.bigquery.refusals import invalid, not_emulated
from cloudmlops.emulators.google.bigquery.values import (
    BadValue,
    is_date,
    is_finite_text,
    is_moment,
    row_values,
)

GUESSED_ROWS: Final = 500
"""How many rows the types of columns are guessed from."""

Fields = list[dict[str, Any]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Loaded:
    """What a file holds."""

    rows: pa.Table
    fields: Fields
    bad: int = 0
    """How many rows were left out."""


def read_file(body: bytes, load: Mapping[str, Any], schema: Fields) -> Loaded:
    """Read a file as a load job says.

    Args:
        body: The file.
        load: A `JobConfigurationLoad`.
        schema: The columns; empty when the file is to tell them.

    Raises:
        Refused: It is damaged, does not fit the columns, or is of a kind that is not emulated.
    """
    kind = str(load.get("sourceFormat") or "CSV").upper()
    if kind == "PARQUET":
        rows, fields = read_parquet(body, schema, infer_lists=_infer_lists(load))
        return Loaded(rows=rows, fields=fields)
    body = _decompressed(body)
    if kind == "NEWLINE_DELIMITED_JSON":
        records = _json_records(body)
        if not schema:
            _check_guessing(load)
            schema = _guessed_from_json([record for record in records if isinstance(record, dict)][:GUESSED_ROWS])
        return _typed(records, schema, load)
    if kind == "CSV":
        header, lines = _csv_lines(body, load)
        if not schema:
            _check_guessing(load)
            schema = _guessed_from_csv(header, lines[:GUESSED_ROWS])
        return _typed(_csv_records(lines, schema, load), schema, load)
    raise not_emulated(f"sourceFormat {kind}")


def _typed(records: Iterable[Any], schema: Fields, load: Mapping[str, Any]) -> Loaded:
    """Give records their types; too many bad ones fail the job."""
    most = int(load.get("maxBadRecords") or 0)
    good, bad = [], 0
    for place, record in enumerate(records):
        try:
            if isinstance(record, BadValue):
                raise record
            good.append(row_values(record, schema, ignore_unknown=bool(load.get("ignoreUnknownValues"))))
        except BadValue as error:
            bad += 1
            if bad > most:
                raise invalid(
                    f"Error while reading data, error message: row {place + 1}: {error}; errors: {bad}; max bad: {most}"
                ) from error
    arrow = pa.schema([pa.field(field["name"], arrow_type(field)) for field in schema])
    return Loaded(rows=pa.Table.from_pylist(good, schema=arrow), fields=schema, bad=bad)


def _check_guessing(load: Mapping[str, Any]) -> None:
    if not load.get("autodetect"):
        raise invalid("No schema specified on job or table.")


def _infer_lists(load: Mapping[str, Any]) -> bool:
    options = load.get("parquetOptions") or {}
    for refused in ("enumAsString", "mapTargetType"):
        if options.get(refused):
            raise not_emulated(f"parquetOptions.{refused}")
    return bool(options.get("enableListInference"))


def _decompressed(body: bytes) -> bytes:
    if body[:2] != b"\x1f\x8b":
        return body
    try:
        return gzip.decompress(body)
    except (OSError, EOFError, zlib.error) as error:
        raise invalid(f"Error while reading data, error message: the gzip file is damaged: {error}") from error


def _json_records(body: bytes) -> list[Any]:
    records: list[Any] = []
    for line in body.split(b"\n"):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError as error:
            records.append(BadValue("", f"JSON parsing error: {error}"))
            continue
        records.append(record if isinstance(record, dict) else BadValue("", "JSON value is no object"))
    return records


def _guessed_from_json(records: Sequence[Mapping[str, Any]]) -> Fields:
    names: dict[str, list[Any]] = {}
    for record in records:
        for name, value in record.items():
            names.setdefault(name, []).append(value)
    return [_guessed_field(name, values) for name, values in names.items()]


def _guessed_field(name: str, values: Sequence[Any]) -> dict[str, Any]:
    known = [value for value in values if value is not None]
    if known and all(isinstance(value, list) for value in known):
        return {**_guessed_field(name, [item for value in known for item in value]), "mode": "REPEATED"}
    if known and all(isinstance(value, dict) for value in known):
        return {"name": name, "type": "RECORD", "mode": "NULLABLE", "fields": _guessed_from_json(known)}
    return {"name": name, "type": _guessed_type(known), "mode": "NULLABLE"}


def _guessed_type(values: Sequence[Any]) -> str:
    if not values:
        return "STRING"
    if all(isinstance(value, bool) for value in values):
        return "BOOLEAN"
    if all(isinstance(value, int) and not isinstance(value, bool) for value in values):
        return "INTEGER"
    if all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values):
        return "FLOAT"
    return _guessed_text_type([str(value) for value in values]) if all(isinstance(v, str) for v in values) else "STRING"


def _guessed_text_type(texts: Sequence[str]) -> str:
    if all(text.lower() in {"true", "false"} for text in texts):
        return "BOOLEAN"
    if all(text.lstrip("+-").isdigit() for text in texts):
        return "INTEGER"
    if all(is_finite_text(text) for text in texts):
        return "FLOAT"
    if all(is_date(text) for text in texts):
        return "DATE"
    return "TIMESTAMP" if all(is_moment(text) for text in texts) else "STRING"


def _csv_lines(body: bytes, load: Mapping[str, Any]) -> tuple[list[str] | None, list[list[str | None]]]:
    """Return the last line that is skipped, and the lines after it; the marker of NULL is None."""
    if str(load.get("encoding") or "UTF-8").upper() not in {"UTF-8", "UTF8"}:
        raise not_emulated(f"encoding {load['encoding']} of a CSV file")
    delimiter = {"tab": "\t", "\\t": "\t"}.get(
        str(load.get("fieldDelimiter") or ","), load.get("fieldDelimiter") or ","
    )
    quote = load.get("quote", '"')
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise invalid(f"Error while reading data, error message: the CSV file is not UTF-8: {error}") from error
    options: dict[str, Any] = {"quotechar": quote} if quote else {"quoting": csv.QUOTE_NONE}
    try:
        lines = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True, **options))
    except csv.Error as error:
        raise invalid(f"Error while reading data, error message: CSV: {error}") from error
    if not load.get("allowQuotedNewlines") and any("\n" in cell for line in lines for cell in line):
        raise invalid("Error while reading data, error message: a quoted newline needs allowQuotedNewlines")
    skipped = int(load.get("skipLeadingRows") or 0)
    header = lines[skipped - 1] if skipped else None
    marker = str(load.get("nullMarker") or "")
    kept = [[None if cell == marker else cell for cell in line] for line in lines[skipped:] if line]
    return header, kept


def _guessed_from_csv(header: list[str] | None, lines: Sequence[Sequence[str | None]]) -> Fields:
    if header is None:
        raise not_emulated("guessing the columns of a CSV file whose first line is not skipped")
    columns = [[line[place] for line in lines if place < len(line)] for place in range(len(header))]
    return [
        {"name": name, "type": _guessed_text_type([text for text in column if text]), "mode": "NULLABLE"}
        if any(column)
        else {"name": name, "type": "STRING", "mode": "NULLABLE"}
        for name, column in zip(header, columns, strict=True)
    ]


def _csv_records(lines: Iterable[Sequence[str | None]], schema: Fields, load: Mapping[str, Any]) -> Iterable[Any]:
    for field in schema:
        if field["type"] == "RECORD" or field.get("mode") == "REPEATED":
            raise invalid(f"Error while reading data, error message: CSV cannot hold field {field['name']}")
    names = [field["name"] for field in schema]
    texts = {field["name"] for field in schema if field["type"] == "STRING"}
    jagged, marker = bool(load.get("allowJaggedRows")), load.get("nullMarker")
    for line in lines:
        if len(line) > len(names) and not load.get("ignoreUnknownValues"):
            yield BadValue("", f"Too many values in line. Found {len(line)} column(s) while expecting {len(names)}.")
            continue
        if len(line) < len(names) and not jagged:
            yield BadValue("", f"CSV table references column position {len(line)}, but line contains only {len(line)}.")
            continue
        record = dict(zip(names, line, strict=False))
        if not marker:
            record = {name: "" if cell is None and name in texts else cell for name, cell in record.items()}
        yield record
