"""JSON that a service is sent, held to the types of its fields, as the services themselves read it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from cloudmlops.emulators.core.faults import Refused

_WHOLE: Final = re.compile(r"-?\d+")
_LARGEST: Final = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Many:
    """A list of what is of one type."""

    of: Type


@dataclass(frozen=True, slots=True)
class Named:
    """An object of any names whose values are of one type."""

    of: Type


Type = str | Many | Named | Mapping[str, Any]
"""`text`, `bytes`, `whole`, `flag`, `any`, a list, a map, or an object's fields with their types."""
_WORDS: Final = {"text": "TYPE_STRING", "bytes": "TYPE_BYTES", "whole": "TYPE_INT32", "flag": "TYPE_BOOL"}


def typed(content: Mapping[str, Any], fields: Mapping[str, Type]) -> dict[str, Any]:
    """Return an object without what is null, its numbers as numbers; fields that are not told of stay as they are.

    Raises:
        Refused: A value is of another type than its field.
    """
    return _object(content, fields, "")


def whole(text: str | None, name: str, *, default: int, most: int) -> int:
    """Read a number of a query, such as the size of a page; zero and none are the default.

    Raises:
        Refused: It is none, or negative.
    """
    value = _value(text, "whole", name) if text else 0
    if value < 0:
        raise Refused(
            "INVALID_ARGUMENT",
            f"The value for {name} is too small. You passed {value} in the request, but the minimum value is 0.",
        )
    return min(value or default, most)


def _object(content: Mapping[str, Any], fields: Mapping[str, Type], at: str) -> dict[str, Any]:
    return {
        name: _value(value, fields.get(name, "any"), f"{at}{name}")
        for name, value in content.items()
        if value is not None
    }


def _value(value: Any, kind: Type, at: str) -> Any:
    if isinstance(kind, Many):
        if not isinstance(value, list):
            raise _invalid(at, "a list", value)
        return [_value(one, kind.of, f"{at}[{place}]") for place, one in enumerate(value)]
    if isinstance(kind, Named):
        if not isinstance(value, dict):
            raise _invalid(at, "an object", value)
        return {name: _value(one, kind.of, f"{at}[{name}]") for name, one in value.items()}
    if isinstance(kind, Mapping):
        if not isinstance(value, dict):
            raise _invalid(at, "an object", value)
        return _object(value, kind, f"{at}.")
    if kind == "whole" and isinstance(value, str) and _WHOLE.fullmatch(value):
        value = int(value)
    if (kind in ("text", "bytes") and not isinstance(value, str)) or (kind == "flag" and not isinstance(value, bool)):
        raise _invalid(at, _WORDS[kind], value)
    if kind == "whole" and (not isinstance(value, int) or isinstance(value, bool) or abs(value) > _LARGEST):
        raise _invalid(at, _WORDS[kind], value)
    return value


def _invalid(at: str, kind: str, value: Any) -> Refused:
    return Refused("INVALID_ARGUMENT", f"Invalid value at '{at}' ({kind}), {json.dumps(value)}")
