"""Which function answers a request, and which action it takes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from cloudmlops.emulators.azure.entra.tokens import Caller
from cloudmlops.emulators.core.answering import Answer, Asked

_NAME: Final = re.compile(r"\{(\w+)\}")
_SCOPE: Final = "{scope}"
_VERBS: Final = {"GET": "read", "HEAD": "read", "PUT": "write", "PATCH": "write", "DELETE": "delete"}


@dataclass(frozen=True, kw_only=True, slots=True)
class ArmRequest:
    """A request that was let in."""

    asked: Asked
    caller: Caller
    path: str
    """Without a slash at the end; of a resource it is its id."""
    names: Mapping[str, str]
    """What the route's `{name}`s stand for."""
    version: str
    """The api-version."""

    @property
    def body(self) -> dict[str, Any]:
        """What was sent, as JSON; empty when nothing was."""
        content: dict[str, Any] = self.asked.json()
        return content

    def query(self, name: str, default: str = "") -> str:
        """Return what is given under a name, however it is written."""
        return next((value for key, value in self.asked.query.items() if key.lower() == name.lower()), default)


Handler = Callable[[ArmRequest], Answer]


@dataclass(frozen=True, kw_only=True, slots=True)
class Route:
    """One path with a method."""

    method: str
    path: str
    action: str
    """That it takes, such as `Microsoft.MachineLearningServices/workspaces/models/write`; empty asks nobody."""
    handler: Handler
    pattern: re.Pattern[str]
    as_one: bool
    """Whether nobody else changes anything while it is answered, and a refusal undoes what was done."""

    @property
    def operation(self) -> str:
        """The name of its calls, such as `PUT workspaces/models/versions`."""
        return f"{self.method} {'/'.join(_types(self.path)[1:])}"


class Routes:
    """All that is emulated, looked up without regard to case as Azure Resource Manager does."""

    def __init__(self) -> None:
        self._routes: list[Route] = []

    def add(self, method: str, path: str, handler: Handler, *, action: str | None = None, as_one: bool = False) -> None:
        """Let a function answer.

        Args:
            method: Of HTTP.
            path: With `{name}` for parts that are names, from `/subscriptions` on.
            handler: What answers.
            action: What the caller must be allowed; None is the one that follows from path and method.
            as_one: Answer in one transaction of the state: for what touches that alone, and waits for nobody.
        """
        pattern = "".join(map(_pattern, re.split(r"(\{\w+\})", path)))
        self._routes.append(
            Route(
                method=method,
                path=path,
                action=action_of(method, path) if action is None else action,
                handler=handler,
                pattern=re.compile(pattern, re.IGNORECASE),
                as_one=as_one,
            )
        )

    def add_at_any_scope(self, method: str, path: str, handler: Handler, *, as_one: bool = False) -> None:
        """Let a function answer for a path below any resource, group or subscription, or the root: its `{scope}`."""
        self.add(method, "{scope}" + path, handler, as_one=as_one)

    def find(self, method: str, path: str) -> tuple[Route, Mapping[str, str]] | None:
        """Return the route of a path, and what its names stand for."""
        for route in self._routes:
            if route.method == method and (found := route.pattern.fullmatch(path)) is not None:
                return route, found.groupdict()
        return None

    def __iter__(self) -> Any:
        return iter(self._routes)


def _pattern(part: str) -> str:
    if part == _SCOPE:
        return "(?P<scope>(?:/[^/]+)*?)"
    return f"(?P<{part[1:-1]}>[^/]+)" if _NAME.fullmatch(part) else re.escape(part)


def action_of(method: str, path: str) -> str:
    """Return the action that a call takes: namespace and types of the path, and a verb by the method.

    >>> action_of("POST", "/subscriptions/{s}/providers/Microsoft.Search/searchServices/{name}/listAdminKeys")
    'Microsoft.Search/searchServices/listAdminKeys/action'
    """
    types = "/".join(_types(path))
    return f"{types}/{_VERBS.get(method, 'action')}"


def _types(path: str) -> list[str]:
    """Return namespace and types of a path: the parts that are no names, from the last `providers` on."""
    parts = path.strip("/").split("/")
    if "providers" in parts:
        last = len(parts) - 1 - parts[::-1].index("providers")
        return [part for part in parts[last + 1 :] if not _NAME.fullmatch(part)]
    return ["Microsoft.Resources", *(part for part in parts if not _NAME.fullmatch(part))]
