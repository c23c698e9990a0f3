"""`filter` of list methods (AIP-160), and what a path of fields leads to."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from operator import eq, ge, gt, le, lt, ne
from typing import Any, Final

from google.protobuf.message import Message

from cloudmlops.emulators.core.faults import Refused

Test = Callable[[Message], bool]
Functions = Mapping[str, Callable[[str], Test]]
"""By name, what a filter may call with one text, such as `in_context("…")`."""
_TOKEN: Final = re.compile(
    r"""\s*(?:(?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(?P<sign><=|>=|!=|[=<>:()])|(?P<word>[^\s"'()=<>!:]+))"""
)
_COMPARE: Final[dict[str, Callable[[Any, Any], bool]]] = {"=": eq, "!=": ne, "<": lt, ">": gt, "<=": le, ">=": ge}


def test_of(text: str, functions: Functions) -> Test:
    """Return what says whether a message passes a filter; an empty one lets all pass.

    Raises:
        Refused: The filter is not understood.
    """
    return _Parser(text, functions).parsed() if text.strip() else _always


def values_of(message: Any, path: str, *, missing_is_fault: bool = True) -> list[Any]:
    """Return what a path such as `labels.stage` leads to; more than one through repeated fields."""
    first, _, rest = path.partition(".")
    descriptor = message.DESCRIPTOR
    field = descriptor.fields_by_name.get(first) or next((f for f in descriptor.fields if f.json_name == first), None)
    if field is None:
        if missing_is_fault:
            raise Refused("INVALID_ARGUMENT", f"Invalid filter or order: there is no field {path!r}")
        return []
    value = getattr(message, field.name)
    kind = field.message_type
    if kind is not None and kind.GetOptions().map_entry:
        key = rest.strip("\"'")
        return [value[key]] if key in value else list(value) if not rest else []
    if kind is not None and kind.full_name == "google.protobuf.Timestamp":
        return [value.ToDatetime(tzinfo=UTC)] if message.HasField(field.name) else []
    if kind is not None:
        inner = list(value) if field.is_repeated else [value] if message.HasField(field.name) else []
        if not rest:
            return inner
        return [found for one in inner for found in values_of(one, rest, missing_is_fault=missing_is_fault)]
    values = list(value) if field.is_repeated else [value]
    if field.enum_type is not None:
        return [field.enum_type.values_by_number[number].name for number in values]
    return values


def _always(_: Message) -> bool:
    return True


class _Parser:
    """Terms joined by AND (or nothing), OR, NOT, with parentheses."""

    def __init__(self, text: str, functions: Functions) -> None:
        self._text = text
        self._functions = functions
        self._tokens: list[tuple[str, str]] = []
        end = 0
        text = text.rstrip()
        while end < len(text):
            found = _TOKEN.match(text, end)
            if found is None:
                raise self._fault()
            self._tokens.append((str(found.lastgroup), found[str(found.lastgroup)]))
            end = found.end()
        self._next = 0

    def parsed(self) -> Test:
        test = self._all()
        if self._next != len(self._tokens):
            raise self._fault()
        return test

    def _all(self) -> Test:
        tests = [self._any()]
        while self._next < len(self._tokens) and self._peek() != ("sign", ")"):
            if self._peek() == ("word", "AND"):
                self._take()
            tests.append(self._any())
        return lambda message: all(test(message) for test in tests)

    def _any(self) -> Test:
        tests = [self._one()]
        while self._peek() == ("word", "OR"):
            self._take()
            tests.append(self._one())
        return lambda message: any(test(message) for test in tests)

    def _one(self) -> Test:
        kind, value = self._take()
        if (kind, value) == ("word", "NOT") or (kind == "word" and value == "-"):
            test = self._one()
            return lambda message: not test(message)
        if (kind, value) == ("sign", "("):
            inner = self._all()
            if self._take() != ("sign", ")"):
                raise self._fault()
            return inner
        if kind != "word":
            raise self._fault()
        if self._peek() == ("sign", "(") and value in self._functions:
            return self._called(self._functions[value])
        sign = self._take()
        if sign[0] != "sign" or sign[1] in "()":
            raise self._fault()
        wanted = self._take()
        if wanted[0] == "sign":
            raise self._fault()
        return self._term(value, sign[1], _unquoted(wanted))

    def _called(self, function: Callable[[str], Test]) -> Test:
        self._take()
        argument = self._take()
        if argument[0] == "sign" or self._take() != ("sign", ")"):
            raise self._fault()
        return function(_unquoted(argument))

    def _term(self, path: str, sign: str, wanted: str) -> Test:
        if sign == ":":
            return lambda message: _has(message, path, wanted)

        def test(message: Message) -> bool:
            values = values_of(message, path)
            if not values:
                return sign == "!="
            return any(_compared(value, sign, wanted) for value in values)

        return test

    def _peek(self) -> tuple[str, str]:
        return self._tokens[self._next] if self._next < len(self._tokens) else ("end", "")

    def _take(self) -> tuple[str, str]:
        token = self._peek()
        self._next += 1
        return token

    def _fault(self) -> Refused:
        return Refused("INVALID_ARGUMENT", f"Invalid filter: {self._text}")


def _unquoted(token: tuple[str, str]) -> str:
    kind, value = token
    return re.sub(r"\\(.)", r"\1", value[1:-1]) if kind == "text" else value


def _has(message: Message, path: str, wanted: str) -> bool:
    values = values_of(message, f"{path}.{wanted}", missing_is_fault=False)
    if values:
        return True
    found = values_of(message, path, missing_is_fault=False)
    return bool(found) if wanted == "*" else any(wanted in value for value in found if isinstance(value, str))


def _compared(value: Any, sign: str, wanted: str) -> bool:
    if isinstance(value, datetime):
        try:
            return _COMPARE[sign](value, datetime.fromisoformat(wanted))
        except (ValueError, TypeError) as error:
            raise Refused("INVALID_ARGUMENT", f"Invalid filter: {wanted!r} is not a timestamp") from error
    if isinstance(value, bool):
        return _COMPARE[sign](value, wanted.lower() == "true")
    if isinstance(value, int | float):
        try:
            return _COMPARE[sign](float(value), float(wanted))
        except ValueError as error:
            raise Refused("INVALID_ARGUMENT", f"Invalid filter: {wanted!r} is not a number") from error
    if sign in ("=", "!=") and "*" in wanted:
        return fnmatchcase(value, wanted) == (sign == "=")
    return _COMPARE[sign](value, wanted)
