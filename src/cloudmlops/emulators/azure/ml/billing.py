"""What the nodes of computes have cost, busy and idle: a zombie cluster is seen here before it is on an invoice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cloudmlops.emulators.azure.ml.clusters import Cluster, Clusters

PRICES: Final[dict[str, float]] = {
    "STANDARD_D2S_V3": 0.096,
    "STANDARD_DS1_V2": 0.073,
    "STANDARD_DS2_V2": 0.146,
    "STANDARD_DS3_V2": 0.293,
    "STANDARD_DS4_V2": 0.585,
    "STANDARD_DS11_V2": 0.185,
    "STANDARD_DS12_V2": 0.370,
    "STANDARD_E4S_V3": 0.252,
    "STANDARD_F2S_V2": 0.085,
    "STANDARD_F4S_V2": 0.169,
    "STANDARD_F8S_V2": 0.338,
    "STANDARD_F16S_V2": 0.677,
    "STANDARD_NC6S_V3": 3.06,
    "STANDARD_NC4AS_T4_V3": 0.526,
    "STANDARD_NC24ADS_A100_V4": 3.673,
}
"""US dollars an hour of one machine with Linux, on demand. Examples written down by hand of about what is asked in one
region: a test that means a sum sets its own in `Billing.prices`."""
LOW_PRIORITY_SHARE: Final = 0.2
"""The share of the price that a `LowPriority` machine costs; an example too."""
_HOUR: Final = 3600.0
_HOURS_OF_A_MONTH: Final = 730.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Bill:
    """The account of one compute until now."""

    compute: str
    """Its id, in lower case."""
    vm_size: str
    nodes: int
    """How many are up."""
    minimum: int
    """How many always are."""
    busy_node_seconds: float
    """Seconds in which nodes had a run, of all nodes together."""
    idle_node_seconds: float
    """Seconds in which nodes were up and had none, of all nodes together."""
    hourly_price: float | None
    """US dollars of one node; None where no price is known."""

    @property
    def cost(self) -> float | None:
        """US dollars in all; None where no price is known."""
        return self._of(self.busy_node_seconds + self.idle_node_seconds)

    @property
    def idle_cost(self) -> float | None:
        """US dollars for nothing; None where no price is known."""
        return self._of(self.idle_node_seconds)

    @property
    def least_monthly_cost(self) -> float | None:
        """US dollars that a month of 730 hours costs if nobody ever uses it; None where no price is known."""
        return self._of(self.minimum * _HOURS_OF_A_MONTH * _HOUR)

    def _of(self, node_seconds: float) -> float | None:
        return None if self.hourly_price is None else node_seconds / _HOUR * self.hourly_price


class Billing:
    """The accounts of all computes, on the emulator's clock; those of computes that are gone stay."""

    def __init__(self, clusters: Clusters) -> None:
        self._clusters = clusters
        self.prices: dict[str, float] = dict(PRICES)
        """US dollars an hour, by VM size in upper case."""

    def of(self, compute: str) -> Bill:
        """Return the account of one compute, by its id.

        Raises:
            LookupError: There never was one.
        """
        cluster = self._clusters.get(compute)
        if cluster is None:
            raise LookupError(f"there is no compute {compute}")
        return self._bill(compute.lower(), cluster)

    def bills(self) -> list[Bill]:
        """Return all accounts, the most idle first."""
        found = [self._bill(compute, cluster) for compute, cluster in self._clusters.all().items()]
        return sorted(found, key=lambda bill: -bill.idle_node_seconds)

    def reset(self) -> None:
        """Ask the prices of before again."""
        self.prices = dict(PRICES)

    def _bill(self, compute: str, cluster: Cluster) -> Bill:
        price = self.prices.get(cluster.vm_size.upper())
        if price is not None and cluster.priority.lower() == "lowpriority":
            price *= LOW_PRIORITY_SHARE
        return Bill(
            compute=compute,
            vm_size=cluster.vm_size,
            nodes=len(cluster.nodes),
            minimum=cluster.minimum,
            busy_node_seconds=cluster.busy_node_seconds,
            idle_node_seconds=cluster.idle_node_seconds,
            hourly_price=price,
        )
