"""What containers wrote, from Cloud Logging."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from cloudmlops.providers.vertex.rest import Rest

HOST: Final = "logging.googleapis.com"
_PAGE: Final = 1000


def log_lines(rest: Rest, project: str, text: str, *, operation: str, resource: str) -> Iterator[str]:
    """Yield the lines of the entries that match a filter of Cloud Logging's, the earliest first."""
    token = ""
    while True:
        body = {"resourceNames": [f"projects/{project}"], "filter": text, "orderBy": "timestamp asc", "pageSize": _PAGE}
        page = rest.ask(
            "POST",
            HOST,
            "/v2/entries:list",
            body=body | ({"pageToken": token} if token else {}),
            operation=operation,
            resource=resource,
            again=True,
        )
        yield from map(_line, page.get("entries", ()))
        if not (token := page.get("nextPageToken", "")):
            return


def _line(entry: Mapping[str, Any]) -> str:
    payload = entry.get("jsonPayload", {})
    return str(entry.get("textPayload") or payload.get("message") or payload)
