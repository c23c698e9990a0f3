"""The query language of Cloud Logging, as far as comparisons go."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from cloudmlops.emulators.core.faults import Refused

Matches = Callable[[Mapping[str, Any]], bool]
SEVERITIES: Final = ("DEFAULT", "DEBUG", "INFO", "NOTICE", "WARNING", "ERROR", "CRITICAL", "ALERT", "EMERGENCY")
_TIMES: Final = frozenset({"timestamp", "receiveTimestamp"})
_TOKEN: Final = re.compile(
    r"""\s*(?:--[^\n]*\n?\s*)*(?:
        (?P<operator>=~|!~|>=|<=|!=|[=:<>])
      | (?P<bracket>[()])
      | (?P<minus>-(?=[\w"(]))
      | (?P<word>(?:"(?:[^"\\]|\\.)*"|[^\s=!<>:()"])+)
    )""",
    re.VERBOSE,
)


def compiled(text: str) -> Matches:
    """Return what says whether an entry matches; the empty text matches all.

    Raises:
        Refused: The text is none of the language's, or uses a function that is not emulated.
    """
    reader = _Reader(list(_tokens(text)), text)
    if reader.ended:
        return lambda _: True
    matches = reader.all_of()
    if not reader.ended:
        raise reader.unreadable()
    return matches


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    place = 0
    while text[place:].strip() and not re.fullmatch(r"\s*(--[^\n]*\n?\s*)*", text[place:]):
        found = _TOKEN.match(text, place)
        if found is None:
            raise Refused("INVALID_ARGUMENT", f"Unparseable filter: syntax error at column {place + 1} of {text!r}")
        place = found.end()
        yield str(found.lastgroup), found[str(found.lastgroup)]


class _Reader:
    """Reads with the language's precedence: NOT, then OR, then AND."""

    def __init__(self, tokens: list[tuple[str, str]], text: str) -> None:
        self._tokens = tokens
        self._text = text
        self._place = 0

    @property
    def ended(self) -> bool:
        return self._place >= len(self._tokens)

    def unreadable(self) -> Refused:
        return Refused("INVALID_ARGUMENT", f"Unparseable filter: {self._text!r}")

    def all_of(self) -> Matches:
        parts = [self._any_of()]
        while not self.ended and self._next() != ("bracket", ")"):
            self._skip("AND")
            parts.append(self._any_of())
        return lambda entry: all(part(entry) for part in parts)

    def _any_of(self) -> Matches:
        parts = [self._one()]
        while self._skip("OR"):
            parts.append(self._one())
        return lambda entry: any(part(entry) for part in parts)

    def _one(self) -> Matches:
        if self._skip("NOT") or self._skip("-"):
            inner = self._one()
            return lambda entry: not inner(entry)
        kind, text = self._take()
        if (kind, text) == ("bracket", "("):
            inner = self.all_of()
            if self._take() != ("bracket", ")"):
                raise self.unreadable()
            return inner
        if kind != "word" or text in ("AND", "OR"):
            raise self.unreadable()
        if not self.ended and self._next() == ("bracket", "("):
            return self._function(text)
        if self.ended or self._next()[0] != "operator":
            wanted = _plain(text).lower()
            return lambda entry: any(wanted in str(leaf).lower() for leaf in _leaves(entry))
        operator = self._take()[1]
        return _comparison(text, operator, self._values())

    def _values(self) -> Callable[[Callable[[str], bool]], bool]:
        """Read a value, or some in brackets: `("a" OR "b")`; returns what asks whether they hold."""
        kind, text = self._take()
        if kind == "minus":
            text = f"-{self._take()[1]}"
        elif (kind, text) == ("bracket", "("):
            return self._several()
        elif kind != "word":
            raise self.unreadable()
        value = _plain(text)
        return lambda holds: holds(value)

    def _several(self) -> Callable[[Callable[[str], bool]], bool]:
        first = self._values()
        parts, joint = [first], ""
        while self._next() != ("bracket", ")"):
            word = self._take()[1]
            if word not in ("OR", "AND") or joint not in ("", word):
                raise self.unreadable()
            joint = word
            parts.append(self._values())
        self._take()
        fold = all if joint == "AND" else any
        return lambda holds: fold(part(holds) for part in parts)

    def _function(self, name: str) -> Matches:
        if name != "log_id":
            raise Refused("UNIMPLEMENTED", f"The function {name}() of a log filter is not emulated.")
        self._take()
        wanted = _plain(self._take()[1]).replace("/", "%2F")
        if self._take() != ("bracket", ")"):
            raise self.unreadable()
        return lambda entry: str(entry.get("logName", "")).rpartition("/logs/")[2] == wanted

    def _next(self) -> tuple[str, str]:
        if self.ended:
            raise self.unreadable()
        return self._tokens[self._place]

    def _take(self) -> tuple[str, str]:
        taken = self._next()
        self._place += 1
        return taken

    def _skip(self, word: str) -> bool:
        if not self.ended and self._tokens[self._place][1] == word:
            self._place += 1
            return True
        return False


