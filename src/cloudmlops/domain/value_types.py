"""The types that a step's inputs and outputs may have, read from annotations without loading any package."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from numbers import Integral, Real
from pathlib import Path
from typing import Final

from cloudmlops.domain.artifacts import Dataset, Metrics, Model, Report


class Kind(StrEnum):
    """What a value is: a parameter that JSON can hold, or an artifact of files."""

    STR = "str"
    INT = "int"
    FLOAT = "float"
    BOOL = "bool"
    DATE = "date"
    DATETIME = "datetime"
    LIST = "list"
    DICT = "dict"
    DATASET = "Dataset"
    MODEL = "Model"
    METRICS = "Metrics"
    REPORT = "Report"
    PATH = "Path"

    @property
    def is_artifact(self) -> bool:
        """Whether a value of this kind is files and not JSON."""
        return self in _ARTIFACTS


@dataclass(frozen=True, kw_only=True, slots=True)
class ValueType:
    """One input's or output's type."""

    kind: Kind
    form: str = ""
    """A dataset that the function sees as a table: `arrow`, `pandas` or `polars`; empty is the handle."""
    items: ValueType | None = None
    """Of a list's items or a dict's values; None is any JSON."""
    optional: bool = False
    """Whether None is allowed; parameters only."""

    def __str__(self) -> str:
        inner = f"[{self.items}]" if self.items and self.kind is Kind.LIST else ""
        if self.items and self.kind is Kind.DICT:
            inner = f"[str, {self.items}]"
        return f"{self.form + ' ' if self.form else ''}{self.kind}{inner}{' | None' if self.optional else ''}"

    def accepts(self, given: ValueType) -> bool:
        """Say whether a value of type `given` may be handed to an input of this type."""
        if given.optional and not self.optional:
            return False
        if self.kind is given.kind:
            return self.items is None or given.items is None or self.items.accepts(given.items)
        if self.kind is Kind.PATH:
            return given.kind.is_artifact
        return self.kind is Kind.FLOAT and given.kind is Kind.INT


_ARTIFACTS: Final = frozenset({Kind.DATASET, Kind.MODEL, Kind.METRICS, Kind.REPORT, Kind.PATH})
_KINDS: Final[Mapping[object, Kind]] = {
    str: Kind.STR,
    int: Kind.INT,
    float: Kind.FLOAT,
    bool: Kind.BOOL,
    date: Kind.DATE,
    datetime: Kind.DATETIME,
    list: Kind.LIST,
    dict: Kind.DICT,
    Sequence: Kind.LIST,
    Mapping: Kind.DICT,
    Dataset: Kind.DATASET,
    Model: Kind.MODEL,
    Metrics: Kind.METRICS,
    Report: Kind.REPORT,
    Path: Kind.PATH,
}
# By package and name, so that a table's package is never loaded for an annotation's sake.
_TABLES: Final[Mapping[tuple[str, str], str]] = {
    ("pyarrow", "Table"): "arrow",
    ("pandas", "DataFrame"): "pandas",
    ("polars", "DataFrame"): "polars",
}
EXPECTED: Final = (
    "str, int, float, bool, date, datetime, list, dict, Dataset, Model, Metrics, Report, Path, "
    "pyarrow.Table, pandas.DataFrame or polars.DataFrame"
)


def value_type(annotation: object) -> ValueType | None:
    """Read a type from an annotation; None when it is none that a step can take or return."""
    if (kind := _KINDS.get(annotation)) is not None:
        return ValueType(kind=kind)
    if isinstance(annotation, type) and (form := table_form(annotation)):
        return ValueType(kind=Kind.DATASET, form=form)
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        return _optional([argument for argument in arguments if argument is not type(None)], arguments)
    kind = _KINDS.get(origin)
    if kind in (Kind.LIST, Kind.DICT) and not arguments:  # typing.List and its like
        return ValueType(kind=kind)
    if kind is Kind.LIST:
        return _container(kind, arguments[0])
    if kind is Kind.DICT and arguments[0] is str:
        return _container(kind, arguments[1])
    return None


def table_form(kind: type) -> str:
    """Return `arrow`, `pandas` or `polars` for a table's class, else nothing."""
    return _TABLES.get((kind.__module__.partition(".")[0], kind.__qualname__), "")


