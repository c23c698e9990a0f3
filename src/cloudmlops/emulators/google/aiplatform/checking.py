"""What is checked of every request before its handler sees it, as the SDK's own documentation and HTTP rules say."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Final

from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.google.aiplatform.catalogue import Method
from cloudmlops.emulators.google.aiplatform.documentation import behaviours, longest

OUTPUT_ONLY: Final = "Output only"
REQUIRED: Final = "Required"
_VARIABLE: Final = re.compile(r"\{([\w.]+)=([^}]*)\}")
_CHANGING: Final = ("Update", "Mutate")
"""Methods that bring only what their mask names."""
_OURS: Final = "google.cloud.aiplatform"
_METADATA_ID: Final = "[a-z0-9-]{4,128}"
_IDS: Final[Mapping[str, str]] = {
    "artifact_id": _METADATA_ID,
    "context_id": _METADATA_ID,
    "execution_id": _METADATA_ID,
    "metadata_schema_id": _METADATA_ID,
    "metadata_store_id": _METADATA_ID,
    "tensorboard_experiment_id": "[a-z0-9-]{1,128}",
    "tensorboard_run_id": "[a-z0-9-]{1,128}",
    "tensorboard_time_series_id": "[a-z0-9][a-z0-9-]{0,127}",
}
"""Ids that callers choose, by the request's field, where the handler is a generic one."""


def check(method: Method, request: Any) -> None:
    """Refuse a request that the service refuses whatever it holds; clear what only the service sets, in place.

    Raises:
        Refused: A name is of another form than the method takes, or what is required is missing, or a text is too long,
            or an id has characters that ids do not have.
    """
    changing = method.name.startswith(_CHANGING)
    if not changing:
        without_output_fields(request)
    missing = sorted(_missing(request, "", deep=not changing))
    if missing:
        raise Refused("INVALID_ARGUMENT", f"Required fields are not set: {', '.join(missing)}.")
    for path, patterns in _names(method).items():
        _check_name(path, _at(request, path), patterns)
    _check_lengths(request, "")
    for field, pattern in _IDS.items():
        value = getattr(request, field, "")
        if value and not re.fullmatch(pattern, value):
            raise Refused("INVALID_ARGUMENT", f"The {field} {value!r} is invalid: it must match {pattern}.")


def without_output_fields(message: Any) -> None:
    """Clear what only the service sets, in place, also in what the message holds."""
    for field, words in behaviours(message.DESCRIPTOR.full_name).items():
        if OUTPUT_ONLY in words and field in message.DESCRIPTOR.fields_by_name:
            message.ClearField(field)
    for _, inner in _inner(message):
        without_output_fields(inner)


def is_empty(message: Any, field: Any) -> bool:
    """Say whether a field is not set; a number or a flag may well be zero, which proto3 does not tell from absent."""
    if field.has_presence:
        return not message.HasField(field.name)
    counts = field.is_repeated or field.type in (field.TYPE_STRING, field.TYPE_BYTES, field.TYPE_ENUM)
    return counts and not getattr(message, field.name)


def _missing(message: Any, prefix: str, *, deep: bool) -> Iterator[str]:
    for name, words in behaviours(message.DESCRIPTOR.full_name).items():
        field = message.DESCRIPTOR.fields_by_name.get(name)
        if field is None or REQUIRED not in words or field.containing_oneof is not None:
            continue
        if is_empty(message, field):
            yield f"{prefix}{name}"
    for name, inner in _inner(message) if deep else ():
        yield from _missing(inner, f"{prefix}{name}.", deep=True)


def _inner(message: Any) -> Iterator[tuple[str, Any]]:
    """Yield the service's own messages that a message holds, with where they are."""
    for field, value in message.ListFields():
        kind = field.message_type
        if kind is None or not kind.full_name.startswith(_OURS) or kind.GetOptions().map_entry:
            continue
        if field.is_repeated:
            yield from ((f"{field.name}[{place}]", inner) for place, inner in enumerate(value))
        else:
            yield field.name, value


@cache
def _names(method: Method) -> Mapping[str, tuple[str, ...]]:
    """Return by path of a field the forms that the name in it may have, such as `projects/*/locations/*`."""
    found: dict[str, tuple[str, ...]] = {}
    for rule in method.rules:
        for path, form in _VARIABLE.findall(rule.uri):
            found[path] = (*found.get(path, ()), form)
    return found


def _at(request: Any, path: str) -> str:
    value = request
    for part in path.split("."):
        value = getattr(value, part)
    return str(value)


def _check_name(path: str, name: str, forms: tuple[str, ...]) -> None:
    if not any(_form(form).fullmatch(name) for form in forms):
        wanted = " or ".join(dict.fromkeys(forms))
        raise Refused("INVALID_ARGUMENT", f"Invalid resource name {name!r} in {path}: it must be {wanted}.")


@cache
def _form(form: str) -> re.Pattern[str]:
    parts = ({"*": "[^/]+", "**": ".+"}.get(part, re.escape(part)) for part in form.split("/"))
    return re.compile("/".join(parts))


def _check_lengths(message: Any, prefix: str) -> None:
    for name, most in longest(message.DESCRIPTOR.full_name).items():
        value = getattr(message, name, "")
        if isinstance(value, str) and len(value) > most:
            told = f"The field {prefix}{name} has {len(value)} characters; it can have up to {most}."
            raise Refused("INVALID_ARGUMENT", told)
    for name, inner in _inner(message):
        _check_lengths(inner, f"{prefix}{name}.")
