"""What the SDK's own descriptions say of any request and reply: forms of names, required fields, members of enums."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Final

from cloudmlops.emulators.core.emulator import Emulator
from cloudmlops.emulators.google import vertex_cloud
from cloudmlops.emulators.google.aiplatform.build import handlers_of
from cloudmlops.emulators.google.aiplatform.catalogue import Method, methods, service_names
from cloudmlops.emulators.google.aiplatform.dispatch import Dispatcher
from cloudmlops.emulators.google.aiplatform.documentation import behaviours, documentation
from cloudmlops.emulators.google.aiplatform.names import LOCATIONS
from cloudmlops.emulators.google.cloud import GoogleCloud

PARENT: Final = "projects/every/locations/europe-west4"
_VARIABLE: Final = re.compile(r"\{([\w.]+)=([^}]*)\}")
_FORMAT: Final = re.compile(r"``(projects/[^`\s]+)``")
_NAME: Final = re.compile(r"projects/\d+/locations/([^/]+)(?:/[^/]+/[^/]+)*")
_OURS: Final = "google.cloud.aiplatform"
_JUNK: Final = "set-by-a-caller"
_JUNK_SECONDS: Final = 915148800
"""1999-01-01: before anything that an emulator makes."""


@cache
def emulated() -> Mapping[str, Method]:
    """Return all methods of v1 that are emulated, by key."""
    with Emulator([vertex_cloud()]) as emulator:
        vertex = emulator.cloud(GoogleCloud).vertex
        dispatcher = Dispatcher(vertex, handlers_of(vertex), mutated=lambda *_: None, check=lambda *_: None)
        found = [method for service in service_names("v1") for method in methods("v1", service).values()]
        return {method.key: method for method in found if dispatcher.emulated(method)}


def forms(method: Method) -> Mapping[str, str]:
    """Return by path of a request's field the form of the name in it, such as `projects/*/locations/*`."""
    return dict(_VARIABLE.findall(method.rules[0].uri)) if method.rules else {}


def required(method: Method) -> list[str]:
    """Return the paths of all required fields of a request; of an update those of the request itself."""
    deep = not method.name.startswith(("Update", "Mutate"))
    return [path for path, _ in _required(method.request.DESCRIPTOR, "", deep=deep, above=())]


def filled(method: Method, *, without: str = "") -> Any:
    """Return a request with something in all required fields and names, but for one."""
    request = method.request()
    for path in required(method):
        if path != without and not path.startswith(f"{without}."):
            _fill(request, path.split("."))
    for path, form in forms(method).items():
        if path != without and not path.startswith(f"{without}."):
            *outer, last = path.split(".")
            setattr(_at(request, outer), last, example(form))
    return request


def example(form: str) -> str:
    """Return a name of a form."""
    return re.sub(r"^projects/\*/locations/\*", PARENT, form).replace("*", "1")


def faults(message: Any, *, form: str = "", asked: bool = False) -> Iterator[str]:
    """Yield what is wrong with a reply: names of other forms, values outside of enums, states that are not set.

    Args:
        message: The reply, or what is in it.
        form: Of its own name; empty where its documentation says it.
        asked: Whether it lies in a request that the reply repeats: nothing is made yet.
    """
    asked = asked or message.DESCRIPTOR.name.endswith("Request")
    descriptor = message.DESCRIPTOR
    words, texts = behaviours(descriptor.full_name), documentation(descriptor.full_name)
    for field in descriptor.fields:
        told = f"{descriptor.name}.{field.name}"
        value = getattr(message, field.name)
        of_service = not asked and "Output only" in words.get(field.name, ())
        if field.enum_type is not None:
            for number in value if field.is_repeated else (value,):
                if number not in field.enum_type.values_by_number:
                    yield f"{told}: {number} is no {field.enum_type.name}"
                elif number == 0 and of_service and not field.is_repeated:
                    yield f"{told} is not set"
        elif field.type == field.TYPE_STRING and not _is_map(field):
            for text in value if field.is_repeated else (value,):
                yield from (f"{told}: {fault}" for fault in _name_faults(field.name, text, texts, form))
        elif _inner(field):
            for inner in value if field.is_repeated else (value,) if message.HasField(field.name) else ():
                yield from faults(inner, asked=asked)
        elif field.name == "create_time" and of_service and not message.HasField(field.name):
            yield f"{told} is not set"


def spoil(message: Any) -> None:
    """Set what only the service sets, wherever that is, to what it would not."""
    words = behaviours(message.DESCRIPTOR.full_name)
    for field in message.DESCRIPTOR.fields:
        if "Output only" in words.get(field.name, ()):
            _spoil(message, field)
        elif _inner(field) and not field.is_repeated and message.HasField(field.name):
            spoil(getattr(message, field.name))
        elif _inner(field) and field.is_repeated:
            for inner in getattr(message, field.name):
                spoil(inner)


