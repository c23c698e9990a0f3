"""The compute of runs: what clusters cost while nothing runs on them, and what is said of that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cloudmlops.providers.azureml.mapping.machines import known

_HOURS_OF_A_MONTH: Final = 730
_LOW_PRIORITY_SHARE: Final = 0.2
"""About what share of the price a machine costs that may be taken away."""
PRICES: Final = "https://azure.microsoft.com/pricing/details/machine-learning/"


@dataclass(frozen=True, kw_only=True, slots=True)
class Compute:
    """What runs have to run on."""

    name: str
    """Empty is serverless compute."""
    machine: str = ""
    """Type of its machines; empty when each step may choose, or when it is not known."""
    low_priority: bool = False
    """Whether its machines may be taken away."""


def idle_cost(machine: str, nodes: int, *, low_priority: bool = False) -> float | None:
    """Return about how many US dollars a month some nodes cost that are kept; None when no price is known."""
    found = known(machine)
    if found is None or found.hourly_usd is None:
        return None
    return nodes * found.hourly_usd * _HOURS_OF_A_MONTH * (_LOW_PRIORITY_SHARE if low_priority else 1)


def idle_fault(compute: str, machine: str, nodes: int, agreed: float, *, low_priority: bool = False) -> str:
    """Say why a cluster must not be used that keeps nodes though nothing runs; empty when that is agreed to.

    Args:
        compute: Its name.
        machine: Type of its nodes.
        nodes: How many are kept at least.
        agreed: US dollars a month that whoever asks has agreed to pay for them.
        low_priority: Whether they may be taken away.
    """
    if nodes == 0:
        return ""
    cost = idle_cost(machine, nodes, low_priority=low_priority)
    if agreed and (cost is None or agreed >= cost):
        return ""
    told = "of which this library knows no price" if cost is None else f"about {cost:.0f} US dollars a month"
    return f"compute {compute!r} keeps {nodes} {machine} at least though nothing runs: {told}"


def agreement(machine: str, nodes: int, *, low_priority: bool = False) -> str:
    """Return how one agrees to that, or does not need to."""
    cost = idle_cost(machine, nodes, low_priority=low_priority)
    wanted = "compute_idle_cost=" + ("USD_A_MONTH" if cost is None else f"{int(cost) + 1}")
    return f"Let its least number of nodes be 0; or agree to pay: add {wanted} to the target. Prices: {PRICES}"
