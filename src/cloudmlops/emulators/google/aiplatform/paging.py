"""`order_by` and pages of list methods (AIP-132, AIP-158).

A page begins after the last of the one before, wherever that now is: what was there throughout is neither left out nor
shown twice when something is made or deleted in between.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cmp_to_key
from typing import Any, Final, TypeVar

from google.protobuf.message import Message

from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.google.aiplatform.filtering import Functions, test_of
from cloudmlops.emulators.google.aiplatform.paths import values_of

_MESSAGE = TypeVar("_MESSAGE", bound=Message)
Key = list[Any]
"""Texts, numbers and lists of them, so that it can be written in a token."""
Natural = Callable[[Any], Key]
"""Tells what an order that the caller gives leaves open; no two of a list have the same."""
_DEFAULT_PAGE: Final = 100
_LARGEST_PAGE: Final = 1000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def by_name(message: Any) -> Key:
    """Order by resource name."""
    return [message.name]


def newest_first(message: Any) -> Key:
    """Order by time of creation, the newest first."""
    return [-message.create_time.ToNanoseconds(), message.name]


def page(
    found: Sequence[_MESSAGE],
    request: Any,
    *,
    kind: type[_MESSAGE],
    natural: Natural = by_name,
    functions: Functions | None = None,
) -> tuple[list[_MESSAGE], str]:
    """Filter, order and cut what was found, as a list method's request asks.

    Args:
        found: All that there is.
        request: Of the list method.
        kind: What is listed: its fields are known also where nothing was found.
        natural: The order that the request leaves open.
        functions: What the filter may call.

    Returns:
        This page, and the token of the next; the token is empty on the last.

    Raises:
        Refused: Filter, order, size or token are not understood, or the token is of another question.
    """
    asked = {field.name for field in request.DESCRIPTOR.fields}
    test = test_of(request.filter if "filter" in asked else "", functions or {}, kind)
    order = _Order.read(request.order_by if "order_by" in asked else "", natural)
    for path in order.paths:
        _sortable(kind(), path)
    if request.page_size < 0:
        raise Refused("INVALID_ARGUMENT", f"The page size {request.page_size} is negative.")
    question = _question(request)
    last = _last(request.page_token, question)
    wanted = order.sorted([message for message in found if test(message)])
    if last is not None:
        wanted = order.after(last, wanted)
    size = min(request.page_size or _DEFAULT_PAGE, _LARGEST_PAGE)
    part = wanted[:size]
    token = _token(order.key(part[-1]), question) if len(wanted) > size else ""
    return [shown(message, request) for message in part], token


def shown(message: _MESSAGE, request: Any) -> _MESSAGE:
    """Return what of a message a request's `read_mask` asks for: without one, or with `*`, all.

    Raises:
        Refused: The mask names a field that does not exist.
    """
    if "read_mask" not in request.DESCRIPTOR.fields_by_name or not request.read_mask.paths:
        return message
    if "*" in request.read_mask.paths:
        return message
    if not request.read_mask.IsValidForDescriptor(message.DESCRIPTOR):
        told = f"Invalid read mask of a {message.DESCRIPTOR.name}: {', '.join(request.read_mask.paths)}."
        raise Refused("INVALID_ARGUMENT", told)
    part: _MESSAGE = type(message)()
    request.read_mask.MergeMessage(message, part)
    return part


@dataclass(frozen=True, slots=True)
class _Order:
    paths: tuple[str, ...]
    signs: tuple[int, ...]
    """By path, and of what is natural: 1 for the smallest first, -1 for the greatest."""
    natural: Natural

    @classmethod
    def read(cls, order_by: str, natural: Natural) -> _Order:
        """Read fields such as `create_time desc, display_name`."""
        paths, signs = [], []
        for part in order_by.split(",") if order_by.strip() else ():
            path, _, direction = part.strip().partition(" ")
            direction = direction.strip().lower()
            if not path or direction not in ("", "asc", "desc"):
                raise Refused("INVALID_ARGUMENT", f"Invalid order_by: {order_by}")
            paths.append(path)
            signs.append(-1 if direction == "desc" else 1)
        return cls(tuple(paths), (*signs, 1), natural)

    def key(self, message: Message) -> Key:
        return [*(_sortable(message, path) for path in self.paths), self.natural(message)]

    def sorted(self, found: Sequence[_MESSAGE]) -> list[_MESSAGE]:
        ranked = cmp_to_key(self._compared)
        return sorted(found, key=lambda message: ranked(self.key(message)))

    def after(self, last: Key, found: Sequence[_MESSAGE]) -> list[_MESSAGE]:
        try:
            return [message for message in found if self._compared(self.key(message), last) > 0]
        except (TypeError, ValueError) as error:  # a key that no list of this kind gives
            raise _invalid_token() from error

    def _compared(self, one: Key, other: Key) -> int:
        for sign, mine, theirs in zip(self.signs, one, other, strict=True):
            if mine != theirs:
                return sign if mine > theirs else -sign
        return 0


def _sortable(message: Message, path: str) -> Key:
    values = values_of(message, path)
    if not values:
        return []
    value = values[0]
    if isinstance(value, datetime):
        elapsed = value - _EPOCH
        return [elapsed.days, elapsed.seconds, elapsed.microseconds]
    if not isinstance(value, str | int | float):
        raise Refused("INVALID_ARGUMENT", f"Invalid order_by: nothing is ordered by {path!r}")
    return [value]


def _question(request: Any) -> str:
    """Return what tells one question from another; how large its pages are, and which is wanted, may change."""
    asked = type(request).FromString(request.SerializeToString())
    asked.ClearField("page_token")
    asked.ClearField("page_size")
    return hashlib.sha256(asked.SerializeToString(deterministic=True)).hexdigest()[:16]


def _token(last: Key, question: str) -> str:
    return base64.urlsafe_b64encode(json.dumps([question, last]).encode()).decode()


def _last(token: str, question: str) -> Key | None:
    if not token:
        return None
    try:
        of, last = json.loads(base64.urlsafe_b64decode(token))
    except (ValueError, TypeError) as error:
        raise _invalid_token() from error
    if of != question:
        raise Refused("INVALID_ARGUMENT", "The page token is of a request with another parent, filter or order.")
    if not isinstance(last, list):
        raise _invalid_token()
    return last


def _invalid_token() -> Refused:
    return Refused("INVALID_ARGUMENT", "The page token is invalid.")
