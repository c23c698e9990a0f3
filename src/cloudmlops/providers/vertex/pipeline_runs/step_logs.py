"""What a step's container has printed, from Cloud Logging."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from cloudmlops.providers.vertex.rest import Rest

_LOGGING: Final = "logging.googleapis.com"
_PAGE: Final = 1000


def printed(rest: Rest, project: str, container: str, *, resource: str) -> Mapping[str, str]:
    """Return all lines of a container, which is one process.

    Args:
        rest: The way to the service.
        project: Id of the project.
        container: Number of the custom job that runs it.
        resource: Whose it is, in our names.
    """
    wanted = (
        'resource.type="ml_job"',
        f'resource.labels.job_id="{container}"',
        f'logName="projects/{project}/logs/workerpool0-0"',
    )
    body = {
        "resourceNames": [f"projects/{project}"],
        "filter": " AND ".join(wanted),
        "orderBy": "timestamp asc",
        "pageSize": _PAGE,
    }
    lines: list[str] = []
    while True:
        reply = rest.ask(
            "POST", _LOGGING, "/v2/entries:list", operation="pipelines.log", resource=resource, again=True, body=body
        )
        lines += [_line(entry) for entry in reply.get("entries", ())]
        if not (token := reply.get("nextPageToken")):
            return {"": "".join(f"{line}\n" for line in lines)}
        body["pageToken"] = token


def _line(entry: Mapping[str, Any]) -> str:
    return str(entry.get("textPayload", entry.get("jsonPayload", {}).get("message", "")))
