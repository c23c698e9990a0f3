"""Filters of searches: comparisons joined by AND, and in which order what is found comes.

What may be compared how, and that runs are not ordered by metrics, parameters or tags, follows learn.microsoft.com,
"Query & compare experiments and runs with MLflow", its support matrix.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cloudmlops.emulators.azure.tracking.calls import invalid
from cloudmlops.emulators.core.faults import Refused

_KINDS: Final = {
    "metric": "metrics",
    "metrics": "metrics",
    "param": "params",
    "params": "params",
    "parameter": "params",
    "parameters": "params",
    "tag": "tags",
    "tags": "tags",
    "attribute": "attributes",
    "attributes": "attributes",
    "attr": "attributes",
    "run": "attributes",
}
_CLAUSE: Final = re.compile(
    r"""\s*(?:(?P<kind>\w+)\.(?=[^\s=<>!]))?(?P<key>`[^`]+`|"[^"]+"|[\w.\-/]+)
    \s*(?P<operator>!=|>=|<=|=|>|<|\b(?:NOT\s+IN|IN|ILIKE|LIKE)\b)
    \s*(?P<value>'(?:[^']|'')*'|"[^"]*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|\((?:[^()]*)\))\s*""",
    re.VERBOSE | re.IGNORECASE,
)
_AND: Final = re.compile(r"AND\b", re.IGNORECASE)
_TEXTS: Final = re.compile(r"'((?:[^']|'')*)'|\"([^\"]*)\"")
_ORDER: Final = re.compile(r"\s*(?:(?P<kind>\w+)\.)?(?P<key>\w+)(?:\s+(?P<way>ASC|DESC))?\s*", re.IGNORECASE)
_NUMBERS: Final = ("=", "!=", ">", ">=", "<", "<=")
_OPERATORS: Final[Mapping[str, Sequence[str]]] = {
    "metrics": _NUMBERS,
    "params": ("=", "!=", "LIKE", "ILIKE"),
    "tags": ("=", "LIKE", "ILIKE"),
    "attributes": (*_NUMBERS, "LIKE", "ILIKE", "IN", "NOT IN"),
}
_NUMERIC: Final = ("start_time", "end_time", "duration", "creation_time", "last_update_time")


@dataclass(frozen=True, kw_only=True, slots=True)
class Clause:
    """One comparison."""

    kind: str
    """`metrics`, `params`, `tags` or `attributes`."""
    key: str
    operator: str
    """In upper case, one space between words."""
    values: Sequence[str]
    """One, but for `IN`."""

    def fits(self, subject: Mapping[str, Any]) -> bool:
        """Say whether it holds of something with `metrics`, `params`, `tags` and `attributes`."""
        if self.kind == "attributes" and self.key not in subject["attributes"]:
            raise Refused("UNIMPLEMENTED", f"a search by attributes.{self.key} is not emulated")
        found = subject.get(self.kind, {}).get(self.key)
        if found is None:
            return False
        if self.kind == "metrics" or self.key in _NUMERIC:
            return _compared(float(found), self.operator, self._numbers())
        if self.key == "status":
            return _compared(str(found).upper(), self.operator, [value.upper() for value in self.values])
        return _compared(str(found), self.operator, self.values)

    def _numbers(self) -> list[float]:
        try:
            return [float(value) for value in self.values]
        except ValueError as error:
            raise invalid(f"{self.kind}.{self.key} is compared with {self.values[0]!r}, which is no number.") from error


def clauses_of(text: str) -> list[Clause]:
    """Read a filter.

    Raises:
        Refused: It is malformed.
    """
    found, at = [], 0
    while at < len(text) and text[at:].strip():
        clause = _CLAUSE.match(text, at)
        if clause is None:
            raise invalid(f"Invalid filter string '{text}': comparisons joined by AND are understood.")
        found.append(_clause(clause, text))
        at = clause.end()
        if joined := _AND.match(text, at):
            at = joined.end()
        elif text[at:].strip():
            raise invalid(f"Invalid filter string '{text}': comparisons are joined by AND.")
    return found


def ordered(subjects: Sequence[Mapping[str, Any]], orders: Sequence[str]) -> list[Mapping[str, Any]]:
    """Return what was found in the order of expressions such as `attributes.start_time DESC`.

    Raises:
        Refused: It is one that the service does not know.
    """
    found = list(subjects)
    for order in reversed(orders):
        read = _ORDER.fullmatch(order.replace("`", ""))
        kind = _KINDS.get((read["kind"] or "attributes").lower()) if read else None
        if read is None or kind != "attributes":
            raise invalid(f"Azure Machine Learning does not order by '{order}': by attributes only.")
        key = read["key"].lower()
        if found and key not in found[0]["attributes"]:
            raise Refused("UNIMPLEMENTED", f"to order by attributes.{key} is not emulated")
        there = [one for one in found if one["attributes"][key] is not None]
        lacking = [one for one in found if one["attributes"][key] is None]
        falling = (read["way"] or "").upper() == "DESC"
        found = [*sorted(there, key=lambda one: one["attributes"][key], reverse=falling), *lacking]
    return found


def _clause(found: re.Match[str], text: str) -> Clause:
    prefix, key = found["kind"], found["key"]
    if prefix is not None and prefix.lower() not in _KINDS:
        prefix, key = None, f"{prefix}.{key}"
    kind = _KINDS[prefix.lower()] if prefix else "attributes"
    operator = " ".join(found["operator"].upper().split())
    value = found["value"]
    values = [(one[0] or one[1]).replace("''", "'") for one in _TEXTS.findall(value)] if value[0] in "('\"" else [value]
    key = key.strip('`"')
    if operator not in _OPERATORS[kind] or not values:
        raise invalid(f"Invalid filter string '{text}': {kind} are compared by {', '.join(_OPERATORS[kind])}.")
    if kind == "attributes":
        key = {"Run ID": "run_id", "Run name": "run_name"}.get(key, key.lower())
    return Clause(kind=kind, key=key, operator=operator, values=values)


def _compared(found: Any, operator: str, wanted: Sequence[Any]) -> bool:
    one = wanted[0]
    if operator in ("IN", "NOT IN"):
        return (found in wanted) == (operator == "IN")
    if operator in ("LIKE", "ILIKE"):
        flags = re.IGNORECASE | re.DOTALL if operator == "ILIKE" else re.DOTALL
        pattern = "".join({"%": ".*", "_": "."}.get(letter, re.escape(letter)) for letter in str(one))
        return re.fullmatch(pattern, str(found), flags) is not None
    return bool(
        {
            "=": found == one,
            "!=": found != one,
            ">": found > one,
            ">=": found >= one,
            "<": found < one,
            "<=": found <= one,
        }[operator]
    )
