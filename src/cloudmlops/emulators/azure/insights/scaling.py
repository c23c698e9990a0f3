"""How many instances a deployment has, looked at once a minute by the clock.

Of the metrics that a rule can name none is measured here: `measure` says what they are, as a test wants it. When rules
act follows learn.microsoft.com, "Understand autoscale settings": any rule that wants more does so, fewer instances
come only when all rules that want fewer agree; a rule waits for its cooldown after the last change; without any metric
the default counts where there are fewer.
"""

from __future__ import annotations

import operator
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from threading import RLock
from typing import Any, Final

from cloudmlops.emulators.azure.arm.world import World
from cloudmlops.emulators.azure.ml.durations import duration
from cloudmlops.emulators.azure.scoring.fleet import Fleet, Size
from cloudmlops.emulators.core.clock import Timer
from cloudmlops.emulators.core.faults import Refused

_EVERY: Final = timedelta(minutes=1)
_LONGEST: Final = timedelta(hours=12)
"""So far back a rule may look."""
_OPERATORS: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "Equals": operator.eq,
    "NotEquals": operator.ne,
    "GreaterThan": operator.gt,
    "GreaterThanOrEqual": operator.ge,
    "LessThan": operator.lt,
    "LessThanOrEqual": operator.le,
}
_TOGETHER: Final[Mapping[str, Callable[[Sequence[float]], float]]] = {
    "Average": lambda values: sum(values) / len(values),
    "Minimum": min,
    "Maximum": max,
    "Total": sum,
    "Count": len,
    "Last": lambda values: values[-1],
}


class Scaling:
    """Acts by the settings that are enabled."""

    def __init__(self, world: World, fleet: Fleet) -> None:
        self._world = world
        self._fleet = fleet
        self._known = world.surroundings.state.table("insights_autoscale")
        self._lock = RLock()
        self._measured: dict[tuple[str, str], list[tuple[datetime, float]]] = defaultdict(list)
        self._changed: dict[str, datetime] = {}
        self._timer: Timer | None = None

    def measure(self, resource: str, metric: str, value: float) -> None:
        """Say what a metric is now.

        Args:
            resource: Id of a deployment or an endpoint, as rules name it.
            metric: Such as `CpuUtilizationPercentage`.
            value: In the metric's unit.
        """
        now = self._world.surroundings.clock.now()
        with self._lock:
            known = self._measured[resource.lower(), metric]
            self._measured[resource.lower(), metric] = [one for one in known if now - one[0] < _LONGEST] + [
                (now, value)
            ]

    def reset(self) -> None:
        """Forget what was measured."""
        with self._lock:
            self._measured.clear()
            self._changed.clear()

    def resume(self) -> None:
        """Look at the settings of an emulator that was before."""
        self._arm()

    def settings(self) -> list[str]:
        """Return the ids of all settings."""
        return [data.decode() for _, data in self._known.items()]

    def setting_of(self, target: str) -> str | None:
        """Return the id of the setting of a resource."""
        for one in self.settings():
            found = self._world.resources.get(one)
            if found is not None and found["properties"]["targetResourceUri"].lower() == target.lower():
                return one
        return None

    def keep(self, setting: str) -> None:
        """Look at a setting from now on."""
        self._known.put(setting.lower(), setting.encode())
        self._arm()

    def forget(self, setting: str) -> None:
        """Look at a setting no more."""
        self._known.delete(setting.lower())

    def _arm(self) -> None:
        clock, wanted = self._world.surroundings.clock, bool(self.settings())  # the state's lock is taken before ours
        with self._lock:
            if self._timer is not None and self._timer.when > clock.now() + _EVERY:  # time was set back
                self._timer.cancel()
                self._timer = None
            if self._timer is None and wanted:
                self._timer = clock.after(_EVERY, self._look)

    def _look(self) -> None:
        with self._lock:
            self._timer = None
        for one in self.settings():
            found = self._world.resources.get(one)
            if found is not None and found["properties"]["enabled"]:
                self._act(found["properties"])
        self._arm()

    def _act(self, setting: Mapping[str, Any]) -> None:
        with self._world.surroundings.state.transaction():
            target = self._world.resources.get(setting["targetResourceUri"])
            if target is None or target["properties"]["provisioningState"] != "Succeeded":
                return
            now = int(target["sku"]["capacity"])
            (profile,) = setting["profiles"]
            wanted = self._wanted(target["id"], now, profile)
            if wanted == now:
                return
            try:
                self._fleet.take(
                    target["id"], Size(instance_type=target["properties"]["instanceType"], instances=wanted)
                )
            except Refused:
                return  # the quota is used up: the next look may find more
            target["sku"]["capacity"] = wanted
            self._world.resources.update(target)
            self._changed[target["id"].lower()] = self._world.surroundings.clock.now()

    def _wanted(self, target: str, now: int, profile: Mapping[str, Any]) -> int:
        least, most, default = (int(profile["capacity"][key]) for key in ("minimum", "maximum", "default"))
        rules: Sequence[Mapping[str, Any]] = profile["rules"]
        fired = [(rule["scaleAction"], self._fires(target, rule)) for rule in rules]
        wanted = now
        if rules and all(yes is None for _, yes in fired):
            wanted = max(now, default)
        more = [_changed(now, action) for action, yes in fired if yes and action["direction"] == "Increase"]
        fewer = [(action, yes) for action, yes in fired if action["direction"] == "Decrease"]
        if more:
            wanted = max(more)
        elif fewer and all(yes for _, yes in fewer):
            wanted = max(_changed(now, action) for action, _ in fewer)
        return min(max(wanted, least), most)

    def _fires(self, target: str, rule: Mapping[str, Any]) -> bool | None:
        """Say whether a rule wants to act; None when its metric is not known."""
        trigger, clock = rule["metricTrigger"], self._world.surroundings.clock
        begin = clock.now() - duration(trigger["timeWindow"])
        with self._lock:
            measured = self._measured[trigger["metricResourceUri"].lower(), trigger["metricName"]]
            values = [value for at, value in measured if at > begin]
        if not values:
            return None
        last = self._changed.get(target.lower())
        if last is not None and clock.now() - last < duration(rule["scaleAction"]["cooldown"]):
            return False
        return _OPERATORS[trigger["operator"]](
            _TOGETHER[trigger["timeAggregation"]](values), float(trigger["threshold"])
        )


def _changed(now: int, action: Mapping[str, Any]) -> int:
    value, sign = int(action["value"]), 1 if action["direction"] == "Increase" else -1
    if action["type"] == "ExactCount":
        return value
    if action["type"] == "PercentChangeCount":
        value = max(1, now * value // 100)
    return now + sign * value
