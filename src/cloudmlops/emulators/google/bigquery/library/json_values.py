"""JSON: texts that hold it, and values of the type JSON, which are texts with sorted names and no spaces."""

from __future__ import annotations

import json
import math
import re
from functools import lru_cache
from typing import Any, Final

from cloudmlops.emulators.google.bigquery.library.typed_values import (
    Number,
    float_text,
    json_of,
    json_text_of,
    kind_of,
    quoted,
    read,
)

_MISSING: Final = object()
_STEP: Final = re.compile(
    r"""\.(?P<name>[^.\[\]"'\s]+)|\."(?P<quoted>(?:[^"\\]|\\.)*)"|\[(?P<place>\d+)\]|\['(?P<key>(?:[^'\\]|\\.)*)'\]"""
    r"""|\["(?P<word>(?:[^"\\]|\\.)*)"\]"""
)


def json_text(kind: str, value: str | None, pretty: bool | None) -> str | None:
    """TO_JSON_STRING."""
    if pretty is None:
        return None
    text = "".join(json_of(kind_of(kind), read(value), exact=False))
    return _spread(json.loads(text, parse_int=Number, parse_float=Number), "") if pretty else text


def _spread(value: Any, margin: str) -> str:
    inner = margin + "  "
    if isinstance(value, list) and value:
        return "[\n" + ",\n".join(inner + _spread(one, inner) for one in value) + f"\n{margin}]"
    if isinstance(value, dict) and value:
        parts = (f"{inner}{quoted(name)}: {_spread(one, inner)}" for name, one in value.items())
        return "{\n" + ",\n".join(parts) + f"\n{margin}}}"
    return json_text_of(value)


def json_document(kind: str, value: str | None, wide_as_text: bool | None) -> str | None:
    """TO_JSON."""
    if wide_as_text is None:
        return None
    if wide_as_text:
        raise ValueError("not emulated: TO_JSON with stringify_wide_numbers")
    text = "".join(json_of(kind_of(kind), read(value), exact=True))
    return _canonical(json.loads(text, parse_int=Number, parse_float=Number))


def _canonical(value: Any) -> str:
    """A value of the type JSON: names are sorted."""
    return json_text_of(_sorted(value))


def _sorted(value: Any) -> Any:
    if isinstance(value, list):
        return [_sorted(one) for one in value]
    if isinstance(value, dict):
        return {name: _sorted(value[name]) for name in sorted(value, key=str.encode)}
    return value


def parsed(text: str, mode: str) -> str:
    """PARSE_JSON."""

    def number(written: str) -> Number:
        if re.fullmatch(r"-?\d+", written) and -(2**63) <= int(written) < 2**64:
            return Number(int(written))
        value = float(written)
        if math.isinf(value) or (mode == "exact" and _significant(written) != _significant(repr(value))):
            raise ValueError(f"Input number: {written} cannot round-trip through string representation")
        made = float_text(value)
        return Number(made if re.search(r"[.e]", made) else f"{made}.0")

    try:
        value = json.loads(
            text,
            parse_int=number,
            parse_float=number,
            parse_constant=_no_constant,
            object_pairs_hook=_first_of_each,
        )
    except json.JSONDecodeError as error:
        raise ValueError(f"syntax error while parsing value: {error.msg}") from error
    return _canonical(value)


def _no_constant(word: str) -> Any:
    raise ValueError(f"syntax error while parsing value: {word}")


def _first_of_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object's members; of two with one name the first."""
    made: dict[str, Any] = {}
    for name, value in pairs:
        made.setdefault(name, value)
    return made


def _significant(written: str) -> tuple[str, int]:
    """A number's digits without zeros at either end, and the power of ten after them."""
    mantissa, _, exponent = written.lower().lstrip("-+").partition("e")
    whole, _, rest = mantissa.partition(".")
    digits = (whole + rest).lstrip("0")
    kept = digits.rstrip("0")
    return kept, (int(exponent or 0) - len(rest) + len(digits) - len(kept)) if kept else 0


