"""Values as DuckDB tells them in JSON, with their types; and how GoogleSQL writes them."""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

_FRACTION: Final = re.compile(r"\.(\d+)")
_ESCAPED: Final = re.compile(rb"\\x([0-9A-Fa-f]{2})")


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """A type of DuckDB."""

    name: str
    """`LIST`, `STRUCT`, or a scalar type."""
    element: Kind | None = None
    fields: tuple[tuple[str, Kind], ...] = ()


class Number(str):
    """A number of a JSON text as it is written there."""

    __slots__ = ()


def kind_of(written: str) -> Kind:
    """Read what DuckDB's `typeof` says."""
    kind, rest = _kind(written)
    if rest:
        raise ValueError(f"not emulated: type {written}")
    return kind


def _kind(text: str) -> tuple[Kind, str]:
    if text.startswith("STRUCT("):
        fields = []
        text = text[len("STRUCT(") :]
        while not text.startswith(")"):
            name, text = _name(text)
            inner, text = _kind(text.lstrip())
            fields.append((name, inner))
            text = text.removeprefix(",").lstrip() if text.startswith(",") else text
        kind, text = Kind(name="STRUCT", fields=tuple(fields)), text[1:]
    else:
        match = re.match(r'"?[A-Z0-9 _]+"?(\(\d+,\s?\d+\))?', text)
        if match is None:
            raise ValueError(f"not emulated: type {text}")
        kind, text = Kind(name=match[0].strip().strip('"')), text[match.end() :]
    while text.startswith("[]"):
        kind, text = Kind(name="LIST", element=kind), text[2:]
    return kind, text


def _name(text: str) -> tuple[str, str]:
    if not text.startswith('"'):
        name, _, rest = text.partition(" ")
        return name, rest
    end = 1
    while text[end] != '"' or text[end : end + 2] == '""':
        end += 2 if text[end] == '"' else 1
    return text[1:end].replace('""', '"'), text[end + 1 :]


def read(text: str | None) -> Any:
    """Read a value; numbers stay as they are written."""
    if text is None:
        return None
    return json.loads(text, parse_int=Number, parse_float=Number, parse_constant=Number)


def float_text(value: float) -> str:
    """A FLOAT64 as GoogleSQL converts it to a STRING: the fewest digits that are that number."""
    if math.isnan(value):
        return "nan"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    sign = "-" if math.copysign(1.0, value) < 0 else ""
    digits, power = _digits(repr(abs(value)))
    if value == 0:
        return sign + "0"
    if not -5 < power < 15:
        tail = f".{digits[1:]}" if len(digits) > 1 else ""
        return f"{sign}{digits[0]}{tail}e{'-' if power < 0 else '+'}{abs(power):02d}"
    if power < 0:
        return f"{sign}0.{'0' * (-power - 1)}{digits}"
    whole, rest = digits[: power + 1].ljust(power + 1, "0"), digits[power + 1 :]
    return sign + whole + (f".{rest}" if rest else "")


def _digits(text: str) -> tuple[str, int]:
    """The digits of a positive number, and the power of ten of the first."""
    mantissa, _, exponent = text.partition("e")
    whole, _, rest = mantissa.partition(".")
    digits = (whole + rest).lstrip("0")
    power = len(whole) - 1 if whole.strip("0") else -(len(rest) - len(rest.lstrip("0"))) - 1
    return digits.rstrip("0") or "0", power + int(exponent or 0)


def number_text(value: str) -> str:
    """A NUMERIC without zeros at its end."""
    return value.rstrip("0").rstrip(".") if "." in value else value


def bytes_of(text: str) -> bytes:
    """BYTES from DuckDB's text of them."""
    return _ESCAPED.sub(lambda match: binascii.unhexlify(match[1]), text.encode())


def moment_text(text: str) -> str:
    """A date or time whose fraction has 3 or 6 digits."""
    return _FRACTION.sub(lambda match: "." + match[1].ljust(3 if len(match[1]) <= 3 else 6, "0"), text)


def json_of(kind: Kind, value: Any, *, exact: bool) -> Iterator[str]:
    """Write a value as TO_JSON_STRING does, in pieces without spaces; `exact` writes wide numbers as TO_JSON does."""
    if value is None and kind.element is not None:
        # A table has no NULL arrays, but they are NULL here, where nothing was written; a query may have them.
        raise ValueError("not emulated: a NULL ARRAY, or one that was never written, in JSON")
    if value is None:
        yield "null"
    elif kind.element is not None:
        yield "["
        for place, member in enumerate(value):
            yield "," if place else ""
            yield from json_of(kind.element, member, exact=exact)
        yield "]"
    elif kind.fields:
        yield "{"
        for place, (name, inner) in enumerate(kind.fields):
            yield ("," if place else "") + quoted(name) + ":"
            yield from json_of(inner, value[name], exact=exact)
        yield "}"
    else:
        yield _scalar_json(kind.name, value, exact=exact)


def quoted(text: str) -> str:
    """A text in JSON."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _scalar_json(kind: str, value: Any, *, exact: bool) -> str:
    if kind == "BOOLEAN":
        return "true" if value else "false"
    if kind in {"BIGINT", "INTEGER"}:
        return str(value) if exact or abs(int(value)) <= 1 << 53 else quoted(str(value))
    if kind.startswith("DECIMAL"):
        text = number_text(value)
        fits = "." not in text and abs(int(text)) <= 1 << 53
        return text if exact or fits else quoted(text)
    if kind == "DOUBLE":
        number = float(value)
        if math.isfinite(number):
            return float_text(number)
        return '"NaN"' if math.isnan(number) else '"Infinity"' if number > 0 else '"-Infinity"'
    if kind in {"VARCHAR", "DATE"}:
        return quoted(value)
    if kind == "BLOB":
        return quoted(base64.b64encode(bytes_of(value)).decode("ascii"))
    if kind in {"TIME", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE"}:
        text = moment_text(value.removesuffix("+00")).replace(" ", "T")
        return quoted(text + ("Z" if kind.endswith("ZONE") else ""))
    if kind == "JSON":
        return json_text_of(value)
    raise ValueError(f"not emulated: {kind} in JSON")


def json_text_of(value: Any) -> str:
    """Write a read JSON value without spaces; numbers as they were written."""
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, list):
        return "[" + ",".join(map(json_text_of, value)) + "]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{quoted(name)}:{json_text_of(inner)}" for name, inner in value.items()) + "}"
    return json.dumps(value)