def spoilt(message: Any) -> Iterator[str]:
    """Yield where what a caller set is kept."""
    for field, value in message.ListFields():
        told = f"{message.DESCRIPTOR.name}.{field.name}"
        if field.type == field.TYPE_STRING and not _is_map(field):
            if _JUNK in (value if field.is_repeated else (value,)):
                yield told
        elif field.message_type is not None and field.message_type.full_name == "google.protobuf.Timestamp":
            if not field.is_repeated and value.seconds == _JUNK_SECONDS:
                yield told
        elif _inner(field):
            for inner in value if field.is_repeated else (value,):
                yield from spoilt(inner)


def states(message: Any) -> dict[str, int]:
    """Return what the service sets of enums in the message itself."""
    words = behaviours(message.DESCRIPTOR.full_name)
    return {
        field.name: getattr(message, field.name)
        for field in message.DESCRIPTOR.fields
        if field.enum_type is not None and not field.is_repeated and "Output only" in words.get(field.name, ())
    }


def _required(descriptor: Any, prefix: str, *, deep: bool, above: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    words = behaviours(descriptor.full_name)
    for field in descriptor.fields:
        if "Required" not in words.get(field.name, ()) or field.containing_oneof is not None:
            continue
        is_number = field.message_type is None and field.type not in (
            field.TYPE_STRING,
            field.TYPE_BYTES,
            field.TYPE_ENUM,
        )
        if is_number and not field.is_repeated:
            continue  # zero is not told from absent
        path = f"{prefix}{field.name}"
        yield path, field
        if deep and _inner(field) and field.message_type.full_name not in above:
            above = (*above, descriptor.full_name)
            yield from _required(field.message_type, f"{path}.", deep=True, above=above)


def _fill(message: Any, path: list[str]) -> None:
    *outer, last = path
    place = _at(message, outer)
    field = place.DESCRIPTOR.fields_by_name[last]
    if field.is_repeated:
        values = getattr(place, last)
        if _is_map(field):
            raise NotImplementedError(f"a required map: {path}")
        if not values:
            values.add() if field.message_type is not None else values.append("x")
    elif field.message_type is not None:
        getattr(place, last).SetInParent()
    elif field.enum_type is not None:
        setattr(place, last, field.enum_type.values[1].number)
    else:
        setattr(place, last, b"x" if field.type == field.TYPE_BYTES else "xxxx")


def _at(message: Any, path: list[str]) -> Any:
    for part in path:
        value = getattr(message, part)
        if message.DESCRIPTOR.fields_by_name[part].is_repeated:
            message = value[0] if value else value.add()
        else:
            message = value
            message.SetInParent()
    return message


def _spoil(message: Any, field: Any) -> None:
    if field.is_repeated:
        if field.type == field.TYPE_STRING and not _is_map(field):
            getattr(message, field.name).append(_JUNK)
        return
    if field.enum_type is not None:
        setattr(message, field.name, field.enum_type.values[-1].number)
    elif field.type == field.TYPE_STRING:
        setattr(message, field.name, _JUNK)
    elif field.message_type is not None and field.message_type.full_name == "google.protobuf.Timestamp":
        getattr(message, field.name).seconds = _JUNK_SECONDS
    elif _inner(field):
        inner = getattr(message, field.name)
        for one in inner.DESCRIPTOR.fields:
            if one.type == one.TYPE_STRING and not one.is_repeated:
                setattr(inner, one.name, _JUNK)


def _name_faults(field: str, text: str, texts: Mapping[str, str], form: str) -> Iterator[str]:
    if not text.startswith("projects/"):
        return
    found = _NAME.fullmatch(text)
    if found is None or found[1] not in LOCATIONS:
        yield f"{text} is no name with a project's number and a location"
        return
    wanted = [form] if field == "name" and form else [re.sub(r"\{[^}]*\}", "*", one) for one in _formats(field, texts)]
    if wanted and not any(re.fullmatch(one.replace("*", "[^/]+"), text) for one in wanted):
        yield f"{text} is not {' or '.join(wanted)}"


def _formats(field: str, texts: Mapping[str, str]) -> list[str]:
    return [one.rstrip(".").partition("@")[0] for one in _FORMAT.findall(texts.get(field, ""))]


def _inner(field: Any) -> bool:
    return field.message_type is not None and field.message_type.full_name.startswith(_OURS) and not _is_map(field)


def _is_map(field: Any) -> bool:
    return field.message_type is not None and bool(field.message_type.GetOptions().map_entry)
