"""`filter`, `order_by` and pages of list methods (AIP-160, AIP-132, AIP-158)."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from functools import partial
from operator import eq, ge, gt, le, lt, ne
from typing import Any, Final, TypeVar

from google.protobuf.message import Message

from cloudmlops.emulators.core.faults import Refused

_MESSAGE = TypeVar("_MESSAGE", bound=Message)
Test = Callable[[Message], bool]
Functions = Mapping[str, Callable[[str], Test]]
"""By name, what a filter may call with one text, such as `in_context("…")`."""
_TOKEN: Final = re.compile(
    r"""\s*(?:(?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(?P<sign><=|>=|!=|[=<>:()])|(?P<word>[^\s"'()=<>!:]+))"""
)
_COMPARE: Final[dict[str, Callable[[Any, Any], bool]]] = {"=": eq, "!=": ne, "<": lt, ">": gt, "<=": le, ">=": ge}
_DEFAULT_PAGE: Final = 100
_LARGEST_PAGE: Final = 1000


def page(
    found: Sequence[_MESSAGE], request: Any, *, page_size: int = _DEFAULT_PAGE, functions: Functions | None = None
) -> tuple[list[_MESSAGE], str]:
    """Filter, order and cut what was found, as a list method's request asks.

    Returns:
        This page, and the token of the next; the token is empty on the last.

    Raises:
        Refused: Filter, order, size or token are not understood, or the token is of another question.
    """
    asked = {field.name for field in request.DESCRIPTOR.fields}
    test = _test(request.filter, functions or {}) if "filter" in asked else _always
    wanted = [message for message in found if test(message)]
    if "order_by" in asked and request.order_by:
        wanted = ordered(wanted, request.order_by)
    if request.page_size < 0:
        raise Refused("INVALID_ARGUMENT", f"The page size {request.page_size} is negative.")
    question = _question(request)
    start = _start(request.page_token, question)
    size = min(request.page_size or page_size, _LARGEST_PAGE)
    end = start + size
    if end >= len(wanted):
        return wanted[start:end], ""
    token = json.dumps({"start": end, "question": question})
    return wanted[start:end], base64.urlsafe_b64encode(token.encode()).decode()


def matches(text: str, message: Message) -> bool:
    """Say whether a message passes a filter."""
    return _test(text, {})(message)


def ordered(found: Sequence[_MESSAGE], order_by: str) -> list[_MESSAGE]:
    """Sort by fields such as `create_time desc, display_name`."""
    result = list(found)
    for part in reversed(order_by.split(",")):
        path, _, direction = part.strip().partition(" ")
        direction = direction.strip().lower()
        if direction not in ("", "asc", "desc"):
            raise Refused("INVALID_ARGUMENT", f"Invalid order_by: {order_by}")
        result.sort(key=partial(_sortable, path), reverse=direction == "desc")
    return result


def _test(text: str, functions: Functions) -> Test:
    return _Parser(text, functions).parsed() if text.strip() else _always


def _always(_: Message) -> bool:
    return True


def _question(request: Any) -> str:
    """Return what tells one question from another; how large its pages are, and which is wanted, may change."""
    asked = type(request).FromString(request.SerializeToString())
    asked.ClearField("page_token")
    asked.ClearField("page_size")
    return hashlib.sha256(asked.SerializeToString(deterministic=True)).hexdigest()[:16]


def _start(token: str, question: str) -> int:
    if not token:
        return 0
    try:
        read = json.loads(base64.urlsafe_b64decode(token))
        start, of = int(read["start"]), read["question"]
    except (ValueError, KeyError, TypeError) as error:
        raise Refused("INVALID_ARGUMENT", "The page token is invalid.") from error
    if of != question:
        raise Refused("INVALID_ARGUMENT", "The page token is of a request with another parent, filter or order.")
    return start


def _sortable(path: str, message: Message) -> tuple[bool, Any]:
    values = _values(message, path)
    return (True, values[0]) if values else (False, "")


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
            values = _values(message, path)
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
    values = _values(message, f"{path}.{wanted}", missing_is_fault=False)
    if values:
        return True
    found = _values(message, path, missing_is_fault=False)
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


def _values(message: Any, path: str, *, missing_is_fault: bool = True) -> list[Any]:
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
        return [found for one in inner for found in _values(one, rest, missing_is_fault=missing_is_fault)]
    values = list(value) if field.is_repeated else [value]
    if field.enum_type is not None:
        return [field.enum_type.values_by_number[number].name for number in values]
    return values
