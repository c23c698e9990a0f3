"""Settings of autoscale: what is kept of them, and what is refused.

Fields, required ones and the limits of durations follow the service's own definition (azure-rest-api-specs,
Microsoft.Insights 2022-10-01, `autoscale_API`). Of profiles the one that always counts is emulated, not those by date
or by week, and the only targets are deployments of online endpoints.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from cloudmlops.emulators.azure.arm.errors import resource_not_found
from cloudmlops.emulators.azure.arm.paging import paged
from cloudmlops.emulators.azure.arm.routes import ArmRequest
from cloudmlops.emulators.azure.arm.world import World
from cloudmlops.emulators.azure.insights.scaling import Scaling
from cloudmlops.emulators.azure.ml.durations import duration
from cloudmlops.emulators.core.answering import Answer, answer_json
from cloudmlops.emulators.core.faults import Refused

TYPE: Final = "Microsoft.Insights/autoscaleSettings"
_PROVIDER: Final = "/providers/Microsoft.Insights/autoscalesettings"
_GROUP: Final = f"/subscriptions/{{subscription}}/resourceGroups/{{group}}{_PROVIDER}"
_ONE: Final = f"{_GROUP}/{{name}}"
_TARGET: Final = re.compile(r"/subscriptions/.+/onlineEndpoints/[^/]+/deployments/[^/]+", re.IGNORECASE)
_MINUTE: Final = timedelta(minutes=1)
_HALF_A_DAY: Final = timedelta(hours=12)
_TRIGGER: Final = (
    "metricName",
    "metricResourceUri",
    "timeGrain",
    "statistic",
    "timeWindow",
    "timeAggregation",
    "operator",
    "threshold",
)
_DURATIONS: Final[Mapping[str, tuple[timedelta, timedelta]]] = {
    "timeGrain": (_MINUTE, _HALF_A_DAY),
    "timeWindow": (5 * _MINUTE, _HALF_A_DAY),
    "cooldown": (_MINUTE, timedelta(weeks=1)),
}
_WORDS: Final[Mapping[str, tuple[str, ...]]] = {
    "statistic": ("Average", "Min", "Max", "Sum", "Count"),
    "timeAggregation": ("Average", "Minimum", "Maximum", "Total", "Count", "Last"),
    "operator": ("Equals", "NotEquals", "GreaterThan", "GreaterThanOrEqual", "LessThan", "LessThanOrEqual"),
    "direction": ("None", "Increase", "Decrease"),
    "type": ("ChangeCount", "PercentChangeCount", "ExactCount"),
}


class AutoscaleSettings:
    """The handlers."""

    def __init__(self, world: World, scaling: Scaling) -> None:
        self._world = world
        self._scaling = scaling
        add = world.routes.add
        add("GET", f"/subscriptions/{{subscription}}{_PROVIDER}", self.list_all)
        add("GET", _GROUP, self.list)
        add("GET", _ONE, self.get)
        add("PUT", _ONE, self.put, as_one=True)
        add("DELETE", _ONE, self.delete, as_one=True)

    def list_all(self, request: ArmRequest) -> Answer:
        prefix = f"/subscriptions/{request.names['subscription']}/".lower()
        found = (self._world.resources.get(one) for one in self._scaling.settings())
        return paged(request, [one for one in found if one is not None and one["id"].lower().startswith(prefix)])

    def list(self, request: ArmRequest) -> Answer:
        return paged(request, self._world.resources.directly_below(request.path))

    def get(self, request: ArmRequest) -> Answer:
        found = self._world.resources.get(request.path)
        if found is None:
            raise resource_not_found(f"{TYPE}/{request.names['name']}", request.names["group"])
        return answer_json(found)

    def put(self, request: ArmRequest) -> Answer:
        kept = self._kept(request.body.get("properties") or {}, request.names["name"])
        other = self._scaling.setting_of(kept["targetResourceUri"])
        if other is not None and other.lower() != request.path.lower():
            raise _wrong(f"The resource {kept['targetResourceUri']} has the autoscale setting {other} already.")
        made, new = self._world.resources.put(
            request.path,
            TYPE,
            kept,
            request.caller,
            location=request.body.get("location") or self._world.location,
            tags=request.body.get("tags") or {},
        )
        self._scaling.keep(made["id"])
        return answer_json(made, status=201 if new else 200)

    def delete(self, request: ArmRequest) -> Answer:
        self._scaling.forget(request.path)
        return Answer(status=200 if self._world.resources.delete(request.path) else 204)

    def _kept(self, given: Mapping[str, Any], name: str) -> dict[str, Any]:
        target = str(given.get("targetResourceUri") or "")
        if not _TARGET.fullmatch(target):
            raise Refused(
                "UNIMPLEMENTED",
                f"autoscale of {target or 'nothing'} is not emulated: of deployments of online endpoints",
            )
        if self._world.resources.get(target) is None:
            raise _wrong(f"The target resource {target} was not found.")
        if given.get("notifications") or given.get("predictiveAutoscalePolicy"):
            raise Refused("UNIMPLEMENTED", "notifications and predictions of autoscale are not emulated")
        profiles = given.get("profiles") or []
        if not profiles:
            raise _wrong("An autoscale setting needs a profile.")
        if len(profiles) > 1 or any(profiles[0].get(kind) for kind in ("fixedDate", "recurrence")):
            raise Refused("UNIMPLEMENTED", "profiles of autoscale by date or by week are not emulated")
        return {
            "name": given.get("name") or name,
            "enabled": bool(given.get("enabled", False)),
            "targetResourceUri": target,
            "targetResourceLocation": given.get("targetResourceLocation"),
            "profiles": [_profile(profiles[0])],
            "notifications": [],
            "predictiveAutoscalePolicy": None,
        }


def _profile(given: Mapping[str, Any]) -> dict[str, Any]:
    capacity: Mapping[str, Any] = given.get("capacity") or {}
    try:
        least, most, default = (int(capacity[key]) for key in ("minimum", "maximum", "default"))
    except (KeyError, TypeError, ValueError) as error:
        raise _wrong("The capacity of a profile needs minimum, maximum and default, each a number.") from error
    if not 0 <= least <= default <= most:
        raise _wrong(f"The capacity must be in order: minimum {least}, default {default}, maximum {most}.")
    return {
        "name": str(given.get("name") or "Default"),
        "capacity": {"minimum": str(least), "maximum": str(most), "default": str(default)},
        "rules": [_rule(one) for one in given.get("rules") or []],
    }


def _rule(given: Mapping[str, Any]) -> dict[str, Any]:
    trigger: Mapping[str, Any] = given.get("metricTrigger") or {}
    action: Mapping[str, Any] = given.get("scaleAction") or {}
    for part, needed in ((trigger, _TRIGGER), (action, ("direction", "type", "cooldown"))):
        if missing := [key for key in needed if part.get(key) is None]:
            raise _wrong(f"A rule of an autoscale setting needs {', '.join(missing)}.")
        for key, words in _WORDS.items():
            if key in part and part[key] not in words:
                raise _wrong(f"The {key} {part[key]!r} of a rule is not one of {', '.join(words)}.")
        for key, (least, most) in _DURATIONS.items():
            if key in part and not least <= duration(str(part[key])) <= most:
                raise _wrong(f"The {key} {part[key]} of a rule must be between {least} and {most}.")
    if trigger.get("dimensions") or trigger.get("dividePerInstance"):
        raise Refused("UNIMPLEMENTED", "dimensions and dividePerInstance of autoscale rules are not emulated")
    value = str(action.get("value") or "1")
    if not value.isdigit() or int(value) < 1:
        raise _wrong(f"The value {value!r} of a scale action must be a number from 1 on.")
    if not isinstance(trigger["threshold"], (int, float)):
        raise _wrong(f"The threshold {trigger['threshold']!r} of a rule is no number.")
    return {
        "metricTrigger": {**trigger, "dimensions": [], "dividePerInstance": False},
        "scaleAction": {**action, "value": value},
    }


def _wrong(message: str) -> Refused:
    return Refused("INVALID_ARGUMENT", message, reason="BadRequest")