@lru_cache(maxsize=256)
def _path(written: str) -> tuple[str | int, ...]:
    if not written.startswith("$"):
        raise ValueError(f"JSONPath must start with '$': {written}")
    steps: list[str | int] = []
    rest = written[1:]
    while rest:
        match = _STEP.match(rest)
        if match is None:
            raise ValueError(f"Invalid token in JSONPath at: {rest}")
        if match["place"] is not None:
            steps.append(int(match["place"]))
        else:
            name = next(match[group] for group in ("name", "quoted", "key", "word") if match[group] is not None)
            if "\\" in name:
                raise ValueError("not emulated: an escape in a JSON path")
            steps.append(name)
        rest = rest[match.end() :]
    return tuple(steps)


def _found(text: str, path: str) -> Any:
    """What is at a path; `_MISSING` if nothing is, or `text` is no JSON."""
    steps = _path(path)
    try:
        value = json.loads(
            text,
            parse_int=Number,
            parse_float=Number,
            parse_constant=_no_constant,
            object_pairs_hook=_first_of_each,
        )
    except ValueError:
        return _MISSING
    for step in steps:
        in_list = isinstance(step, int) and isinstance(value, list) and step < len(value)
        if not in_list and not (isinstance(step, str) and isinstance(value, dict) and step in value):
            return _MISSING
        value = value[step]
    return value


def queried(text: str, path: str) -> str | None:
    """JSON_QUERY of a STRING: NULL where nothing is, or null."""
    value = _found(text, path)
    return None if value is _MISSING or value is None else json_text_of(value)


def queried_document(text: str, path: str) -> str | None:
    """JSON_QUERY of JSON: NULL where nothing is."""
    value = _found(text, path)
    return None if value is _MISSING else json_text_of(value)


def scalar(text: str, path: str) -> str | None:
    """JSON_VALUE: NULL for what is no scalar."""
    return _scalar_text(_found(text, path))


def _scalar_text(value: Any) -> str | None:
    if value is True or value is False:
        return "true" if value else "false"
    return str(value) if isinstance(value, str) else None


def queried_array(text: str, path: str) -> list[str] | None:
    """JSON_QUERY_ARRAY."""
    value = _found(text, path)
    return [json_text_of(one) for one in value] if isinstance(value, list) else None


def scalar_array(text: str, path: str) -> list[str | None] | None:
    """JSON_VALUE_ARRAY: NULL if a member is no scalar."""
    value = _found(text, path)
    if not isinstance(value, list) or any(isinstance(one, (list, dict)) for one in value):
        return None
    return [_scalar_text(one) for one in value]


def type_name(text: str) -> str:
    """JSON_TYPE."""
    value = read(text)
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, str):
        return "number" if isinstance(value, Number) else "string"
    return "array" if isinstance(value, list) else "object"


def _unfit(expected: str) -> ValueError:
    return ValueError(f"The provided JSON input is not {expected}")


def as_int64(text: str) -> int:
    """INT64 of JSON."""
    value = read(text)
    if not isinstance(value, Number):
        raise _unfit("an integer")
    number = int(value) if re.fullmatch(r"-?\d+", value) else float(value)
    if number != int(number):
        raise ValueError(f"The provided JSON number: {value} cannot be converted to an integer")
    if not -(2**63) <= int(number) < 2**63:
        raise ValueError(f"The provided JSON number: {value} cannot be converted to an integer")
    return int(number)


def as_float64(text: str) -> float:
    """FLOAT64 of JSON, without a loss."""
    value = read(text)
    if not isinstance(value, Number):
        raise _unfit("a number")
    if re.fullmatch(r"-?\d+", value) and int(float(value)) != int(value):
        raise ValueError(f"JSON number: {value} cannot be converted to DOUBLE without loss of precision")
    return float(value)


def as_bool(text: str) -> bool:
    """BOOL of JSON."""
    value = read(text)
    if not isinstance(value, bool):
        raise _unfit("a boolean")
    return value


def as_string(text: str) -> str:
    """STRING of JSON."""
    value = read(text)
    if not isinstance(value, str) or isinstance(value, Number):
        raise _unfit("a string")
    return value
