"""`filter` of list methods (AIP-160)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from operator import eq, ge, gt, le, lt, ne
from typing import Any, Final

from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct

from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.google.aiplatform.paths import Found, field_of, found_at, parts_of

Test = Callable[[Message], bool]
Functions = Mapping[str, Callable[[str], Test]]
"""By name, what a filter may call with one text, such as `in_context("…")`."""
_QUOTED: Final = r"""(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')"""
_TIME: Final = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)"
_TOKEN: Final = re.compile(
    rf"""\s*(?:(?P<text>{_QUOTED})|(?P<sign><=|>=|!=|=~|[=<>:()])|(?P<word>{_TIME}|(?:[^\s"'()=<>!:]|(?<=\.){_QUOTED})+))"""
)
_UNKNOWN_HERE: Final[Mapping[str, frozenset[str]]] = {
    "BatchPredictionJob": frozenset({"model_display_name"}),
    "Context": frozenset({"child_contexts"}),
    "Endpoint": frozenset({"base_model_name"}),
    "Model": frozenset({"base_model_name"}),
    "PipelineJob": frozenset({"pipeline_name", "pipeline_job_user_id"}),
}
"""By message, what Google's documentation filters by although it is no field."""
_COMPARE: Final[dict[str, Callable[[Any, Any], bool]]] = {"=": eq, "!=": ne, "<": lt, ">": gt, "<=": le, ">=": ge}


def test_of(text: str, functions: Functions, kind: type[Message]) -> Test:
    """Return what says whether a message of a kind passes a filter; an empty one lets all pass.

    Raises:
        Refused: The filter is not understood, or names a field that the kind has not.
    """
    if not text.strip():
        return _always
    parser = _Parser(text, functions)
    test = parser.parsed()
    for parts in parser.paths:
        _reached(kind(), parts)
    return test


def _always(_: Message) -> bool:
    return True


class _Parser:
    """Terms joined by AND (or nothing), OR, NOT, with parentheses."""

    def __init__(self, text: str, functions: Functions) -> None:
        self._text = text
        self._functions = functions
        self.paths: list[tuple[str, ...]] = []
        """Of the fields that were read."""
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
        if self._peek() == ("sign", "=~") or (value == "regex" and self._peek() == ("sign", "(")):
            raise Refused("UNIMPLEMENTED", f"A filter by regular expression is not emulated: {self._text}")
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
        parts = parts_of(path)
        self.paths.append(parts)
        if sign == ":":
            return lambda message: _has(message, parts, wanted)

        def test(message: Message) -> bool:
            values = [found.value for found in _reached(message, parts)]
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


def _reached(message: Any, parts: Sequence[str]) -> list[Found]:
    """Return what a path leads to, or the id that `model` is of a Model, `endpoint` of an Endpoint, and so on."""
    kind, asked = message.DESCRIPTOR.name, _snake(parts[0])
    if len(parts) == 1 and field_of(message, asked) is None:
        if asked == _snake(kind):
            return [Found(message.name.rpartition("/")[2].partition("@")[0])]
        if asked in _UNKNOWN_HERE.get(kind, ()):
            raise Refused("UNIMPLEMENTED", f"A filter of {kind} by {asked} is not emulated.")
    return found_at(message, parts)


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def _has(message: Message, parts: Sequence[str], wanted: str) -> bool:
    found = _reached(message, parts)
    if wanted == "*":
        return any(one.given for one in found)
    return any(_holds(one, parts, wanted) for one in found)


def _holds(found: Found, parts: Sequence[str], wanted: str) -> bool:
    if isinstance(found.value, Struct):
        return wanted in found.value.fields
    if isinstance(found.value, str) and not found.member and len(parts) == 1 and "*" not in wanted:
        told = f"A filter of a text by ':' without '*' is not emulated: {parts[0]}:{wanted}"
        raise Refused("UNIMPLEMENTED", told)
    return _compared(found.value, "=", wanted)


def _compared(value: Any, sign: str, wanted: str) -> bool:
    if isinstance(value, datetime):
        try:
            return _COMPARE[sign](value, datetime.fromisoformat(wanted))
        except (ValueError, TypeError) as error:
            raise Refused("INVALID_ARGUMENT", f"Invalid filter: {wanted!r} is not a timestamp") from error
    if isinstance(value, bool):
        if wanted.lower() not in ("true", "false"):
            raise Refused("INVALID_ARGUMENT", f"Invalid filter: {wanted!r} is neither true nor false")
        return _COMPARE[sign](value, wanted.lower() == "true")
    if isinstance(value, int | float):
        try:
            return _COMPARE[sign](float(value), float(wanted))
        except ValueError as error:
            raise Refused("INVALID_ARGUMENT", f"Invalid filter: {wanted!r} is not a number") from error
    if not isinstance(value, str):
        raise Refused("INVALID_ARGUMENT", f"Invalid filter: nothing is compared with {wanted!r} there")
    if sign in ("=", "!=") and "*" in wanted:
        pattern = ".*".join(re.escape(part) for part in wanted.split("*"))
        return (re.fullmatch(pattern, value, re.DOTALL) is not None) == (sign == "=")
    return _COMPARE[sign](value, wanted)
