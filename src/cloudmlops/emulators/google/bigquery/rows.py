"""A table's rows over HTTP: listing and streaming inserts."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import pyarrow as pa

from cloudmlops.emulators.core.answering import Answer, Asked, answer_json
from cloudmlops.emulators.core.clock import Clock
from cloudmlops.emulators.google.bigquery.callers import Caller
from cloudmlops.emulators.google.bigquery.catalog import Catalog, fields_of
from cloudmlops.emulators.google.bigquery.cells import rows_json
from cloudmlops.emulators.google.bigquery.fields import arrow_type, quoted
from cloudmlops.emulators.google.bigquery.names import TableName
from cloudmlops.emulators.google.bigquery.paging import flag, number
from cloudmlops.emulators.google.bigquery.refusals import invalid, not_emulated
from cloudmlops.emulators.google.bigquery.values import BadValue, row_values
from cloudmlops.emulators.google.bigquery.warehouse import count, fill_arrays, insert, place

REMEMBERED: Final = timedelta(minutes=1)
"""How long the id of a streamed row keeps it from being inserted again."""

_MOST: Final = 50_000
_ROW: Final = "__ROOT__row"
"""No column of a user is called so: BigQuery keeps the prefix to itself."""
"""Rows in one streamed insert; also in a page when no size is asked for."""


class Rows:
    """What `tabledata.*` does."""

    def __init__(self, catalog: Catalog, clock: Clock) -> None:
        self._catalog = catalog
        self._clock = clock
        self._inserted: OrderedDict[tuple[str, str], datetime] = OrderedDict()
        self._lock = threading.Lock()

    def listed(self, asked: Asked, path: Mapping[str, str], _: Caller) -> Answer:
        name = _name(path)
        table = self._catalog.table(name)
        if table["type"] != "TABLE":
            raise invalid(f"Cannot list a table of type {table['type']}.")
        fields = fields_of(table)
        if wanted := asked.query.get("selectedFields"):
            names = {part.strip().lower() for part in wanted.split(",")}
            if any("." in part for part in names):
                raise not_emulated("a part of a RECORD in selectedFields")
            fields = [field for field in fields if field["name"].lower() in names]
        # A page begins after the last row of the one before: rows that are deleted meanwhile hide no others.
        after = number(asked.query, "pageToken", -1)
        first = number(asked.query, "startIndex", 0) if after < 0 else 0
        most = number(asked.query, "maxResults", _MOST)
        with self._catalog.warehouse.reading() as cursor:
            total = count(cursor, place(name))
            columns = ", ".join([*(quoted(field["name"]) for field in fields), f"rowid AS {_ROW}"])
            found = cursor.sql(
                f"SELECT {columns} FROM {place(name)} WHERE rowid > {after} ORDER BY rowid "  # noqa: S608 quoted and numbers
                f"LIMIT {most + 1} OFFSET {first}"
            ).to_arrow_table()
        rows = found.slice(0, most)
        text = rows_json(
            rows.drop_columns([_ROW]), fields, as_microseconds=flag(asked.query, "formatOptions.useInt64Timestamp")
        )
        head = {"kind": "bigquery#tableDataList", "etag": "list", "totalRows": str(total)}
        if rows.num_rows and found.num_rows > rows.num_rows:
            head["pageToken"] = str(rows[_ROW][-1])
        return with_rows(head, text)

    def insert_all(self, asked: Asked, path: Mapping[str, str], _: Caller) -> Answer:
        name = _name(path)
        content = asked.json()
        if content.get("templateSuffix"):
            raise not_emulated("templateSuffix")
        rows = content.get("rows") or []
        if not rows:
            raise invalid("No rows present in the request.")
        if len(rows) > _MOST:
            raise invalid(f"Too many rows present in the request, limit: {_MOST} row count: {len(rows)}.")
        with self._catalog.warehouse.writing:
            errors = self._inserted_rows(name, rows, content)
        head = {"kind": "bigquery#tableDataInsertAllResponse"}
        return answer_json({**head, **({"insertErrors": errors} if errors else {})})

    def _inserted_rows(
        self, name: TableName, rows: Sequence[Mapping[str, Any]], content: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        """Add rows; return what is wrong with some, without which none, or the others, are added."""
        table = self._catalog.table(name)
        if table["type"] != "TABLE":
            raise invalid(f"Cannot add rows to a table of type {table['type']}.")
        fields = fields_of(table)
        good: list[tuple[str, dict[str, Any]]] = []
        errors: list[dict[str, Any]] = []
        for place_, row in enumerate(rows):
            try:
                values = row_values(
                    row.get("json", {}), fields, ignore_unknown=bool(content.get("ignoreUnknownValues"))
                )
                good.append((str(row.get("insertId") or ""), values))
            except BadValue as error:
                errors.append(_insert_error(place_, "invalid", error.at, str(error)))
        if errors and not content.get("skipInvalidRows"):
            bad = {error["index"] for error in errors}
            return errors + [_insert_error(other, "stopped", "", "") for other in range(len(rows)) if other not in bad]
        with self._catalog.warehouse.changing() as cursor:
            fresh = self._not_inserted(str(name), good)
            schema = pa.schema([pa.field(field["name"], arrow_type(field)) for field in fields])
            insert(cursor, place(name), pa.Table.from_pylist([values for _, values in fresh], schema=schema))
            fill_arrays(cursor, place(name), fields)
        with self._lock:
            self._inserted |= {(str(name), key): self._clock.now() for key, _ in fresh if key}
        self._catalog.touch(name)
        return errors

    def _not_inserted(self, table: str, rows: list[tuple[str, dict[str, Any]]]) -> list[tuple[str, dict[str, Any]]]:
        """Leave out rows whose id has come a moment ago."""
        with self._lock:
            oldest = self._clock.now() - REMEMBERED
            while self._inserted and next(iter(self._inserted.values())) < oldest:
                self._inserted.popitem(last=False)
            fresh: dict[str, tuple[str, dict[str, Any]]] = {}
            for place_, (key, values) in enumerate(rows):
                if not key or (table, key) not in self._inserted:
                    fresh.setdefault(key or f"\0{place_}", (key, values))
            return list(fresh.values())


def with_rows(head: Mapping[str, Any], rows: str) -> Answer:
    """An answer whose rows are JSON already."""
    return Answer(
        body=(json.dumps(head)[:-1] + ',"rows":' + rows + "}").encode(),
        headers={"content-type": "application/json; charset=UTF-8"},
    )


def _insert_error(index: int, reason: str, location: str, message: str) -> dict[str, Any]:
    return {
        "index": index,
        "errors": [{"reason": reason, "location": location, "debugInfo": "", "message": message}],
    }


def _name(path: Mapping[str, str]) -> TableName:
    return TableName.of({"datasetId": path["dataset"], "tableId": path["table"]}, project=path["project"])
