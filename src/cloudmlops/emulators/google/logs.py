"""Cloud Logging: entries are written, listed and filtered."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from uuid import uuid4

from cloudmlops.emulators.core.answering import Answer, Asked, answer_json, app
from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.core.service import Service, Surroundings
from cloudmlops.emulators.google.access import Access
from cloudmlops.emulators.google.aiplatform.names import Projects
from cloudmlops.emulators.google.log_filter import SEVERITIES, compiled
from cloudmlops.emulators.google.payloads import Many, Named, Type, typed
from cloudmlops.emulators.google.tokens import Tokens
from cloudmlops.emulators.google.wire import Route, finder, json_object, recorded_json, refusal

_DOMAIN: Final = "logging.googleapis.com"
_PAYLOADS: Final = frozenset({"textPayload", "jsonPayload", "protoPayload"})
_MOST: Final = 1000
_LISTING_TYPES: Final[Mapping[str, Type]] = {
    "filter": "text",
    "orderBy": "text",
    "pageSize": "whole",
    "pageToken": "text",
    "projectIds": Many("text"),
    "resourceNames": Many("text"),
}
_WRITING_TYPES: Final[Mapping[str, Type]] = {
    "dryRun": "flag",
    "entries": Many({"labels": Named("text"), "logName": "text", "resource": {"type": "text"}}),
    "labels": Named("text"),
    "logName": "text",
    "resource": {"type": "text"},
}


def timestamp(moment: datetime) -> str:
    """Write a moment as Google's JSON does, always with microseconds, so that texts sort as moments do."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Logs:
    """All entries."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._clock = surroundings.clock
        self._entries = surroundings.state.table("log_entries")
        self._state = surroundings.state
        self._projects = Projects(surroundings.state)
        """A project's logs are kept under its id, whether they are named by that or by its number."""

    def write(self, entries: Iterable[Mapping[str, Any]]) -> None:
        """Keep entries; one with a known log, time and insert id is the same one again.

        Raises:
            Refused: One is malformed.
        """
        prepared = [self._prepared(entry) for entry in entries]
        with self._state.transaction():
            for entry in prepared:
                key = f"{_parent(entry['logName'])}|{entry['timestamp']}|{entry['insertId']}|{entry['logName']}"
                self._entries.put(key, json.dumps(entry).encode())

    def list(self, parents: Iterable[str], text: str = "", *, newest_first: bool = False) -> list[dict[str, Any]]:
        """Return the entries of some projects that match a filter, by their time.

        Raises:
            Refused: The filter is unreadable.
        """
        matches = compiled(text)
        found = [
            entry
            for parent in dict.fromkeys(map(self._projects.by_id, parents))
            for _, data in self._entries.items(f"{parent}|")
            if matches(entry := json.loads(data))
        ]
        found.sort(key=lambda entry: (entry["timestamp"], entry["insertId"]), reverse=newest_first)
        return found

    def names(self, parent: str) -> Sequence[str]:
        """Return the names of a project's logs."""
        found = self._entries.items(f"{self._projects.by_id(parent)}|")
        return sorted({json.loads(data)["logName"] for _, data in found})

    def delete(self, name: str) -> bool:
        """Forget a log; False when there is none."""
        name = self._projects.by_id(name)
        with self._state.transaction():
            gone = [key for key, _ in self._entries.items(f"{_parent(name)}|") if key.endswith(f"|{name}")]
            for key in gone:
                self._entries.delete(key)
        return bool(gone)

    def _prepared(self, entry: Mapping[str, Any]) -> dict[str, Any]:
        now = timestamp(self._clock.now())
        name = self._projects.by_id(str(entry.get("logName", "")))
        if "/logs/" not in name:
            raise Refused("INVALID_ARGUMENT", f"Log name {name!r} is not of the form projects/PROJECT/logs/LOG_ID.")
        if len(_PAYLOADS & entry.keys()) > 1:
            raise Refused("INVALID_ARGUMENT", "An entry has one payload: textPayload, jsonPayload or protoPayload.")
        if not (entry.get("resource") or {}).get("type"):
            raise Refused("INVALID_ARGUMENT", "Log entries must have a monitored resource.")
        severity = str(entry.get("severity", "DEFAULT"))
        if severity not in SEVERITIES:
            raise Refused("INVALID_ARGUMENT", f"{severity!r} is no severity.")
        moment = now
        if written := entry.get("timestamp"):
            try:
                moment = timestamp(datetime.fromisoformat(str(written)))
            except ValueError as error:
                raise Refused("INVALID_ARGUMENT", f"Invalid timestamp {written!r}.") from error
        return {
            "insertId": uuid4().hex[:16],
            **entry,
            "logName": name,
            "severity": severity,
            "timestamp": moment,
            "receiveTimestamp": now,
        }


