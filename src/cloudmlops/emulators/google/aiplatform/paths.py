"""Paths of fields, such as `labels.stage` or `metadata."a:b".number_value`, and what they lead to in a message."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import Any, Final

from cloudmlops.emulators.core.faults import Refused

_PART: Final = re.compile(r""""((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'|([^."']+)""")
_STRUCT: Final = "google.protobuf.Struct"
_VALUE: Final = "google.protobuf.Value"
_TIMESTAMP: Final = "google.protobuf.Timestamp"


@dataclass(frozen=True, slots=True)
class Found:
    """What a path leads to, once."""

    value: Any
    given: bool = True
    """False when a field has its value because nobody gave it one."""
    member: bool = False
    """An element of a list, or a key of a map."""


def parts_of(path: str) -> tuple[str, ...]:
    """Take a path apart; what is quoted in it is one part.

    Raises:
        Refused: It is no path.
    """
    parts, end = [], 0
    while (found := _PART.match(path, end)) is not None:
        quoted = next((text for text in found.groups()[:2] if text is not None), None)
        parts.append(found[3] if quoted is None else re.sub(r"\\(.)", r"\1", quoted))
        end = found.end()
        if end == len(path):
            return tuple(parts)
        if path[end] != ".":
            break
        end += 1
    raise Refused("INVALID_ARGUMENT", f"Invalid filter or order: {path!r} is no path of fields")


def values_of(message: Any, path: str) -> list[Any]:
    """Return the values that a path leads to; more than one through repeated fields.

    Raises:
        Refused: There is no such field.
    """
    return [found.value for found in found_at(message, parts_of(path))]


def found_at(message: Any, parts: Sequence[str]) -> list[Found]:
    """Return what a path leads to; more than one through repeated fields.

    Raises:
        Refused: There is no such field.
    """
    name, rest = parts[0], parts[1:]
    whole = message.DESCRIPTOR.full_name
    if whole == _STRUCT:
        return _typed(message.fields[name], rest) if name in message.fields else []
    if whole == _VALUE:
        return _typed(message, parts)
    field = field_of(message, name)
    if field is None:
        raise _nowhere(parts)
    value, kind = getattr(message, field.name), field.message_type
    if kind is None:
        if rest:
            raise _nowhere(parts)
        return _plain(message, field, value)
    if kind.GetOptions().map_entry:
        return _entries(kind, value, rest)
    there = field.is_repeated or message.HasField(field.name)
    if kind.full_name == _TIMESTAMP:
        if rest:
            raise _nowhere(parts)
        return [Found(value.ToDatetime(tzinfo=UTC))] if there else []
    if not there:
        if rest:
            found_at(value, rest)  # of an empty message: refuses what leads nowhere
        return []
    inner = list(value) if field.is_repeated else [value]
    if rest and not inner:
        found_at(_empty(kind), rest)  # likewise
    if not rest:
        return [Found(one, member=field.is_repeated) for one in inner]
    return [found for one in inner for found in found_at(one, rest)]


def _empty(kind: Any) -> Any:
    return kind._concrete_class()  # noqa: SLF001 the only way from a descriptor to its class


def field_of(message: Any, name: str) -> Any:
    """Return a message's field by its name in either way of writing; None when it has none."""
    descriptor = message.DESCRIPTOR
    return descriptor.fields_by_name.get(name) or next((f for f in descriptor.fields if f.json_name == name), None)


def _plain(message: Any, field: Any, value: Any) -> list[Found]:
    values = list(value) if field.is_repeated else [value]
    shown = [field.enum_type.values_by_number[one].name for one in values] if field.enum_type is not None else values
    given = field.is_repeated or (message.HasField(field.name) if field.has_presence else value != field.default_value)
    return [Found(one, given=given, member=field.is_repeated) for one in shown]


def _entries(kind: Any, value: Any, rest: Sequence[str]) -> list[Found]:
    if not rest:
        return [Found(key, member=True) for key in value]
    if kind.fields_by_name["value"].message_type is None:
        key = ".".join(rest)
        return [Found(value[key])] if key in value else []
    if rest[0] not in value:
        if rest[1:]:
            found_at(_empty(kind.fields_by_name["value"].message_type), rest[1:])  # refuses what leads nowhere
        return []
    return found_at(value[rest[0]], rest[1:]) if rest[1:] else [Found(value[rest[0]])]


def _typed(value: Any, rest: Sequence[str]) -> list[Found]:
    """Return what is in a google.protobuf.Value, which is asked for by its type."""
    if not rest:
        return [Found(value)]
    kind, deeper = rest[0], rest[1:]
    field = field_of(value, kind)
    if field is None:
        told = f"Invalid filter or order: {kind!r} is no type of a value, such as number_value or string_value"
        raise Refused("INVALID_ARGUMENT", told)
    if deeper and field.message_type is None:
        raise _nowhere(rest)
    if value.WhichOneof("kind") != field.name:
        return []
    inner = getattr(value, field.name)
    if deeper:
        return found_at(inner, deeper)
    return [Found("NULL_VALUE" if field.enum_type is not None else inner)]


def _nowhere(parts: Sequence[str]) -> Refused:
    return Refused("INVALID_ARGUMENT", f"Invalid filter or order: there is no field {'.'.join(parts)!r}")
