"""The types that key columns and features may have, and their names in stored definitions."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from types import GenericAlias
from typing import Any, Final, get_args, get_origin

FeatureType = type[Any] | GenericAlias
"""int, float, bool, str, bytes, date, datetime, or a list of one of these."""

_SCALARS: Final[Mapping[str, type[Any]]] = {
    "int": int,
    "float": float,
    "bool": bool,
    "str": str,
    "bytes": bytes,
    "date": date,
    "datetime": datetime,
}
_NAMES: Final[Mapping[Any, str]] = {kind: name for name, kind in _SCALARS.items()} | {
    GenericAlias(list, (kind,)): f"list[{name}]" for name, kind in _SCALARS.items()
}
_TYPES: Final[Mapping[str, Any]] = {name: kind for kind, name in _NAMES.items()}

KEY_TYPES: Final = frozenset({"int", "str", "bool", "date", "bytes"})
"""Types of key columns; a float is no key, because equal floats are a matter of luck."""
REQUEST_TYPES: Final = frozenset(_SCALARS)
"""Types of columns that come with a request."""
OUTPUT_TYPES: Final = frozenset({"int", "float", "bool", "str"})
"""Types that an on-demand function may return."""


def type_name(kind: object) -> str | None:
    """Return the name of a feature type, such as `float` or `list[str]`; None for any other type."""
    if get_origin(kind) is list:
        (item,) = get_args(kind)
        kind = GenericAlias(list, (item,))  # so that typing.List[int] counts as list[int]
    try:
        return _NAMES.get(kind)
    except TypeError:  # not hashable, so no type at all
        return None


def type_named(name: str) -> FeatureType:
    """Return the type that `type_name` named so."""
    kind: FeatureType = _TYPES[name]
    return kind


def is_scalar(kind: FeatureType) -> bool:
    """Say whether a feature of this type takes part in breaking ties; lists never do."""
    return kind in _SCALARS.values()