def encode(value: object, kind: ValueType) -> object:
    """Turn a parameter's value into what JSON can hold.

    Raises:
        TypeError: The value is not of that type; the message says what it is.
    """
    if value is None and kind.optional:
        return None
    match kind.kind:
        case Kind.DATETIME if isinstance(value, datetime):
            return value.isoformat()
        case Kind.DATE if isinstance(value, date) and not isinstance(value, datetime):
            return value.isoformat()
        # As numbers.Real and Integral, so that numpy's own count, too.
        case Kind.FLOAT if isinstance(value, Real) and not isinstance(value, bool):
            return float(value)
        case Kind.INT if isinstance(value, Integral) and not isinstance(value, bool):
            return int(value)
        case Kind.STR if isinstance(value, str):
            return str(value)
        case Kind.BOOL if isinstance(value, bool):
            return value
        case Kind.LIST if isinstance(value, list | tuple):
            return [_item(part, kind.items, f"item {place}") for place, part in enumerate(value)]
        case Kind.DICT if isinstance(value, Mapping):
            return {_key(key): _item(part, kind.items, f"the value of {key!r}") for key, part in value.items()}
    raise TypeError(f"expected {kind}, not {_shown(value)}")


def decode(value: object, kind: ValueType) -> object:
    """Turn what JSON held back into the parameter's value; the inverse of `encode`."""
    if value is None:
        return None
    match kind.kind:
        case Kind.DATETIME:
            return datetime.fromisoformat(str(value))
        case Kind.DATE:
            return date.fromisoformat(str(value))
        case Kind.LIST if isinstance(value, list):
            return [decode(part, kind.items) for part in value] if kind.items else value
        case Kind.DICT if isinstance(value, dict):
            return {key: decode(part, kind.items) for key, part in value.items()} if kind.items else value
    return value


def parse(text: str, kind: ValueType) -> object:
    """Read a parameter's value from a command line; text and times stand for themselves, the rest is JSON.

    Raises:
        TypeError: The text is not a value of that type.
    """
    import json

    if kind.optional and text == "null":
        return None
    if kind.kind is Kind.STR:
        return text
    try:
        if kind.kind in (Kind.DATE, Kind.DATETIME):
            return decode(text, kind)
        value = json.loads(text)
    except ValueError as error:
        raise TypeError(f"expected {kind}, not {text!r}") from error
    encode(decode(value, kind), kind)
    return decode(float(value) if kind.kind is Kind.FLOAT else value, kind)


def to_json(kind: ValueType) -> dict[str, object]:
    """Write a type as a JSON object."""
    fields: dict[str, object] = {"kind": kind.kind.value}
    if kind.form:
        fields["form"] = kind.form
    if kind.items:
        fields["items"] = to_json(kind.items)
    if kind.optional:
        fields["optional"] = True
    return fields


def from_json(fields: Mapping[str, typing.Any]) -> ValueType:
    """Read what `to_json` wrote."""
    items = fields.get("items")
    return ValueType(
        kind=Kind(fields["kind"]),
        form=fields.get("form", ""),
        items=from_json(items) if items else None,
        optional=fields.get("optional", False),
    )


def _optional(named: list[object], arguments: tuple[object, ...]) -> ValueType | None:
    if len(named) != 1 or len(arguments) != 2 or (inner := value_type(named[0])) is None or inner.kind.is_artifact:
        return None
    return ValueType(kind=inner.kind, items=inner.items, optional=True)


def _container(kind: Kind, argument: object) -> ValueType | None:
    if argument in (object, typing.Any):
        return ValueType(kind=kind)
    items = value_type(argument)
    return None if items is None or items.kind.is_artifact else ValueType(kind=kind, items=items)


def _key(key: object) -> str:
    if not isinstance(key, str):
        raise TypeError(f"the key {key!r} of a dict is not a str")
    return key


def _item(value: object, kind: ValueType | None, where: str) -> object:
    try:
        return encode(value, kind or _json_type(value))
    except TypeError as error:
        raise TypeError(f"{where}: {error}") from None


def _json_type(value: object) -> ValueType:
    # Where the annotation leaves the items open, plain JSON is taken: a date would come back as text.
    for plain in (bool, int, float, str, list, dict):
        if isinstance(value, plain):
            return ValueType(kind=_KINDS[plain])
    if value is None:
        return ValueType(kind=Kind.STR, optional=True)
    raise TypeError(f"{_shown(value)} is not JSON")


def _shown(value: object) -> str:
    text = repr(value)
    return f"{text if len(text) <= 60 else text[:57] + '...'} ({type(value).__name__})"
