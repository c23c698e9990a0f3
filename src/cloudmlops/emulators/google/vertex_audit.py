"""What audit logs say of Vertex AI's calls and of the operations that they begin."""

from __future__ import annotations

import json
from typing import Any, Final

from google.longrunning.operations_pb2 import Operation
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from cloudmlops.emulators.core.faults import HTTP_STATUS, Refused
from cloudmlops.emulators.core.state import State
from cloudmlops.emulators.google.aiplatform.catalogue import Method
from cloudmlops.emulators.google.aiplatform.handling import Asking, Vertex
from cloudmlops.emulators.google.aiplatform.names import subject_of
from cloudmlops.emulators.google.aiplatform.permissions import permission
from cloudmlops.emulators.google.audit import CODES, Audit

_SERVICE: Final = "aiplatform.googleapis.com"


class VertexAudit:
    """Writes audit logs for Vertex AI."""

    def __init__(self, vertex: Vertex, state: State, audit: Audit) -> None:
        self._vertex = vertex
        self._audit = audit
        self._state = state
        self._begun = state.table("audited_operations")
        vertex.operations.ended = self.ended

    def mutated(self, method: Method, request: Message, response: Message | Refused, asking: Asking) -> None:
        """Write that something was changed, or was to be; of a long-running operation, its beginning."""
        if (told := _told(method, request, asking.principal)) is None:
            return
        subject = subject_of(request)
        if isinstance(response, Refused):
            self._audit.refused(response, resource_name=subject, **told)
            return
        if not isinstance(response, Operation):
            name = str(getattr(response, "name", "")) or subject
            self._audit.mutated(resource_name=name, response=MessageToDict(response), **told)
            return
        self._begun.put(response.name, json.dumps({**told, "resource_name": subject}).encode())
        begun = Operation(name=response.name, metadata=response.metadata)
        self._audit.mutated(
            resource_name=subject,
            response=MessageToDict(begun),
            operation=(response.name, True, False),
            **told,
        )
        now = self._vertex.operations.get(response.name)
        if now.done:
            self.ended(now)

    def ended(self, operation: Any) -> None:
        """Write that an operation whose beginning was written has ended."""
        with self._state.transaction():
            data = self._begun.get(operation.name)
            if data is None or not self._begun.delete(operation.name):
                return
        told = json.loads(data)
        if operation.HasField("error"):
            response, status, message = None, CODES[operation.error.code], operation.error.message
        else:
            response, status, message = MessageToDict(operation.response), "OK", ""
            made = response.get("name") or response.get("model")
            if made:
                told |= {"resource_name": str(made), "resource_type": _monitored(str(made))}
        self._audit.mutated(
            response=response,
            status=status if status in HTTP_STATUS or status == "OK" else "UNKNOWN",
            message=message,
            operation=(operation.name, False, True),
            **told,
        )


def _told(method: Method, request: Message, principal: str) -> dict[str, Any] | None:
    """Return what an entry says of a call in any case; None of one that has none."""
    needed = permission(method)
    if needed is None:
        return None
    return {
        "service_name": _SERVICE,
        "method_name": f"google.cloud.aiplatform.{method.version}.{method.key}",
        "request": MessageToDict(request),
        "principal": principal,
        "permission": needed,
        "resource_type": _monitored(subject_of(request)),
    }


def _monitored(name: str) -> str:
    """Return the type of the monitored resource, such as `aiplatform.googleapis.com/Model`, of a resource's name."""
    parts = name.split("/")
    plural = parts[-2] if len(parts) % 2 == 0 and len(parts) > 2 else "locations"
    singular = plural.removesuffix("ies") + "y" if plural.endswith("ies") else plural.removesuffix("s")
    return f"{_SERVICE}/{singular[:1].upper()}{singular[1:]}"
