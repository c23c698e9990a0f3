"""The REST form of the methods: paths to methods, JSON to messages and back."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from google.protobuf import json_format
from google.protobuf.message import Message

from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.google.aiplatform.catalogue import (
    Method,
    Rule,
    Version,
    common_methods,
    methods,
    service_names,
)

_VARIABLE: Final = re.compile(r"\{([^}=]+)(?:=([^}]*))?\}")
_RAW: Final = "http_body"
_PARTS: Final = {"*": "[^/:]+", "**": ".+"}
_PROJECT: Final = "(?:[^/:]+:)?[^/:]+"
"""Some are within a domain, such as `example.com:project`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Route:
    """One HTTP rule as a pattern."""

    verb: str
    pattern: re.Pattern[str]
    fields: tuple[str, ...]
    """The request's fields that the path's parts are."""
    body: str
    method: Method


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """A route and what its path says."""

    route: Route
    values: tuple[str, ...]


def find(version: Version, verb: str, path: str) -> Found | None:
    """Return the method that a request is for; None when there is none."""
    for route in _routes(version):
        if route.verb == verb and (match := route.pattern.match(path)):
            return Found(route=route, values=match.groups())
    return None


def read(found: Found, query: Mapping[str, Sequence[str]], body: bytes, *, content_type: str = "") -> Message:
    """Make the request's message; a body that is a user's own (google.api.HttpBody) is taken as it is.

    Raises:
        Refused: It is not what the method takes.
    """
    content: dict[str, Any] = {}
    route = found.route
    try:
        descriptor = route.method.request.DESCRIPTOR
        raw = descriptor.fields_by_name.get(_RAW)
        sent = json.loads(body) if body and raw is None else {}
        if route.body == "*":
            content = dict(sent)
        elif route.body:
            content[route.body] = sent
        for name, values in query.items():
            if not name.startswith("$") and name not in ("alt", "key", "prettyPrint"):
                _put(content, descriptor, name, values)
        for name, value in zip(route.fields, found.values, strict=True):
            _put(content, descriptor, name, [value])
        message: Any = json_format.ParseDict(content, route.method.request())
    except (ValueError, TypeError, json_format.ParseError) as error:
        raise Refused("INVALID_ARGUMENT", f"Invalid JSON payload received. {error}") from error
    if raw is not None:
        message.http_body.data = body
        message.http_body.content_type = content_type
    return message


def written(message: Message, query: Mapping[str, Sequence[str]]) -> bytes:
    """Return a message as JSON; enums as numbers when the caller asks for that."""
    numbers = any("enum-encoding=int" in value for value in query.get("$alt", ()))
    text: str = json_format.MessageToJson(message, use_integers_for_enums=numbers, indent=None)
    return text.encode()


@cache
def _routes(version: Version) -> tuple[Route, ...]:
    known = [method for service in service_names(version) for method in methods(version, service).values()]
    known += common_methods(version).values()
    routes = [_route(rule, method) for method in known for rule in method.rules]
    # Of two that fit, the more literal one is meant.
    return tuple(sorted(routes, key=lambda route: -len(route.pattern.pattern)))


def _route(rule: Rule, method: Method) -> Route:
    pattern, fields, end = "", [], 0
    for variable in _VARIABLE.finditer(rule.uri):
        pattern += f"{re.escape(rule.uri[end : variable.start()])}({_inner(variable[2] or '*')})"
        fields.append(variable[1])
        end = variable.end()
    pattern += re.escape(rule.uri[end:])
    return Route(
        verb=rule.verb, pattern=re.compile(f"^{pattern}$"), fields=tuple(fields), body=rule.body, method=method
    )


def _inner(form: str) -> str:
    parts = form.split("/")
    return "/".join(
        _PROJECT if (before, part) == ("projects", "*") else _PARTS.get(part, re.escape(part))
        for before, part in zip(["", *parts], parts, strict=False)
    )


def _put(content: dict[str, Any], descriptor: Any, dotted: str, values: Sequence[str]) -> None:
    """Put text from path or query where its field is, in the form that JSON has for it."""
    first, _, rest = dotted.partition(".")
    field = descriptor.fields_by_name.get(first) or next((f for f in descriptor.fields if f.json_name == first), None)
    if field is None:
        raise ValueError(f'Unknown name "{dotted}": Cannot bind query parameter.')
    if rest:
        if field.message_type is None:
            raise ValueError(f'Unknown name "{dotted}": {field.name} has no fields.')
        _put(content.setdefault(field.name, {}), field.message_type, rest, values)
        return
    typed = [value == "true" if field.cpp_type == field.CPPTYPE_BOOL else value for value in values]
    content[field.name] = typed if field.is_repeated else typed[-1]
