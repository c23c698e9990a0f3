"""Rows of an Arrow table as the JSON that the service answers with, made column by column."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from cloudmlops.emulators.google.bigquery.fields import Field

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def rows_json(rows: pa.Table, fields: Sequence[Field], *, as_microseconds: bool) -> str:
    """Return the JSON array of `rows`.

    Args:
        rows: (n, k).
        fields: The k columns' types.
        as_microseconds: Whether a TIMESTAMP is written as an integer, else as seconds with a fraction.
    """
    if not rows.num_rows:
        return "[]"
    columns = [_column(rows.column(place), field, as_microseconds) for place, field in enumerate(fields)]
    return "[" + ",".join('{"f":[' + ",".join(cells) + "]}" for cells in zip(*columns, strict=True)) + "]"


def _column(values: pa.ChunkedArray, field: Field, as_microseconds: bool) -> list[str]:
    """Return each value's cell, as JSON."""
    if field.get("mode") != "REPEATED":
        if field["type"] in {"INTEGER", "BOOLEAN"}:
            return _quoted(values.cast(pa.string()))
        if field["type"] == "TIMESTAMP" and as_microseconds:
            return _quoted(pc.cast(values.cast(pa.timestamp("us", tz="UTC")), pa.int64()).cast(pa.string()))
        if field["type"] in {"DATE", "DATETIME", "TIME"} and not pa.types.is_nested(values.type):
            return [_cell(None if value is None else value.isoformat()) for value in values.to_pylist()]
    encode = _encoder(field, as_microseconds)
    return [_cell(encode(value)) for value in values.to_pylist()]


def _quoted(texts: pa.ChunkedArray) -> list[str]:
    return ['{"v":null}' if text is None else f'{{"v":"{text}"}}' for text in texts.to_pylist()]


def _cell(value: object) -> str:
    return '{"v":null}' if value is None else '{"v":' + json.dumps(value) + "}"


def _encoder(field: Field, as_microseconds: bool) -> Callable[[Any], Any]:
    if field.get("mode") == "REPEATED":
        inner = _encoder({**field, "mode": "NULLABLE"}, as_microseconds)
        return partial(_repeated, inner)
    if field["type"] == "RECORD":
        parts = [(part["name"], _encoder(part, as_microseconds)) for part in field["fields"]]
        return partial(_record, parts)
    if field["type"] == "TIMESTAMP":
        return _microseconds if as_microseconds else _seconds
    return _SCALARS[field["type"]]


def _repeated(inner: Callable[[Any], Any], values: Any) -> Any:
    return [{"v": inner(value)} for value in values or ()]


def _record(parts: Sequence[tuple[str, Callable[[Any], Any]]], value: Any) -> Any:
    return None if value is None else {"f": [{"v": encode(value[name])} for name, encode in parts]}


def _nullable(encode: Callable[[Any], str]) -> Callable[[Any], str | None]:
    return lambda value: None if value is None else encode(value)


def float_text(value: float) -> str:
    """A FLOAT64 as the service writes it."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return repr(value)


def _decimal_text(value: Decimal) -> str:
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _whole_microseconds(value: datetime) -> int:
    return (value - _EPOCH) // timedelta(microseconds=1)


_microseconds = _nullable(lambda value: str(_whole_microseconds(value)))
_seconds = _nullable(lambda value: repr(_whole_microseconds(value) / 1e6))

_SCALARS: dict[str, Callable[[Any], Any]] = {
    "INTEGER": _nullable(str),
    "FLOAT": _nullable(float_text),
    "STRING": lambda value: value,
    "JSON": lambda value: value,
    "BYTES": _nullable(lambda value: base64.b64encode(value).decode("ascii")),
    "BOOLEAN": _nullable(lambda value: "true" if value else "false"),
    "NUMERIC": _nullable(_decimal_text),
    "DATE": _nullable(lambda value: value.isoformat()),
    "DATETIME": _nullable(lambda value: value.isoformat()),
    "TIME": _nullable(lambda value: value.isoformat()),
}
