"""How models of Azure's SDKs read an answer: what in it they do not know, and what they want that is not there.

There are two makes of models. Those of azure-ai-ml's wire client know their fields by `rest_field`, where what is not
`Optional` is required; those of azure-mgmt-eventgrid, -authorization and -monitor by `_attribute_map` and
`_validation`, as those of azure-storage-blob.
"""

from __future__ import annotations

import importlib
import re
import types
import typing
from typing import Any
from xml.etree import ElementTree as ET

if typing.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_LEVEL = re.compile(r"(?<!\\)\.")
UNKNOWN = "?"
MISSING = "!"


def read(module: str, name: str, answer: Mapping[str, Any]) -> set[str]:
    """Let a model read an answer with its own deserialiser; return the paths that it does not know, each after `?`,
    and those that it needs and does not find, each after `!`.

    Args:
        module: Of models.
        name: Of the model in it.
        answer: A resource, or what an action told.
    """
    models = importlib.import_module(module)
    model = getattr(models, name)
    if hasattr(model, "_attribute_map"):
        model.deserialize(answer)  # raises, where a value has another type
        return set(_mapped(models, model, answer, ""))
    return set(_declared(model._deserialize(answer, []), ""))


def read_xml(module: str, name: str, answer: str | bytes) -> set[str]:
    """Do the same with an answer in XML, as Blob Storage gives it."""
    models = importlib.import_module(module)
    element = ET.fromstring(answer)
    model = getattr(models, name)
    model.deserialize(element)  # raises, where a value has another type
    return set(_marked(models, model, element, ""))


def _declared(found: Any, path: str) -> Iterator[str]:
    """Read every field of a model of azure-ai-ml's."""
    if hasattr(found, "_attr_to_rest_field"):
        fields = type(found)._attr_to_rest_field
        names = {attribute: field._rest_name for attribute, field in fields.items()}
        yield from (f"{UNKNOWN}{path}{name}" for name in found if name not in names.values())
        for attribute, name in names.items():
            if found.get(name) is None and not _optional(type(found), attribute):
                yield f"{MISSING}{path}{name}"
            yield from _declared(getattr(found, attribute), f"{path}{name}.")
    elif isinstance(found, dict | list):
        for value in found.values() if isinstance(found, dict) else found:
            yield from _declared(value, f"{path}*.")


def _optional(model: type, attribute: str) -> bool:
    declared = next(
        one.__annotations__[attribute] for one in model.__mro__ if attribute in vars(one).get("__annotations__", {})
    )
    if isinstance(declared, str):
        return declared.startswith("Optional[")
    return typing.get_origin(declared) in (typing.Union, types.UnionType) and type(None) in typing.get_args(declared)


def _mapped(models: Any, model: Any, answer: Mapping[str, Any], path: str) -> Iterator[str]:
    """Read every field of a model of a management library's."""
    for attribute, kinds in vars(model).get("_subtype_map", {}).items():
        kind = kinds.get(answer.get(model._attribute_map[attribute]["key"]))
        if kind is not None:
            yield from _mapped(models, getattr(models, kind), answer, path)
            return
    known: dict[tuple[str, ...], str] = {}
    for attribute, told in model._attribute_map.items():
        levels = tuple(level.replace("\\.", ".") for level in _LEVEL.split(told["key"]))
        known[levels] = told["type"]
        if getattr(model, "_validation", {}).get(attribute, {}).get("required") and _at(answer, levels) is None:
            yield f"{MISSING}{path}{'.'.join(levels)}"
    yield from _level(models, known, answer, (), path)


def _level(
    models: Any, known: Mapping[tuple[str, ...], str], answer: Mapping[str, Any], above: tuple[str, ...], path: str
) -> Iterator[str]:
    for name, value in answer.items():
        here = (*above, name)
        shown = f"{path}{'.'.join(here)}"
        if here in known:
            yield from _value(models, known[here], value, f"{shown}.")
        elif any(levels[: len(here)] == here for levels in known):
            yield from _level(models, known, value or {}, here, path)
        else:
            yield f"{UNKNOWN}{shown}"


def _value(models: Any, kind: str, value: Any, path: str) -> Iterator[str]:
    if value is None:
        return
    if kind[0] in "[{":
        for one in value.values() if kind[0] == "{" else value:
            yield from _value(models, kind[1:-1], one, f"{path}*.")
    elif hasattr(getattr(models, kind, None), "_attribute_map"):
        yield from _mapped(models, getattr(models, kind), value, path)


def _at(answer: Any, levels: tuple[str, ...]) -> Any:
    for level in levels:
        answer = answer.get(level) if isinstance(answer, dict) else None
    return answer


def _marked(models: Any, model: Any, element: ET.Element, path: str) -> Iterator[str]:
    """Read every field of a model of azure-storage-blob's."""
    known: dict[str, tuple[str, Mapping[str, Any]]] = {}
    for attribute, told in model._attribute_map.items():
        if told["key"] == "":
            return  # anything may be there
        xml, kind = told.get("xml", {}), told["type"].strip("[]")
        own = getattr(getattr(models, kind, None), "_xml_map", {}).get("name")
        listed = told["type"][0] == "[" and not xml.get("wrapped")
        name = (listed and xml.get("itemsName")) or xml.get("name") or own or told["key"]
        known[name] = (kind, xml)
        required = getattr(model, "_validation", {}).get(attribute, {}).get("required") and not xml.get("text")
        if required and not listed and element.get(name) is None and element.find(name) is None:
            yield f"{MISSING}{path}{name}"
    yield from (f"{UNKNOWN}{path}{name}" for name in element.attrib if name not in known)
    for child in element:
        if child.tag not in known:
            yield f"{UNKNOWN}{path}{child.tag}"
            continue
        kind, xml = known[child.tag]
        for one in child if xml.get("wrapped") else [child]:
            if hasattr(getattr(models, kind, None), "_attribute_map"):
                yield from _marked(models, getattr(models, kind), one, f"{path}{child.tag}.")
