"""How Google's JSON services are written: routes, and the form of an error."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final
from urllib.parse import unquote

from cloudmlops.emulators.core.answering import Answer, Asked, Operation, answer_json
from cloudmlops.emulators.core.faults import HTTP_STATUS, Refused

_PART: Final = re.compile(r"\{(\w+)\}")
_DETAIL: Final = "type.googleapis.com/google.rpc."


@dataclass(frozen=True, slots=True)
class Route:
    """One method of a service."""

    verb: str
    path: str
    """Such as `/v1/projects/{project}/topics/{topic}:publish`; a part in braces has no slash."""
    operation: str
    """As the vendor names it, such as `topics.publish`."""
    act: Callable[..., Answer]
    """Takes the request, and the parts in braces by keyword."""


def finder(routes: Sequence[Route]) -> Callable[[Asked], tuple[str, Operation]]:
    """Return what finds the method for a request, for `answering.app`."""
    # The most literal first: `…/topics/{topic}:publish` before `…/topics/{topic}`.
    ordered = sorted(routes, key=lambda route: -len(_PART.sub("", route.path)))
    compiled = [(route, re.compile(_pattern(route.path))) for route in ordered]

    def find(asked: Asked) -> tuple[str, Operation]:
        # As it was sent, for a log's name holds `%2F`; some clients write the colon of `:publish` as `%3A`.
        path = asked.raw_path.replace("%3A", ":").replace("%3a", ":")
        for route, pattern in compiled:
            if asked.method == route.verb and (found := pattern.fullmatch(path)):
                parts = {name: unquote(part) for name, part in found.groupdict().items()}
                return route.operation, partial(_called, route.act, parts)
        raise Refused("UNIMPLEMENTED", f"{asked.method} {asked.path} at {asked.host} is not emulated.")

    return find


def refusal(domain: str) -> Callable[[Refused], Answer]:
    """Return what writes a refusal as a service of Google's writes it in JSON."""

    def write(refused: Refused) -> Answer:
        status = HTTP_STATUS[refused.code]
        error: dict[str, Any] = {"code": status, "message": refused.message, "status": refused.code}
        details: list[dict[str, Any]] = []
        if refused.reason:
            details.append({"@type": f"{_DETAIL}ErrorInfo", "reason": refused.reason, "domain": domain})
        headers = {}
        if refused.retry_after_seconds is not None:
            details.append({"@type": f"{_DETAIL}RetryInfo", "retryDelay": f"{refused.retry_after_seconds:g}s"})
            headers["retry-after"] = f"{refused.retry_after_seconds:g}"
        if details:
            error["details"] = details
        return answer_json({"error": error}, status=status, headers=headers)

    return write


def recorded_json(asked: Asked) -> Mapping[str, Any]:
    """Return what is kept of a request: its body, if that is a JSON object."""
    content = asked.json()
    return content if isinstance(content, dict) else {"body": content}


def json_object(asked: Asked) -> dict[str, Any]:
    """Read the body as a JSON object.

    Raises:
        Refused: It is none.
    """
    content = asked.json()
    if not isinstance(content, dict):
        raise Refused("INVALID_ARGUMENT", "Invalid JSON payload received. A JSON object is wanted.")
    return content


def _pattern(path: str) -> str:
    pieces = _PART.split(path)
    return "".join(re.escape(piece) if place % 2 == 0 else f"(?P<{piece}>[^/]+?)" for place, piece in enumerate(pieces))


def _called(act: Callable[..., Answer], parts: Mapping[str, str], asked: Asked) -> Answer:
    return act(asked, **parts)
