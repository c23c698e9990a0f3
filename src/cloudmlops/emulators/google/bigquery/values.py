"""Values from JSON or CSV, as the columns' types take them."""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any, Final

from cloudmlops.emulators.google.bigquery.fields import Field

_INT: Final = re.compile(r"[+-]?\d+")
_WHEN: Final = re.compile(
    r"(\d{4})-(\d{1,2})-(\d{1,2})"
    r"(?:[ Tt](\d{1,2}):(\d{2})(?::(\d{2})(?:\.(\d{1,9}))?)?)?"
    r"\s?(UTC|[Zz]|[+-]\d{1,2}(?::?\d{2})?)?"
)
_TIME: Final = re.compile(r"(\d{1,2}):(\d{2}):(\d{2})(?:\.(\d{1,6}))?")
_TRUTH: Final = {"true": True, "t": True, "1": True, "false": False, "f": False, "0": False}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class BadValue(ValueError):  # noqa: N818 a fault of a row
    """A value that its column does not take."""

    def __init__(self, at: str, message: str) -> None:
        super().__init__(message)
        self.at = at


def row_values(
    row: Mapping[str, Any], fields: Sequence[Field], *, ignore_unknown: bool, at: str = ""
) -> dict[str, Any]:
    """Return a row's values by column, for Arrow.

    Raises:
        BadValue: A value does not fit, a required one is missing, or a column is unknown.
    """
    named = {field["name"].lower(): field for field in fields}
    if not ignore_unknown:
        for name in row:
            if name.lower() not in named:
                raise BadValue(f"{at}{name}", f"no such field: {at}{name}.")
    given = {name.lower(): value for name, value in row.items()}
    return {
        field["name"]: value_of(given.get(key), field, ignore_unknown=ignore_unknown, at=at)
        for key, field in named.items()
    }


def value_of(value: Any, field: Field, *, ignore_unknown: bool = False, at: str = "") -> Any:
    """Return a value as its column's type has it.

    Raises:
        BadValue: It does not fit.
    """
    name = f"{at}{field['name']}"
    if field.get("mode") == "REPEATED":
        if value is None:
            return []
        if not isinstance(value, list):
            raise BadValue(name, f"{name} is no array")
        inner = {**field, "mode": "REQUIRED"}
        return [value_of(item, inner, ignore_unknown=ignore_unknown, at=at) for item in value]
    if value is None:
        if field.get("mode") == "REQUIRED":
            raise BadValue(name, f"Missing required field: {name}.")
        return None
    if field["type"] == "RECORD":
        if not isinstance(value, dict):
            raise BadValue(name, f"This field: {name} is not a record.")
        return row_values(value, field["fields"], ignore_unknown=ignore_unknown, at=f"{name}.")
    if field["type"] == "JSON":
        return json.dumps(json.loads(value) if isinstance(value, str) else value, separators=(",", ":"))
    if isinstance(value, (list, dict)):
        raise BadValue(name, f"Array specified for non-repeated field: {name}.")
    try:
        return scalar(value, field["type"])
    except (ValueError, InvalidOperation, OverflowError, binascii.Error) as error:
        raise BadValue(name, f"Could not convert value {value!r} to {field['type'].lower()}. Field: {name}") from error


def scalar(value: Any, kind: str) -> Any:
    """Return one value as its type has it.

    Raises:
        ValueError: It does not fit.
    """
    if kind == "STRING":
        return value if isinstance(value, str) else json.dumps(value)
    if kind == "BOOLEAN":
        return _TRUTH[str(value).lower()] if str(value).lower() in _TRUTH else _refuse(value)
    if isinstance(value, bool):
        return _refuse(value)
    text = str(value).strip()
    if kind == "INTEGER":
        return _integer(value, text)
    if kind == "FLOAT":
        return float(text) if "_" not in text else _refuse(value)
    if kind == "NUMERIC":
        return Decimal(text).quantize(Decimal("1e-9"), rounding=ROUND_HALF_UP)
    if kind == "BYTES":
        return base64.b64decode(text, validate=True)
    if kind == "TIMESTAMP":
        return timestamp(value, text)
    if kind == "DATETIME":
        moment, zone = _moment(text)
        return moment if zone is None else _refuse(value)
    if kind == "DATE":
        moment, zone = _moment(text)
        return moment.date() if zone is None and len(text) <= len("2020-01-01") else _refuse(value)
    return _time(text)


def timestamp(value: Any, text: str) -> datetime:
    """Read a TIMESTAMP: a text, or seconds since 1970."""
    if isinstance(value, (int, float)) or re.fullmatch(r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?", text):
        microseconds = Decimal(text) * 1_000_000
        return _EPOCH + timedelta(microseconds=int(microseconds))
    moment, zone = _moment(text)
    return moment.replace(tzinfo=zone or UTC).astimezone(UTC)


def _integer(value: Any, text: str) -> int:
    if isinstance(value, float) and value.is_integer():
        number = int(value)
    elif _INT.fullmatch(text):
        number = int(text)
    else:
        return int(_refuse(value))
    return number if -(2**63) <= number < 2**63 else int(_refuse(value))


def _moment(text: str) -> tuple[datetime, timezone | None]:
    match = _WHEN.fullmatch(text)
    if match is None:
        raise ValueError(text)
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    moment = datetime(  # noqa: DTZ001 its zone comes beside it
        int(year),
        int(month),
        int(day),
        int(hour or 0),
        int(minute or 0),
        int(second or 0),
        int(((fraction or "") + "000000")[:6]),
    )
    return moment, _zone(zone)


def _zone(text: str | None) -> timezone | None:
    if text is None:
        return None
    if text.upper() in {"UTC", "Z"}:
        return UTC
    sign = -1 if text[0] == "-" else 1
    digits = text[1:].replace(":", "")
    hours, minutes = (digits, "0") if len(digits) <= 2 else (digits[:-2], digits[-2:])
    return timezone(sign * timedelta(hours=int(hours), minutes=int(minutes)))


def _time(text: str) -> time:
    match = _TIME.fullmatch(text)
    if match is None:
        raise ValueError(text)
    hour, minute, second, fraction = match.groups()
    return time(int(hour), int(minute), int(second), int(((fraction or "") + "000000")[:6]))


def _refuse(value: Any) -> Any:
    raise ValueError(str(value))


def is_finite_text(text: str) -> bool:
    """Whether a text is a plain number, for guessing the types of CSV columns."""
    try:
        return math.isfinite(float(text)) and "_" not in text
    except ValueError:
        return False


def is_date(text: str) -> bool:
    """Whether a text is a date, for guessing."""
    try:
        return isinstance(scalar(text, "DATE"), date)
    except ValueError:
        return False


def is_moment(text: str) -> bool:
    """Whether a text is a point in time, for guessing."""
    if not re.match(r"\d{4}-\d", text):
        return False
    try:
        timestamp(text, text)
    except ValueError:
        return False
    return True
