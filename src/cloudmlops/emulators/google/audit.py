"""Audit logs: every call that changed something is an entry of Cloud Logging and an event for those who wait for it."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any, Final, Literal
from uuid import uuid4

from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.core.service import Surroundings
from cloudmlops.emulators.google.access import Access
from cloudmlops.emulators.google.aiplatform.names import Projects
from cloudmlops.emulators.google.logs import Logs, timestamp
from cloudmlops.emulators.google.pushing import Push, Pusher, check_target

EVENT_TYPE: Final = "google.cloud.audit.log.v1.written"
_SCHEMA: Final = (
    "https://googleapis.github.io/google-cloudevents/jsonschema/google/events/cloud/audit/v1/LogEntryData.json"
)
_ALWAYS: Final = frozenset({"bigquery.googleapis.com"})
"""Services whose log of data cannot be turned off."""
_NOT_WRITTEN: Final = frozenset({"UNAUTHENTICATED", "UNIMPLEMENTED"})
"""Of a refusal that no service writes down, and of one that only an emulator has."""
_PAYLOAD: Final = "type.googleapis.com/google.cloud.audit.AuditLog"
CODES: Final = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
]
Style = Literal["eventarc", "pubsub"]
Log = Literal["activity", "data_access"]
"""Of administration, which is always written; of data, which a project has written where it wants that."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Trigger:
    """Who wants to know what. Names are patterns with `*`."""

    id: str
    url: str
    method_names: tuple[str, ...] = ("*",)
    service_name: str = "*"
    resource_name: str = "*"
    style: Style = "eventarc"
    """`eventarc`: a CloudEvent in binary mode; `pubsub`: the log entry in a Pub/Sub push, as from a log sink."""
    account: str = ""
    """E-mail address in whose name it is sent, with an identity token; empty for none."""


