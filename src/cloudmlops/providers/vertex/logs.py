"""What containers wrote, from Cloud Logging."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from cloudmlops.providers.vertex.rest import Rest

HOST: Final = "logging.googleapis.com"
_PAGE: Final = 1000


def log_entries(rest: Rest, project: str, text: str, *, operation: str, resource: str) -> Iterator[Mapping[str, Any]]:
    """Yield the entries that match a filter of Cloud Logging's, the earliest first."""
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
        yield from page.get("entries", ())
        if not (token := page.get("nextPageToken", "")):
            return


def log_lines(rest: Rest, project: str, text: str, *, operation: str, resource: str) -> Iterator[str]:
    """Yield the lines of the entries that match a filter of Cloud Logging's, the earliest first."""
    return map(line_of, log_entries(rest, project, text, operation=operation, resource=resource))


def line_of(entry: Mapping[str, Any]) -> str:
    """Return what an entry says, without an end of line."""
    if "textPayload" in entry:
        return str(entry["textPayload"])
    payload = entry.get("jsonPayload", {})
    return str(payload.get("message", payload))
