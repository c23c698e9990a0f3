"""Lists in pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from cloudmlops.emulators.google.bigquery.refusals import invalid

T = TypeVar("T")


def number(query: Mapping[str, Any], name: str, default: int) -> int:
    """Read a whole number of a request.

    Raises:
        Refused: It is none, or negative.
    """
    text = query.get(name)
    if text is None or text == "":
        return default
    try:
        value = int(text)
    except (TypeError, ValueError) as error:
        raise invalid(f"Invalid value for {name}: {text}") from error
    if value < 0:
        raise invalid(f"Invalid value for {name}: {text}")
    return value


def page(items: Sequence[T], query: Mapping[str, Any], *, most: int = 1000) -> tuple[Sequence[T], dict[str, str]]:
    """Return one page, and how to ask for the next."""
    first = number({"pageToken": query.get("pageToken")}, "pageToken", 0)
    size = min(number(query, "maxResults", most), most)
    rest = {"nextPageToken": str(first + size)} if first + size < len(items) and size else {}
    return items[first : first + size], rest


def flag(query: Mapping[str, Any], name: str) -> bool:
    """Read a truth value of a request."""
    return str(query.get(name, "")).lower() in {"true", "1"}
