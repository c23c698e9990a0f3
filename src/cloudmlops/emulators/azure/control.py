"""What is Azure's own in the control over HTTP, for a program in another process.

POST /-/emulator/azure/events   {"workspace": ID, "kind": "DatasetDriftDetected", "subject": …, "data": {…}}
                                tells of what nothing here causes, such as a data drift monitor's finding
"""

from __future__ import annotations

from typing import Final

from cloudmlops.emulators.azure.arm.resources import Resources
from cloudmlops.emulators.azure.eventgrid.subscribing import ML_EVENTS
from cloudmlops.emulators.azure.eventgrid.system_events import SystemEvents
from cloudmlops.emulators.core.answering import Answer, Asked, Operation, answer_json, app
from cloudmlops.emulators.core.faults import HTTP_STATUS, Refused
from cloudmlops.emulators.core.service import Service, Surroundings

_PATH: Final = "/-/emulator/azure"
_KINDS: Final = tuple(one.rpartition(".")[2] for one in ML_EVENTS)
_FIELDS: Final = frozenset({"workspace", "kind", "subject", "data"})


def control_service(surroundings: Surroundings, resources: Resources, events: SystemEvents) -> Service:
    """Make the control; it has no host, and is reached at the plain address only."""

    def tell(asked: Asked) -> Answer:
        if "origin" in asked.headers:  # a page in somebody's browser, which may be anybody's
            raise Refused("PERMISSION_DENIED", "an emulator is not controlled by a web page")
        content = asked.json()
        if not isinstance(content, dict) or not content.keys() <= _FIELDS:
            raise Refused("INVALID_ARGUMENT", f"a JSON object of {', '.join(sorted(_FIELDS))} is wanted")
        workspace, kind, data = content.get("workspace"), content.get("kind"), content.get("data", {})
        if not isinstance(workspace, str) or resources.get(workspace) is None:
            raise Refused("NOT_FOUND", f"there is no workspace {workspace!r}")
        if kind not in _KINDS:
            raise Refused("INVALID_ARGUMENT", f"{kind!r} is none of {', '.join(_KINDS)}")
        if not isinstance(data, dict):
            raise Refused("INVALID_ARGUMENT", "data is a JSON object")
        events.tell(workspace, kind, str(content.get("subject", "")), data)
        return answer_json({})

    def find(asked: Asked) -> tuple[str, Operation]:
        if (asked.method, asked.path) == ("POST", f"{_PATH}/events"):
            return "events.tell", tell
        raise Refused("UNIMPLEMENTED", f"{asked.method} {asked.path} is no part of the control")

    return Service(
        name="azure-control",
        hosts=(),
        paths=(_PATH,),
        http=app(surroundings, "azure-control", find=find, refusal=_refusal),
    )


def _refusal(refused: Refused) -> Answer:
    return answer_json({"error": refused.message}, status=HTTP_STATUS.get(refused.code, 500))
