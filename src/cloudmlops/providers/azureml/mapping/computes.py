"""The compute of runs: what it costs while nothing runs on it, what is said of that, and whether that was agreed to."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from cloudmlops.providers.azureml.mapping.machines import known
from cloudmlops.providers.prices import after_a_run, monthly, said, said_of_a_run

if TYPE_CHECKING:
    from cloudmlops.providers.azureml.settings import AzureMLSettings

_LOW_PRIORITY_SHARE: Final = 0.2
"""About what share of the price a machine costs that may be taken away."""
PRICES: Final = "https://azure.microsoft.com/pricing/details/machine-learning/"
_CLUSTER: Final = "amlcompute"
_INSTANCE: Final = "computeinstance"
STAY_UNSAID: Final = timedelta(hours=1)
"""How long machines may stay on after a run without that anybody has agreed to pay for it."""
_DURATION: Final = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)(?:\.\d*)?S)?)?")
"""ISO 8601, as Azure ML writes durations."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Compute:
    """What runs have to run on."""

    name: str
    """Empty is serverless compute."""
    machine: str = ""
    """Type of its machines; empty when each step may choose, or when it is not known."""
    low_priority: bool = False
    """Whether its machines may be taken away."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """What a compute keeps up though nothing runs on it."""

    compute: str
    machine: str
    """Type of its nodes; empty where Azure ML does not tell it."""
    nodes: int
    """How many are kept at least; of a type of which that is not told, 1."""
    kind: str = _CLUSTER
    """Azure's own type, in lower case."""
    low_priority: bool = False
    staying: int = 0
    """How many more may stay after a run for longer than `STAY_UNSAID`."""
    idle: timedelta = timedelta(0)
    """How long those stay."""

    @property
    def any(self) -> bool:
        """Whether there is something to agree to."""
        return bool(self.nodes or self.staying)

    @property
    def cost(self) -> float | None:
        """About how many US dollars a month those cost that are always kept; None when no price is known."""
        return idle_cost(self.machine, self.nodes, low_priority=self.low_priority)

    @property
    def cost_of_a_run(self) -> float | None:
        """About how many US dollars those cost that stay after each run; None when no price is known."""
        return after_a_run(_hourly(self.machine, low_priority=self.low_priority), self.staying, self.idle)

    @property
    def unpriced(self) -> str:
        """What the setting `unpriced_machines` calls it where no price is known."""
        return self.machine or self.compute


def idle_cost(machine: str, nodes: int, *, low_priority: bool = False) -> float | None:
    """Return about how many US dollars a month some nodes cost that are kept; None when no price is known."""
    return monthly(_hourly(machine, low_priority=low_priority), nodes)


def kept_by(compute: Any) -> Kept:
    """Return what a compute, as azure-ai-ml shows it, keeps though nothing runs."""
    name, kind = str(compute.name), str(compute.type).lower()
    if kind == _CLUSTER:
        low = str(compute.tier or "").lower().replace("_", "") == "lowpriority"
        idle = timedelta(seconds=float(compute.idle_time_before_scale_down or 0))
        machine, least = str(compute.size), int(compute.min_instances or 0)
        staying = int(compute.max_instances or 0) - least if idle > STAY_UNSAID else 0
        return Kept(compute=name, machine=machine, nodes=least, low_priority=low, staying=staying, idle=idle)
    if kind == _INSTANCE:
        kept, ends = Kept(compute=name, machine=str(compute.size), nodes=1, kind=kind), _shutdown(compute)
        return kept if ends is None else replace(kept, nodes=0, staying=int(ends > STAY_UNSAID), idle=ends)
    return Kept(compute=name, machine="", nodes=1, kind=kind)


def elsewhere(identifier: str) -> Kept:
    """Return what is to be feared of a compute of another place, which is not looked at."""
    return Kept(compute=identifier, machine="", nodes=1, kind="compute of another place")


def idle_fault(kept: Kept, settings: AzureMLSettings) -> str:
    """Say why a compute must not be used that costs though nothing runs; empty when that is agreed to."""
    if not kept.any:
        return ""
    if kept.cost is None or kept.cost_of_a_run is None:
        agreed = kept.unpriced.lower() in _names(settings.unpriced_machines)
    else:
        agreed = settings.compute_idle_cost >= max(kept.cost, kept.cost_of_a_run)
    return "" if agreed else idle_note(kept)


def idle_note(kept: Kept) -> str:
    """Say what a compute costs though nothing runs."""
    cost = said(kept.cost)
    stay = f"on for {kept.idle} after each run: {said_of_a_run(kept.cost_of_a_run)}"
    if kept.kind == _CLUSTER:
        always = f"keeps {kept.nodes} {kept.machine} at least though nothing runs: {cost}" if kept.nodes else ""
        after = f"leaves up to {kept.staying} {kept.machine} {stay}" if kept.staying else ""
        return f"compute {kept.compute!r} {', and '.join(filter(None, (always, after)))}"
    if kept.kind == _INSTANCE and kept.staying:
        return f"compute {kept.compute!r} is an instance, a {kept.machine} that stays {stay}"
    if kept.kind == _INSTANCE:
        return f"compute {kept.compute!r} is an instance, a {kept.machine} that is on though nothing runs: {cost}"
    return f"compute {kept.compute!r} is of type {kept.kind}, whose machines may be on though nothing runs: {cost}"


def agreement(kept: Kept) -> str:
    """Return how one agrees to that, or does not need to."""
    if kept.staying:
        around = f"Let its idle time be {STAY_UNSAID} at most"
        around += " and its least number of nodes 0" if kept.nodes else ""
    else:
        around = {
            _CLUSTER: "Let its least number of nodes be 0",
            _INSTANCE: "Name a cluster whose least number of nodes is 0, or let it shut down when it is idle",
        }.get(kept.kind, "Name a cluster whose least number of nodes is 0")
    if kept.cost is None or kept.cost_of_a_run is None:
        return (
            f"{around}; or look up what that costs, and agree to it by name: add unpriced_machines={kept.unpriced} to "
            f"the target. Prices: {PRICES}"
        )
    wanted = f"compute_idle_cost={int(max(kept.cost, kept.cost_of_a_run)) + 1}"
    return f"{around}; or agree to pay: add {wanted} to the target. Prices: {PRICES}"


def _hourly(machine: str, *, low_priority: bool) -> float | None:
    found = known(machine)
    if found is None or found.hourly_usd is None:
        return None
    return found.hourly_usd * (_LOW_PRIORITY_SHARE if low_priority else 1)


def _shutdown(instance: Any) -> timedelta | None:
    """Return after how long an idle instance shuts itself down; None when nothing that can be read says so."""
    read = _DURATION.fullmatch(str(instance.idle_time_before_shutdown or ""))
    if read is None:
        return None
    days, hours, minutes, seconds = (int(number or 0) for number in read.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


def _names(listed: str) -> Collection[str]:
    return listed.lower().split(",")
