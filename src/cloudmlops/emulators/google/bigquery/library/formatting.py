"""FORMAT, by its documented specifiers."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Any, Final

from cloudmlops.emulators.google.bigquery.library.typed_values import (
    Kind,
    bytes_of,
    float_text,
    json_text_of,
    kind_of,
    moment_text,
    number_text,
    read,
)

_SPECIFIER: Final = re.compile(
    r"%(?P<flags>[-+ #0']*)(?P<width>\*|\d+)?(?P<precision>\.(?:\*|-?\d*))?(?P<kind>.|$)", re.DOTALL
)
_INTEGERS: Final = frozenset({"BIGINT", "INTEGER", "HUGEINT"})
_TYPES: Final = {
    "BIGINT": "INT64",
    "INTEGER": "INT64",
    "DOUBLE": "FLOAT64",
    "VARCHAR": "STRING",
    "BLOB": "BYTES",
    "BOOLEAN": "BOOL",
    "TIMESTAMP": "DATETIME",
    "TIMESTAMP WITH TIME ZONE": "TIMESTAMP",
}
_GROUPS: Final = {"d": (3, ","), "o": (4, ","), "x": (4, ":"), "X": (4, ":")}
_ESCAPES: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\\": "\\\\"}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Argument:
    place: int
    kind: Kind
    value: Any


class _IsNull(Exception):  # noqa: N818 not a fault: the result is NULL
    """A NULL where a number or a text is formatted."""


def formatted(pattern: str | None, kinds: Sequence[str] | None, values: Sequence[str | None] | None) -> str | None:
    """Return FORMAT(pattern, …).

    Args:
        pattern: The format string.
        kinds: What DuckDB's `typeof` says of each argument.
        values: Each argument in JSON; None is NULL.

    Raises:
        ValueError: The arguments do not fit the format string.
    """
    if pattern is None:
        return None
    arguments = [
        _Argument(place=place, kind=kind_of(kind), value=read(value))
        for place, (kind, value) in enumerate(zip(kinds or (), values or (), strict=True))
    ]
    given = iter(arguments)
    made, end = [], 0
    try:
        for match in _SPECIFIER.finditer(pattern):
            made += [pattern[end : match.start()], _specified(match, given, pattern, len(arguments))]
            end = match.end()
    except _IsNull:
        return None
    if next(given, None) is not None:
        raise ValueError(f'Too many arguments to FORMAT for pattern "{pattern}"')
    return "".join(made) + pattern[end:]


def _specified(match: re.Match[str], given: Iterator[_Argument], pattern: str, count: int) -> str:
    kind = match["kind"]
    if kind == "%" and match[0] == "%%":
        return "%"
    if kind not in "diouxXfFeEgGspPtT" or not kind:
        raise ValueError(f'Invalid format specifier character "{kind}" in FORMAT string: "{pattern}"')

    def following() -> _Argument:
        found = next(given, None)
        if found is None:
            raise ValueError(f'Too few arguments to FORMAT for pattern "{pattern}"; Got {count + 1}')
        return found

    def written(text: str | None) -> int | None:
        if text != "*":
            return int(text) if text else None
        one = following()
        _check(one, "integer", one.kind.name in _INTEGERS)
        if one.value is None:
            raise _IsNull
        return int(one.value)

    flags = set(match["flags"])
    width = written(match["width"])
    precision = None
    if match["precision"] is not None:
        precision = written(match["precision"][1:]) or 0
    argument = following()
    if width is not None and width < 0:
        flags, width = flags | {"-"}, -width
    if precision is not None and precision < 0:
        precision = None
    if kind in "di":
        return _integer(argument, "d", flags, width, precision)
    if kind in "oxX":
        return _integer(argument, kind, flags, width, precision)
    if kind == "u":
        raise ValueError(_mistaken(argument, "UINT"))
    if kind in "fFeEgG":
        return _real(argument, kind, flags, width, precision)
    text = _text(argument, kind)
    text = text if precision is None else text[:precision]
    return _justified(text, flags, width)


def _mistaken(argument: _Argument, expected: str) -> str:
    name = _TYPES.get(argument.kind.name, argument.kind.name)
    return f"Invalid type for argument {argument.place + 2} to FORMAT; Expected {expected}; Got {name}"


def _check(argument: _Argument, expected: str, fits: bool) -> None:
    if not fits and argument.kind.name != "NULL":
        raise ValueError(_mistaken(argument, expected))


def _justified(text: str, flags: set[str], width: int | None) -> str:
    if width is None:
        return text
    return text.ljust(width) if "-" in flags else text.rjust(width)


def _signed(negative: bool, flags: set[str]) -> str:
    return "-" if negative else "+" if "+" in flags else " " if " " in flags else ""


def _padded(sign: str, digits: str, flags: set[str], width: int | None, *, zeros: bool) -> str:
    if zeros and width is not None and "-" not in flags:
        digits = digits.rjust(width - len(sign), "0")
    return _justified(sign + digits, flags, width)


def _integer(argument: _Argument, kind: str, flags: set[str], width: int | None, precision: int | None) -> str:
    _check(argument, "integer", argument.kind.name in _INTEGERS)
    if argument.value is None:
        raise _IsNull
    value = int(argument.value)
    if value < 0 and kind != "d":
        raise ValueError(
            f"Invalid value for argument {argument.place + 2} to FORMAT; Got negative value for unsigned specifier"
        )
    digits = format(abs(value), kind)
    if precision is not None:
        digits = "" if not precision and not value else digits.rjust(precision, "0")
    if "'" in flags:
        if precision is not None or ("0" in flags and width is not None):
            raise ValueError("not emulated: FORMAT with grouping and leading zeros")
        size, separator = _GROUPS[kind]
        first = len(digits) % size
        parts = [digits[:first]] if first else []
        digits = separator.join(parts + [digits[at : at + size] for at in range(first, len(digits), size)])
    sign = _signed(value < 0, flags) if kind == "d" else ""
    if "#" in flags and value and kind != "d":
        sign += {"o": "0", "x": "0x", "X": "0X"}[kind]
    return _padded(sign, digits, flags, width, zeros="0" in flags and precision is None)


def _real(argument: _Argument, kind: str, flags: set[str], width: int | None, precision: int | None) -> str:
    numeric = argument.kind.name.startswith("DECIMAL")
    _check(argument, "FLOAT64", argument.kind.name == "DOUBLE" or numeric)
    if argument.value is None:
        raise _IsNull
    if "'" in flags:
        raise ValueError("not emulated: FORMAT of a FLOAT64 with grouping")
    digits = 6 if precision is None else precision
    value: Any = Decimal(argument.value) if numeric else float(argument.value)
    if not math.isfinite(value):
        text = "nan" if math.isnan(value) else "inf"
        text = text.upper() if kind.isupper() else text
        return _justified(_signed(value < 0, flags) + text if text.lower() == "inf" else text, flags, width)
    if numeric and kind not in "fF":
        raise ValueError("not emulated: FORMAT of NUMERIC with %e and %g")
    if numeric:
        step = Decimal(1).scaleb(-digits)
        context = Context(prec=100 + digits, rounding=ROUND_HALF_UP)
        text = format(abs(value).quantize(step, context=context), "f")
    else:
        text = format(abs(value), f"{'#' if '#' in flags else ''}.{digits}{kind}")
    if numeric and "#" in flags and "." not in text:
        text += "."
    negative = value < 0 or (not numeric and math.copysign(1.0, value) < 0)
    return _padded(_signed(negative, flags), text, flags, width, zeros="0" in flags)


def _text(argument: _Argument, kind: str) -> str:
    name = argument.kind.name
    if kind in "tT":
        if argument.value is None and argument.kind.element is None:
            return "NULL"
        return "".join(_written(argument.kind, argument.value, literal=kind == "T"))
    if kind == "s":
        _check(argument, "STRING", name == "VARCHAR")
    else:
        _check(argument, "JSON", name == "JSON")
    if argument.value is None and name != "JSON":
        raise _IsNull
    if kind == "P":
        raise ValueError("not emulated: FORMAT with %P")
    return str(argument.value) if kind == "s" else json_text_of(argument.value)


def _written(kind: Kind, value: Any, *, literal: bool) -> Iterator[str]:
    """A value as %t writes it, or as %T does."""
    if value is None and kind.element is not None:
        raise ValueError("not emulated: FORMAT of a NULL ARRAY, or of one that was never written")
    if value is None and kind.name != "JSON":
        yield "NULL"
    elif kind.element is not None:
        yield "["
        for place, member in enumerate(value):
            yield ", " if place else ""
            yield from _written(kind.element, member, literal=literal)
        yield "]"
    elif kind.fields:
        yield "STRUCT(" if literal and len(kind.fields) == 1 else "("
        for place, (name, inner) in enumerate(kind.fields):
            yield ", " if place else ""
            yield from _written(inner, value[name], literal=literal)
        yield ")"
    else:
        yield _scalar(kind.name, value, literal=literal)


def _scalar(kind: str, value: Any, *, literal: bool) -> str:
    if kind in _INTEGERS:
        return str(value)
    if kind == "BOOLEAN":
        return "true" if value else "false"
    if kind == "VARCHAR":
        return _quoted(value) if literal else str(value)
    if kind == "DOUBLE":
        number = float(value)
        text = float_text(number)
        if not math.isfinite(number):
            return f'CAST("{text}" AS FLOAT64)' if literal else text
        return text if re.search(r"[.e]", text) else f"{text}.0"
    if kind.startswith("DECIMAL"):
        text = number_text(value)
        if "." not in text:
            raise ValueError("not emulated: FORMAT of a whole NUMERIC with %t and %T")
        return f'NUMERIC "{text}"' if literal else text
    if kind == "BLOB":
        data = bytes_of(value)
        if any(not 0x20 <= byte < 0x7F or byte in b"\\\"'" for byte in data):
            raise ValueError("not emulated: FORMAT of BYTES that are no plain text")
        return f'b"{data.decode()}"' if literal else data.decode()
    if kind in {"DATE", "TIME", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE"}:
        text = moment_text(value)
        return f'{_TYPES.get(kind, kind)} "{text}"' if literal else text
    if kind == "JSON":
        text = json_text_of(value)
        return f"JSON {_quoted(text)}" if literal else text
    raise ValueError(f"not emulated: FORMAT of {kind}")


def _quoted(text: str) -> str:
    """A literal of a STRING; in single quotes if it has double ones alone."""
    mark = "'" if '"' in text and "'" not in text else '"'
    made = []
    for letter in text:
        if letter in _ESCAPES:
            made.append(_ESCAPES[letter])
        elif letter == mark:
            made.append("\\" + letter)
        elif letter < " " or letter == "\x7f":
            made.append(f"\\x{ord(letter):02x}")
        else:
            made.append(letter)
    return mark + "".join(made) + mark
