"""The compute of runs: what it costs while nothing runs on it, what is said of that, and whether that was agreed to."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from cloudmlops.providers.azureml.mapping.machines import known
from cloudmlops.providers.prices import monthly, said

if TYPE_CHECKING:
    from cloudmlops.providers.azureml.settings import AzureMLSettings

_LOW_PRIORITY_SHARE: Final = 0.2
"""About what share of the price a machine costs that may be taken away."""
PRICES: Final = "https://azure.microsoft.com/pricing/details/machine-learning/"
_CLUSTER: Final = "amlcompute"
_INSTANCE: Final = "computeinstance"


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

    @property
    def cost(self) -> float | None:
        """About how many US dollars a month that costs; None when no price is known."""
        return idle_cost(self.machine, self.nodes, low_priority=self.low_priority)

    @property
    def unpriced(self) -> str:
        """What the setting `unpriced_machines` calls it where no price is known."""
        return self.machine or self.compute


def idle_cost(machine: str, nodes: int, *, low_priority: bool = False) -> float | None:
    """Return about how many US dollars a month some nodes cost that are kept; None when no price is known."""
    found = known(machine)
    if found is None or found.hourly_usd is None:
        return None
    return monthly(found.hourly_usd * (_LOW_PRIORITY_SHARE if low_priority else 1), nodes)


def kept_by(compute: Any) -> Kept:
    """Return what a compute, as azure-ai-ml shows it, keeps though nothing runs."""
    name, kind = str(compute.name), str(compute.type).lower()
    if kind == _CLUSTER:
        low = str(compute.tier or "").lower().replace("_", "") == "lowpriority"
        return Kept(compute=name, machine=str(compute.size), nodes=int(compute.min_instances or 0), low_priority=low)
    if kind == _INSTANCE:
        ends = compute.idle_time_before_shutdown or compute.idle_time_before_shutdown_minutes
        return Kept(compute=name, machine=str(compute.size), nodes=0 if ends else 1, kind=kind)
    return Kept(compute=name, machine="", nodes=1, kind=kind)


def elsewhere(identifier: str) -> Kept:
    """Return what is to be feared of a compute of another place, which is not looked at."""
    return Kept(compute=identifier, machine="", nodes=1, kind="compute of another place")


def idle_fault(kept: Kept, settings: AzureMLSettings) -> str:
    """Say why a compute must not be used that costs though nothing runs; empty when that is agreed to."""
    if kept.nodes == 0:
        return ""
    if kept.cost is None:
        agreed = kept.unpriced.lower() in _names(settings.unpriced_machines)
    else:
        agreed = settings.compute_idle_cost >= kept.cost
    return "" if agreed else idle_note(kept)


def idle_note(kept: Kept) -> str:
    """Say what a compute costs though nothing runs."""
    cost = said(kept.cost)
    if kept.kind == _CLUSTER:
        return f"compute {kept.compute!r} keeps {kept.nodes} {kept.machine} at least though nothing runs: {cost}"
    if kept.kind == _INSTANCE:
        return f"compute {kept.compute!r} is an instance, a {kept.machine} that is on though nothing runs: {cost}"
    return f"compute {kept.compute!r} is of type {kept.kind}, whose machines may be on though nothing runs: {cost}"


def agreement(kept: Kept) -> str:
    """Return how one agrees to that, or does not need to."""
    around = {
        _CLUSTER: "Let its least number of nodes be 0",
        _INSTANCE: "Name a cluster whose least number of nodes is 0, or let it shut down when it is idle",
    }.get(kept.kind, "Name a cluster whose least number of nodes is 0")
    if kept.cost is None:
        return (
            f"{around}; or look up what that costs, and agree to it by name: add unpriced_machines={kept.unpriced} to "
            f"the target. Prices: {PRICES}"
        )
    wanted = f"compute_idle_cost={int(kept.cost) + 1}"
    return f"{around}; or agree to pay: add {wanted} to the target. Prices: {PRICES}"


def _names(listed: str) -> Collection[str]:
    return listed.lower().split(",")
