"""What a user registers for events, and which events it is for."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from typing import Any, Final

from cloudmlops.domain.events import Event, EventContext
from cloudmlops.domain.names import name_faults
from cloudmlops.errors import InvalidRequestError


@dataclass(frozen=True, kw_only=True, slots=True)
class Handler:
    """A function, the events it is for, and how often it is tried."""

    name: str
    function: Callable[[Any, EventContext], object]
    kind: type[Event]
    filters: Mapping[str, str] = field(default_factory=dict)
    """Attribute of the event to the value it must have."""
    retries: int
    backoff: timedelta
    """The pause after the first failure; each further one is twice as long, at most an hour."""

    def wants(self, event: Event) -> bool:
        return isinstance(event, self.kind) and all(
            getattr(event, name) == value for name, value in self.filters.items()
        )


def checked(handler: Handler, *, taken: frozenset[str]) -> Handler:
    """Return the handler; raise `InvalidRequestError` with all that is wrong with it."""
    faults = name_faults("handler", handler.name)
    if handler.name in taken:
        faults.append(f"another handler is named {handler.name!r}; records of what is handled go by that name")
    kind: object = handler.kind
    if not (isinstance(kind, type) and issubclass(kind, Event)):
        faults.append(f"kind must be a class of events such as ModelRegistered, not {handler.kind!r}")
    else:
        known = {known.name for known in fields(kind)}
        faults += [
            f"{kind.__name__} has no {name} to filter by; it has {', '.join(sorted(known))}"
            for name in handler.filters
            if name not in known
        ]
    retries: object = handler.retries
    if not isinstance(retries, int) or isinstance(retries, bool) or retries < 0:
        faults.append(f"retries must be 0 or more, not {retries!r}")
    backoff: object = handler.backoff
    if not isinstance(backoff, timedelta):
        faults.append(f"backoff must be a timedelta such as timedelta(seconds=5), not {backoff!r}")
    elif backoff < timedelta(0):
        faults.append(f"backoff must not be negative, but is {handler.backoff}")
    if not _takes_two(handler.function):
        faults.append("the function must take two arguments: the event and the context")
    if _is_deferred(handler.function):
        faults.append("the function must do its work when it is called: it is async or a generator, which nobody runs")
    if faults:
        raise InvalidRequestError(
            f"the event handler {handler.name!r} cannot be registered",
            hint='Write @platform.events.on(ModelRegistered, handler="validate") above def validate(event, ctx).',
            faults=faults,
        )
    return handler


def _takes_two(function: Callable[..., object]) -> bool:
    try:
        inspect.signature(function).bind(None, None)
    except TypeError:
        return False
    return True


def _is_deferred(function: Callable[..., object]) -> bool:
    while isinstance(function, functools.partial):
        function = function.func
    called = (function, getattr(type(function), "__call__", None))  # noqa: B004 an object may be called, too
    asked = (inspect.iscoroutinefunction, inspect.isasyncgenfunction, inspect.isgeneratorfunction)
    return any(is_one(each) for is_one in asked for each in called)


_NAME: Final = (
    r"(?:(?<!\w)\w*(?:token|secret|password|passwd|passphrase|credential)"
    r"|(?<!\w)\w*(?:access|account|api|shared|secret|private|signing|encryption)[_-]?key"
    r"|(?<![a-z])(?:key|pwd|sig|signature))s?"
)
_VALUE: Final = (
    r"""(?:"(?P<double>(?:\\.|[^"\\])*)(?=")|'(?P<single>(?:\\.|[^'\\])*)(?=')|["']?(?P<bare>[^\s"'&,;]+))"""
)
_SECRETS: Final = (
    re.compile(r"(?<=://)(?P<user>[^/\s]+)(?=@)"),
    re.compile(r"(?i)authorization[\"']?\s*[=:]\s*(?P<header>[^\r\n]+)"),
    re.compile(r"(?i)(?<=bearer )(?P<token>[\w.~+/=-]+)"),
    re.compile(rf"(?i){_NAME}[\"']?\s*[=:]\s*{_VALUE}"),
    re.compile(rf"(?i)(?<!\S)--?{_NAME}\s+{_VALUE}"),
)


def without_secrets(text: str) -> str:
    """Replace what looks like a password, key, token or signed address by `***`."""
    for pattern in _SECRETS:
        text = pattern.sub(_hidden, text)
    return text


def _hidden(found: re.Match[str]) -> str:
    # The group that matched last is the value, and ends the match.
    return found.group()[: found.start(found.lastgroup or 0) - found.start()] + "***"
