"""Lists, page by page."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

from cloudmlops.emulators.azure.arm.errors import UserError
from cloudmlops.emulators.azure.arm.routes import ArmRequest
from cloudmlops.emulators.core.answering import Answer, answer_json
from cloudmlops.emulators.core.faults import Refused

PAGE: Final = 30
"""How many are on a page when nobody says."""


def paged(
    request: ArmRequest, found: Sequence[dict[str, Any]], *, size: int = PAGE, at: str = "https://management.azure.com"
) -> Answer:
    """Answer with a page of a list, and with where the next one begins.

    Who gives `$top` is led to the rest, too (recorded: azure-sdk-assets, azure-ai-ml 1.32, 2026-03, `component`).
    A page begins after the last of the one before: what is made or deleted in between neither hides nor repeats others.

    Args:
        request: For the list.
        found: All that is in it.
        size: How many are on a page when nobody says.
        at: What the request's path is below.

    Raises:
        Refused: The token of the page is none, or a number is given for one.
    """
    begin = _begin(found, _decoded(request.query("$skipToken")))
    top = request.query("$top")
    if top and not (top.isdigit() and int(top)):
        raise Refused("INVALID_ARGUMENT", f"$top must be a positive number, not {top}.", reason="InvalidTopValue")
    page = found[begin : begin + min(size, int(top) if top else size)]
    body: dict[str, Any] = {"value": list(page)}
    if page and begin + len(page) < len(found):
        pairs = [(name, value) for name, value in parse_qsl(request.asked.raw_query) if name.lower() != "$skiptoken"]
        query = urlencode([*pairs, ("$skipToken", _encoded(_mark(page[-1])))])
        body["nextLink"] = f"{at}{request.path}?{query}"
    return answer_json(body)


def page_size(request: ArmRequest, name: str, default: int = PAGE) -> int:
    """Return how many are to be on a page.

    Args:
        request: For the list.
        name: Of what says it, such as `count`.
        default: When nobody says.

    Raises:
        Refused: It is no positive number.
    """
    given = request.query(name) or str(default)
    if not (given.isdigit() and int(given)):
        raise UserError("INVALID_ARGUMENT", f"{name} must be a positive number, not {given}.")
    return int(given)


def _begin(found: Sequence[dict[str, Any]], after: str) -> int:
    """Return where the page begins that follows what has a mark, in a list of either order."""
    if not after:
        return 0
    marks = [_mark(one) for one in found]
    if after in marks:
        return marks.index(after) + 1
    falling = len(marks) > 1 and marks[0] > marks[-1]
    return sum(1 for mark in marks if (mark > after if falling else mark < after))


def _mark(resource: dict[str, Any]) -> str:
    return f"{resource['systemData']['createdAt']} {resource['name']}"


def _encoded(mark: str) -> str:
    return base64.urlsafe_b64encode(mark.encode()).decode()


def _decoded(token: str) -> str:
    try:
        return base64.urlsafe_b64decode(token).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise Refused("INVALID_ARGUMENT", f"The continuation token {token} is invalid.") from error