class Audit:
    """Writes what was changed."""

    def __init__(self, surroundings: Surroundings, logs: Logs, pusher: Pusher) -> None:
        self._clock = surroundings.clock
        self._logs = logs
        self._pusher = pusher
        self._kept = surroundings.state.table("event_triggers")
        self._projects = Projects(surroundings.state)
        self._access = Access(surroundings.state)

    def trigger(
        self,
        url: str,
        *,
        method_names: Sequence[str] = ("*",),
        service_name: str = "*",
        resource_name: str = "*",
        style: Style = "eventarc",
        account: str = "",
    ) -> Trigger:
        """Send events to an address from now on.

        Args:
            url: On this machine.
            method_names: Such as `google.cloud.aiplatform.v1.ModelService.UploadModel`; patterns.
            service_name: Such as `aiplatform.googleapis.com`; a pattern.
            resource_name: Such as `projects/*/locations/*/models/*`; a pattern.
            style: Form of what is sent.
            account: In whose name it is sent.

        Raises:
            Refused: The address is not on this machine, or a style is unknown.
        """
        check_target(url)
        if style not in ("eventarc", "pubsub"):
            raise Refused("INVALID_ARGUMENT", f"style is eventarc or pubsub, not {style!r}")
        made = Trigger(
            id=uuid4().hex[:12],
            url=url,
            method_names=tuple(method_names),
            service_name=service_name,
            resource_name=resource_name,
            style=style,
            account=account,
        )
        self._kept.put(made.id, json.dumps(asdict(made)).encode())
        return made

    def triggers(self) -> list[Trigger]:
        """Return all."""
        found = [json.loads(data) for _, data in self._kept.items()]
        return [Trigger(**{**content, "method_names": tuple(content["method_names"])}) for content in found]

    def remove(self, trigger_id: str) -> bool:
        """Remove a trigger with what it has not delivered; False when there is none."""
        self._pusher.take_back(f"triggers/{trigger_id}")
        return self._kept.delete(trigger_id)

    def mutated(
        self,
        service_name: str,
        method_name: str,
        resource_name: str,
        request: Mapping[str, Any] | None,
        response: Mapping[str, Any] | None,
        status: str = "OK",
        operation: tuple[str, bool, bool] | None = None,
        *,
        principal: str = "",
        permission: str = "",
        message: str = "",
        resource_type: str = "audited_resource",
        log: Log = "activity",
        project: str = "",
        labels: Mapping[str, str] | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        """Write down that something was changed, or that somebody tried; of data only where the project wants that.

        Args:
            service_name: Such as `aiplatform.googleapis.com`.
            method_name: Such as `google.cloud.aiplatform.v1.ModelService.UploadModel`.
            resource_name: What was changed; it begins with `projects/`.
            request: As JSON; None where the service does not tell it.
            response: As JSON; None where there is none.
            status: A name of `google.rpc.Code`.
            operation: Id of the long-running operation, whether this entry is its first, whether it is its last.
            principal: E-mail address of who did it.
            permission: That was needed.
            message: Of an error.
            resource_type: Of the monitored resource.
            log: Which of the project's logs it belongs to.
            project: Id of the project whose log it is; empty for that of the resource's name.
            labels: Of the monitored resource; None for those that most services have.
            more: Other parts of the payload, such as `metadata`.
        """
        name = self._projects.by_id(resource_name)
        project = self._projects.id(project) if project else _project(name)
        if log == "data_access" and service_name not in _ALWAYS and not self._access.logs_data(service_name, project):
            return
        refused = status == "PERMISSION_DENIED"
        payload = {
            "serviceName": service_name,
            "methodName": method_name,
            "resourceName": name,
            "authenticationInfo": {"principalEmail": principal} if principal else {},
            "authorizationInfo": [{"resource": name, "permission": permission, "granted": not refused}]
            if permission
            else [],
            "requestMetadata": {"callerIp": "127.0.0.1"},
            **({"request": dict(request)} if request is not None else {}),
            **({"response": dict(response)} if response is not None else {}),
            **(more or {}),
            "status": {} if status == "OK" else {"code": CODES.index(status), "message": message or status},
        }
        resource = {
            "type": resource_type,
            "labels": {"project_id": project, **(labels or {"service": service_name, "method": method_name})},
        }
        entry = self._entry(
            payload, operation, resource, log=f"projects/{project}/logs/cloudaudit.googleapis.com%2F{log}"
        )
        self._logs.write([entry])
        for trigger in self.triggers():
            if (
                fnmatchcase(service_name, trigger.service_name)
                and fnmatchcase(name, trigger.resource_name)
                and any(fnmatchcase(method_name, pattern) for pattern in trigger.method_names)
            ):
                self._pusher.send(self._push(trigger, entry))

    def refused(self, refused: Refused, **told: Any) -> None:
        """Write down that somebody tried to change something, and was refused; what is told is as of `mutated`."""
        if refused.code not in _NOT_WRITTEN:
            self.mutated(response=None, status=refused.code, message=refused.message, **told)

    @contextmanager
    def trying(self, **told: Any) -> Iterator[None]:
        """Write it down when what is done within is refused; what is told is as of `mutated`.

        Raises:
            Refused: What was raised within.
        """
        try:
            yield
        except Refused as refused:
            self.refused(refused, **told)
            raise

    def _entry(
        self,
        payload: dict[str, Any],
        operation: tuple[str, bool, bool] | None,
        resource: Mapping[str, Any],
        *,
        log: str,
    ) -> dict[str, Any]:
        now = timestamp(self._clock.now())
        quiet = "NOTICE" if log.endswith("activity") else "INFO"
        entry: dict[str, Any] = {
            "protoPayload": {"@type": _PAYLOAD, **payload},
            "insertId": uuid4().hex[:16],
            "resource": resource,
            "timestamp": now,
            "receiveTimestamp": now,
            "severity": "ERROR" if payload["status"] else quiet,
            "logName": log,
        }
        if operation is not None:
            identity, first, last = operation
            told = {name: True for name, value in (("first", first), ("last", last)) if value}
            entry["operation"] = {"id": identity, "producer": payload["serviceName"], **told}
        return entry

    def _push(self, trigger: Trigger, entry: Mapping[str, Any]) -> Push:
        headers, body = (_cloud_event if trigger.style == "eventarc" else _message)(entry, trigger)
        return Push(
            tag=f"triggers/{trigger.id}",
            url=trigger.url,
            headers=headers,
            body=body,
            since=self._clock.now().isoformat(),
            account=trigger.account,
        )


def _cloud_event(entry: Mapping[str, Any], _: Trigger) -> tuple[dict[str, str], str]:
    payload = entry["protoPayload"]
    project = entry["resource"]["labels"]["project_id"]
    moment = datetime.fromisoformat(entry["timestamp"])
    headers = {
        "content-type": "application/json; charset=utf-8",
        "ce-specversion": "1.0",
        "ce-type": EVENT_TYPE,
        "ce-id": f"{entry['logName']}{entry['insertId']}{int(moment.timestamp() * 1_000_000)}",
        "ce-source": f"//cloudaudit.googleapis.com/projects/{project}/logs/{entry['logName'].rpartition('%2F')[2]}",
        "ce-subject": f"{payload['serviceName']}/{payload['resourceName']}",
        "ce-time": entry["timestamp"],
        "ce-recordedtime": entry["timestamp"],
        "ce-dataschema": _SCHEMA,
        "ce-servicename": payload["serviceName"],
        "ce-methodname": payload["methodName"],
        "ce-resourcename": payload["resourceName"],
    }
    return headers, json.dumps(entry)


def _message(entry: Mapping[str, Any], trigger: Trigger) -> tuple[dict[str, str], str]:
    project = entry["resource"]["labels"]["project_id"]
    message = {
        "data": base64.b64encode(json.dumps(entry).encode()).decode(),
        "attributes": {"logging.googleapis.com/timestamp": entry["timestamp"]},
        "messageId": str(int(entry["insertId"], 16)),
        "publishTime": entry["timestamp"],
    }
    body = {"message": message, "subscription": f"projects/{project}/subscriptions/{trigger.id}"}
    return {"content-type": "application/json"}, json.dumps(body)


def _project(resource_name: str) -> str:
    parts = resource_name.split("/")
    return parts[1] if parts[0] == "projects" and len(parts) > 1 else "_"
