"""The conditions and selectors of pipelines: what kfp's compiler writes of the Common Expression Language.

`inputs.parameter_values['x'] == 5 && !(int(inputs.parameter_values['y']) > 7)`, and
`parseJson(string_value)["a"][0]` (pipeline_spec.proto: TriggerPolicy.condition, parameter_expression_selector).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from operator import eq, ge, gt, le, lt, ne
from typing import Any, Final

from cloudmlops.emulators.core.faults import Refused

_TOKEN: Final = re.compile(
    r"""\s*(?:(?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(?P<number>\d+\.\d*(?:[eE][+-]?\d+)?|\.\d+|\d+)"""
    r"""|(?P<sign>&&|\|\||==|!=|<=|>=|[<>!()\[\].,-])|(?P<word>[A-Za-z_]\w*))"""
)
_COMPARE: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "==": eq,
    "!=": ne,
    "<": lt,
    "<=": le,
    ">": gt,
    ">=": ge,
}
_FUNCTIONS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "int": lambda value: int(float(value)) if isinstance(value, str) else int(value),
    "double": float,
    "bool": lambda value: value in (True, "true", "True", "1"),
    "string": lambda value: value if isinstance(value, str) else json.dumps(value),
    "parseJson": lambda value: json.loads(value) if isinstance(value, str) else value,
    "size": len,
}
_WORDS: Final[Mapping[str, Any]] = {"true": True, "false": False, "null": None}


def evaluate(text: str, names: Mapping[str, Any]) -> Any:
    """Return the value of an expression.

    Args:
        text: The expression.
        names: What stands outside of it, such as `{"inputs": {"parameter_values": {…}}}`.

    Raises:
        Refused: It is not understood, or does not fit the values.
    """
    try:
        return _Expression(text, names).value()
    except (ValueError, TypeError, KeyError, IndexError) as error:
        what = f"there is no {error}" if isinstance(error, KeyError) else str(error)
        raise Refused("INVALID_ARGUMENT", f"The expression {text!r} cannot be evaluated: {what}.") from error


class _Expression:
    def __init__(self, text: str, names: Mapping[str, Any]) -> None:
        self._names = names
        self._tokens: list[tuple[str, str]] = []
        end, text = 0, text.rstrip()
        while end < len(text):
            found = _TOKEN.match(text, end)
            if found is None:
                raise ValueError(f"{text[end:]!r} is not understood")
            self._tokens.append((str(found.lastgroup), found[str(found.lastgroup)]))
            end = found.end()

    def value(self) -> Any:
        value = self._either()
        if self._tokens:
            raise ValueError(f"{self._tokens[0][1]!r} is not expected")
        return value

    def _either(self) -> Any:
        value = self._both()
        while self._took("||"):
            other = self._both()
            value = value or other
        return value

    def _both(self) -> Any:
        value = self._compared()
        while self._took("&&"):
            other = self._compared()
            value = value and other
        return value

    def _compared(self) -> Any:
        value = self._single()
        for sign, compare in _COMPARE.items():
            if self._took(sign):
                return compare(value, self._single())
        return value

    def _single(self) -> Any:
        if self._took("!"):
            return not self._single()
        if self._took("-"):
            return -self._single()
        return self._reached(self._atom())

    def _atom(self) -> Any:
        if self._took("("):
            value = self._either()
            self._expect(")")
            return value
        kind, text = self._next()
        if kind == "text":
            return re.sub(r"\\(.)", r"\1", text[1:-1])
        if kind == "number":
            return float(text) if re.search(r"[.eE]", text) else int(text)
        if kind != "word":
            raise ValueError(f"{text!r} is not expected")
        if text in _FUNCTIONS and self._took("("):
            value = self._either()
            self._expect(")")
            return _FUNCTIONS[text](value)
        return _WORDS[text] if text in _WORDS else self._names[text]

    def _reached(self, value: Any) -> Any:
        while True:
            if self._took("["):
                value = value[self._either()]
                self._expect("]")
            elif self._took("."):
                value = value[self._next()[1]]
            else:
                return value

    def _next(self) -> tuple[str, str]:
        if not self._tokens:
            raise ValueError("it ends too early")
        return self._tokens.pop(0)

    def _took(self, sign: str) -> bool:
        if self._tokens and self._tokens[0] == ("sign", sign):
            self._tokens.pop(0)
            return True
        return False

    def _expect(self, sign: str) -> None:
        if not self._took(sign):
            raise ValueError(f"{sign!r} is missing")