def logging_service(surroundings: Surroundings, logs: Logs, *, tokens: Tokens, access: Access) -> Service:
    """Serve Cloud Logging v2 over REST."""
    wire = _Wire(logs, tokens, access)
    routes = (
        Route("POST", "/v2/entries:list", "entries.list", wire.list),
        Route("POST", "/v2/entries:write", "entries.write", wire.write),
        Route("GET", "/v2/projects/{project}/logs", "logs.list", wire.names),
        Route("DELETE", "/v2/projects/{project}/logs/{log}", "logs.delete", wire.delete),
    )
    return Service(
        name="logging",
        hosts=(_DOMAIN,),
        paths=("/v2/entries:*", "/v2/projects/*/logs"),
        http=app(surroundings, "logging", find=finder(routes), refusal=refusal(_DOMAIN), recorded=recorded_json),
    )


class _Wire:
    def __init__(self, logs: Logs, tokens: Tokens, access: Access) -> None:
        self._logs = logs
        self._tokens = tokens
        self._access = access

    def list(self, asked: Asked) -> Answer:
        content = typed(json_object(asked), _LISTING_TYPES)
        parents = [*content.get("resourceNames", []), *(f"projects/{name}" for name in content.get("projectIds", []))]
        if not parents:
            raise Refused("INVALID_ARGUMENT", "The resource_names field is required.")
        if unknown := [parent for parent in parents if parent.split("/")[0] != "projects"]:
            raise Refused("UNIMPLEMENTED", f"Entries of {unknown[0]} are not emulated, those of projects are.")
        for parent in parents:
            self._allow(asked, "logging.logEntries.list", parent)
        order = content.get("orderBy") or "timestamp asc"
        if order not in ("timestamp asc", "timestamp desc"):
            raise Refused("INVALID_ARGUMENT", f"Unsupported order_by {order!r}.")
        size = min(content.get("pageSize") or 50, _MOST)
        if size < 0:
            raise Refused("INVALID_ARGUMENT", "page_size must not be negative.")
        start = _place(content.get("pageToken"))
        found = self._logs.list(
            ("/".join(parent.split("/")[:2]) for parent in parents),
            content.get("filter", ""),
            newest_first=order.endswith("desc"),
        )
        page: dict[str, Any] = {"entries": found[start : start + size]} if found else {}
        if start + size < len(found):
            page["nextPageToken"] = base64.urlsafe_b64encode(str(start + size).encode()).decode()
        return answer_json(page)

    def write(self, asked: Asked) -> Answer:
        content = typed(json_object(asked), _WRITING_TYPES)
        common = {name: content[name] for name in ("logName", "resource") if name in content}
        labels = content.get("labels", {})
        entries = [
            {**common, **entry, "labels": {**labels, **entry.get("labels", {})}} for entry in content.get("entries", [])
        ]
        for parent in {_parent(str(entry.get("logName", ""))) for entry in entries}:
            self._allow(asked, "logging.logEntries.create", parent)
        if not content.get("dryRun"):
            self._logs.write(entries)
        return answer_json({})

    def names(self, asked: Asked, *, project: str) -> Answer:
        self._allow(asked, "logging.logs.list", f"projects/{project}")
        return answer_json({"logNames": self._logs.names(f"projects/{project}")})

    def delete(self, asked: Asked, *, project: str, log: str) -> Answer:
        self._allow(asked, "logging.logs.delete", f"projects/{project}")
        if not self._logs.delete(f"projects/{project}/logs/{log.replace('/', '%2F')}"):
            raise Refused("NOT_FOUND", f"Log {log} was not found.")
        return answer_json({})

    def _allow(self, asked: Asked, permission: str, resource: str) -> None:
        self._access.check(self._tokens.principal(asked.headers.get("authorization")), permission, resource)


def _parent(log_name: str) -> str:
    return log_name.partition("/logs/")[0]


def _place(token: str | None) -> int:
    if not token:
        return 0
    try:
        return int(base64.urlsafe_b64decode(token))
    except ValueError as error:
        raise Refused("INVALID_ARGUMENT", "page_token is invalid.") from error
