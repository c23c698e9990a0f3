"""What of a request is kept in the record of calls."""

from __future__ import annotations

from typing import Any

from cloudmlops.emulators.core.answering import Asked


def recorded(asked: Asked) -> dict[str, Any]:
    """Return the query, and a body that is JSON."""
    kept: dict[str, Any] = {"query": dict(asked.query)}
    if asked.body and "json" in asked.headers.get("content-type", ""):
        kept["body"] = asked.json()
    return kept
