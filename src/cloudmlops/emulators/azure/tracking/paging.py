"""Lists of the tracking store, page by page."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any, Final

from cloudmlops.emulators.azure.tracking.calls import Call, invalid

_SIZE: Final = 1000
_MOST: Final = 50_000


def paged(call: Call, name: str, found: Sequence[Any], *, key: str = "") -> Mapping[str, Any]:
    """Return a page of a list, and the token of the next one.

    Args:
        call: With `max_results` and `page_token`.
        name: Of the list in the answer.
        found: All of it.
        key: A field that no two have: a page begins after the last of the one before. Empty counts instead, for what
            only grows at its end.

    Raises:
        Refused: The size or the token is none.
    """
    size = call.number("max_results", _SIZE)
    if not 0 < size <= _MOST:
        raise invalid(f"Invalid value {size} for parameter 'max_results': it must be from 1 to {_MOST}.")
    begin = _begin(call.text("page_token"), found, key)
    page = list(found[begin : begin + size])
    content: dict[str, Any] = {name: page}
    if page and begin + len(page) < len(found):
        mark = str(page[-1][key]) if key else str(begin + len(page))
        content["next_page_token"] = base64.urlsafe_b64encode(mark.encode()).decode()
    return content


def _begin(token: str, found: Sequence[Any], key: str) -> int:
    if not token:
        return 0
    try:
        mark = base64.urlsafe_b64decode(token).decode()
        return [str(one[key]) for one in found].index(mark) + 1 if key else int(mark)
    except (binascii.Error, UnicodeDecodeError, ValueError) as error:
        raise invalid(f"Invalid page token {token!r}.") from error