def _comparison(path: str, operator: str, values: Callable[[Callable[[str], bool]], bool]) -> Matches:
    names = [_plain(part) for part in re.findall(r'"(?:[^"\\]|\\.)*"|[^."]+', path)]
    if operator in ("!=", "!~"):
        positive = _comparison(path, "=" if operator == "!=" else "=~", values)
        return lambda entry: not positive(entry)

    def matches(entry: Mapping[str, Any]) -> bool:
        found = list(_found(entry, names))
        return values(lambda wanted: any(_holds(names[0], value, operator, wanted) for value in found))

    return matches


def _holds(field: str, value: Any, operator: str, wanted: str) -> bool:
    if operator == "=~":
        return isinstance(value, str) and re.search(wanted, value) is not None
    if operator == ":":
        inner = (leaf for leaf in _leaves(value))
        return (
            wanted == "*"
            or any(wanted.lower() in str(leaf).lower() for leaf in inner)
            or (isinstance(value, Mapping) and wanted in value)
        )
    left, right = _ordered(field, value, wanted)
    if left is None:
        return False
    outcomes = {"=": left == right, "<": left < right, ">": left > right, "<=": left <= right, ">=": left >= right}
    return bool(outcomes[operator])


def _ordered(field: str, value: Any, wanted: str) -> tuple[Any, Any]:
    """Return both sides in a form that has an order; None where they cannot be compared."""
    if field == "severity":
        if wanted.upper() not in SEVERITIES:
            raise Refused("INVALID_ARGUMENT", f"Unparseable filter: {wanted!r} is no severity")
        return SEVERITIES.index(str(value)), SEVERITIES.index(wanted.upper())
    if field in _TIMES:
        try:
            return datetime.fromisoformat(str(value)), datetime.fromisoformat(wanted)
        except ValueError as error:
            raise Refused("INVALID_ARGUMENT", f"Unparseable filter: {wanted!r} is no timestamp") from error
    if isinstance(value, bool):
        return str(value).lower(), wanted.lower()
    if isinstance(value, int | float):
        try:
            return float(value), float(wanted)
        except ValueError:
            return None, None
    if isinstance(value, Mapping):
        return None, None
    return str(value).lower(), wanted.lower()


def _found(value: Any, names: list[str]) -> Iterator[Any]:
    if isinstance(value, list):
        for item in value:
            yield from _found(item, names)
    elif not names:
        yield value
    elif isinstance(value, Mapping):
        # A key may itself hold dots, such as a label's.
        for length in range(len(names), 0, -1):
            key = ".".join(names[:length])
            if key in value:
                yield from _found(value[key], names[length:])
                return


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        for inner in value.values():
            yield from _leaves(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner)
    else:
        yield value


def _plain(text: str) -> str:
    if text.startswith('"') and text.endswith('"') and len(text) > 1:
        return re.sub(r"\\(.)", r"\1", text[1:-1])
    return text
