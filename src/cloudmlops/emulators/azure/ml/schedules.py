"""Schedules: jobs that are made again and again, on the clock.

Shapes follow recorded traffic of the real service (azure-sdk-assets, azure-ai-ml 1.14, 2024-02, `schedule`): a
schedule is shown without id and type, its job with what the service fills in, and every PUT is answered with 201. One
that is enabled cannot be deleted (learn.microsoft.com, "Schedule machine learning pipeline jobs"). What was missed
while an emulator was not there, or a schedule was disabled, is not made up.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from threading import RLock
from typing import Any, Final, Protocol

from cloudmlops.emulators.azure.arm.errors import UserError, not_found
from cloudmlops.emulators.azure.arm.paging import paged
from cloudmlops.emulators.azure.arm.routes import ArmRequest
from cloudmlops.emulators.azure.arm.world import World
from cloudmlops.emulators.azure.entra.tokens import Caller
from cloudmlops.emulators.azure.ml import PROVIDER, WORKSPACE
from cloudmlops.emulators.azure.ml.long_running import at_resource
from cloudmlops.emulators.azure.ml.triggers import Trigger, read_trigger
from cloudmlops.emulators.azure.ml.workspaces import workspace_of
from cloudmlops.emulators.core.answering import Answer, answer_json
from cloudmlops.emulators.core.clock import Timer
from cloudmlops.emulators.core.faults import Refused

SCHEDULES: Final = f"{WORKSPACE}/schedules"
SCHEDULE: Final = f"{SCHEDULES}/{{name}}"
TYPE: Final = f"{PROVIDER}/workspaces/schedules"
_OUR_OWN: Final = frozenset({"startedAt", "begun", "by"})
"""What is kept beside what is shown."""
_INSTANT: Final = timedelta(microseconds=1)
_log: Final = logging.getLogger("cloudmlops.emulators")
_VIEWS: Final[Mapping[str, Callable[[bool], bool]]] = {
    "enabledonly": lambda enabled: enabled,
    "disabledonly": lambda enabled: not enabled,
    "all": lambda _: True,
}
_OF_EACH_JOB: Final[Mapping[str, Any]] = {
    "description": None,
    "tags": {},
    "properties": {},
    "displayName": None,
    "status": "NotStarted",
    "experimentName": "Default",
    "services": None,
    "computeId": None,
    "isArchived": False,
    "identity": None,
    "componentId": None,
    "notificationSetting": None,
    "secretsConfiguration": None,
}
_OF_KIND: Final[Mapping[str, Mapping[str, Any]]] = {
    "Pipeline": {"settings": None, "jobs": {}, "inputs": {}, "outputs": {}, "sourceJobId": None}
}


class JobStarter(Protocol):
    """Makes jobs."""

    def __call__(self, workspace: str, name: str, definition: Mapping[str, Any], caller: Caller, /) -> None:
        """Make a job and let it begin.

        Args:
            workspace: The id of the workspace.
            name: Of the job.
            definition: What would be PUT as the job's properties.
            caller: In whose name: that of whoever made the schedule.

        Raises:
            Refused: It is no job.
        """


@dataclass(frozen=True, kw_only=True, slots=True)
class Firing:
    """One time that a schedule was due."""

    schedule: str
    """Its id."""
    due: str
    """When, in UTC, as ISO 8601 writes it."""
    job: str
    """The name of the job."""
    error: str = ""
    """Why there is none; empty when there is one."""


class Schedules:
    """The handlers, and the timers of all schedules that are enabled."""

    def __init__(self, world: World, starter: JobStarter | None = None) -> None:
        """Let schedules be made and fire.

        Args:
            world: What they are in.
            starter: Makes the jobs; without it each firing says that none was made.
        """
        self._world = world
        self.starter = starter
        self._fired = world.surroundings.state.table("ml_schedule_firings")
        self._known = world.surroundings.state.table("ml_schedules")
        self._timers: dict[str, Timer] = {}
        self._lock = RLock()
        add = world.routes.add
        add("GET", SCHEDULES, self.list)
        add("GET", SCHEDULE, self.get)
        add("PUT", SCHEDULE, self.put)
        add("DELETE", SCHEDULE, self.delete)

    def firings(self, schedule: str) -> list[Firing]:
        """Return when a schedule fired, by its id, the first time first."""
        return [Firing(**json.loads(data)) for _, data in self._fired.items(f"{schedule.lower()}/")]

    def resume(self) -> None:
        """Go on with the schedules of an emulator that was before."""
        for schedule in dict(self._known.items()).values():
            self._provided(schedule.decode())

    def list(self, request: ArmRequest) -> Answer:
        workspace_of(self._world, request)
        view = request.query("listViewType", "EnabledOnly").lower()
        if view not in _VIEWS:
            raise UserError("INVALID_ARGUMENT", f"The list view type {view!r} is not supported.")
        found = self._world.resources.directly_below(request.path)
        return paged(request, [_shown(one) for one in found if _VIEWS[view](one["properties"]["isEnabled"])])

    def get(self, request: ArmRequest) -> Answer:
        return answer_json(_shown(self._schedule(request)))

    def put(self, request: ArmRequest) -> Answer:
        workspace = workspace_of(self._world, request)
        kept = _kept(request.body.get("properties") or {}, self._world.surroundings.clock.now())
        resources = self._world.resources
        with self._lock:
            known = resources.get(request.path)
            same = known is not None and known["properties"]["trigger"] == kept["trigger"]
            beside = known["properties"] if known is not None and same else self._new()
            kept |= {name: beside[name] for name in ("startedAt", "begun")}
            made, _ = resources.put(request.path, TYPE, {**kept, "by": asdict(request.caller)}, request.caller)
            self._disarm(made["id"])
        self._known.put(made["id"].lower(), made["id"].encode())
        headers = self._world.operations.begin(
            request.names["subscription"],
            workspace["location"],
            request.path,
            work=lambda: self._provided(made["id"]),
            version=request.version,
        )
        body = {"properties": _shown(made)["properties"]}
        return answer_json(body, status=201, headers=at_resource(headers, request))

    def delete(self, request: ArmRequest) -> Answer:
        workspace = workspace_of(self._world, request)
        found = self._world.resources.get(request.path)
        if found is None:
            return Answer(status=204)
        if found["properties"]["isEnabled"]:
            raise UserError("INVALID_ARGUMENT", f"The schedule {found['name']} must be disabled before it is deleted.")
        headers = self._world.operations.begin(
            request.names["subscription"],
            workspace["location"],
            request.path,
            work=lambda: self._end(request.path),
            version=request.version,
        )
        return Answer(status=202, headers=headers)

    def _new(self) -> dict[str, Any]:
        """Return what is kept of a new trigger: when it was given, to the second, and that it has not begun."""
        return {"startedAt": self._world.surroundings.clock.now().replace(microsecond=0).isoformat(), "begun": False}

    def _provided(self, schedule: str) -> None:
        with self._lock:
            found = self._world.resources.get(schedule)
            if found is None:
                return
            properties = found["properties"]
            # A recurrence that has no start is due at once, when it is made.
            trigger = properties["trigger"]
            at_once = trigger["triggerType"] == "Recurrence" and not (trigger["startTime"] or properties["begun"])
            properties |= {"provisioningState": "Succeeded", "begun": True}
            self._world.resources.update(found)
            self._arm(found["id"], at_once=at_once)

    def _end(self, schedule: str) -> None:
        with self._lock:
            self._disarm(schedule)
            self._world.resources.delete(schedule)
            self._known.delete(schedule.lower())

    def _arm(self, schedule: str, *, at_once: bool = False) -> None:
        """Set the timer of a schedule for the next time that it is due."""
        with self._lock:
            self._disarm(schedule)
            found = self._world.resources.get(schedule)
            if found is None or not found["properties"]["isEnabled"]:
                return
            clock = self._world.surroundings.clock
            trigger = _trigger(found["properties"])
            due = trigger.after(trigger.start - _INSTANT if at_once else clock.now())
            if due is not None:
                self._timers[schedule.lower()] = clock.at(due, lambda: self._fire(schedule, due))

    def _disarm(self, schedule: str) -> None:
        timer = self._timers.pop(schedule.lower(), None)
        if timer is not None:
            timer.cancel()

    def _fire(self, schedule: str, due: datetime) -> None:
        with self._lock:
            found = self._world.resources.get(schedule)
            if found is None or not found["properties"]["isEnabled"]:
                return
            self._arm(schedule)
        name = f"{found['name']}-{due.astimezone(UTC):%Y%m%dT%H%M%SZ}"
        definition = _filled(found["properties"]["action"]["jobDefinition"], name, due)
        error = ""
        try:
            if self.starter is None:
                raise Refused("UNIMPLEMENTED", "jobs are not emulated here")
            workspace = found["id"].partition("/schedules/")[0]
            self.starter(workspace, name, {**definition, "displayName": name}, Caller(**found["properties"]["by"]))
        except Refused as refused:
            error = refused.message
            _log.warning("the schedule %s made no job at %s: %s", schedule, due.isoformat(), refused.message)
        firing = Firing(schedule=schedule, due=due.isoformat(), job=name, error=error)
        self._fired.put(f"{schedule.lower()}/{due.isoformat()}", json.dumps(asdict(firing)).encode())

    def _schedule(self, request: ArmRequest) -> dict[str, Any]:
        workspace_of(self._world, request)
        found = self._world.resources.get(request.path)
        if found is None:
            raise not_found("ScheduleNotFound", f"Schedule {request.names['name']} not found.")
        return found


def _trigger(properties: Mapping[str, Any]) -> Trigger:
    return read_trigger(properties["trigger"], datetime.fromisoformat(properties["startedAt"]))


def _kept(given: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """Return what is kept of a request.

    Raises:
        Refused: Trigger or action are none, or not emulated.
    """
    trigger: Mapping[str, Any] = given.get("trigger") or {}
    read = read_trigger(trigger, now)
    if read.end is not None and read.end <= read.start:
        raise UserError("INVALID_ARGUMENT", "The endTime of the trigger is not after its startTime.")
    action: Mapping[str, Any] = given.get("action") or {}
    kind = str(action.get("actionType", ""))
    if kind != "CreateJob":
        raise Refused("UNIMPLEMENTED", f"a schedule with the action {kind or 'none'} is not emulated: only CreateJob")
    definition: Mapping[str, Any] = action.get("jobDefinition") or {}
    if not definition.get("jobType"):
        raise UserError("INVALID_ARGUMENT", "The schedule has no job definition with a jobType.")
    job = {**_OF_EACH_JOB, **_OF_KIND.get(definition["jobType"], {}), **definition}
    return {
        "description": given.get("description"),
        "tags": given.get("tags") or {},
        "properties": given.get("properties") or {},
        "displayName": given.get("displayName"),
        "isEnabled": given.get("isEnabled", True) is not False,
        "trigger": {"endTime": None, "startTime": None, "timeZone": "UTC", **trigger},
        "action": {"actionType": kind, "jobDefinition": job},
        "provisioningState": "Creating",
    }


def _shown(resource: Mapping[str, Any]) -> dict[str, Any]:
    properties = {name: value for name, value in resource["properties"].items() if name not in _OUR_OWN}
    return {"name": resource["name"], "properties": properties, "systemData": resource["systemData"]}


def _filled(definition: Any, name: str, due: datetime) -> Any:
    """Return a job definition in which the expressions of schedules have their values.

    `${{name}}` is the job's name, `${{creation_context.trigger_time}}` when it was due (learn.microsoft.com,
    "Schedule machine learning pipeline jobs").
    """
    if isinstance(definition, dict):
        return {key: _filled(value, name, due) for key, value in definition.items()}
    if isinstance(definition, list):
        return [_filled(value, name, due) for value in definition]
    if isinstance(definition, str):
        when = f"{due.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
        return definition.replace("${{name}}", name).replace("${{creation_context.trigger_time}}", when)
    return definition
