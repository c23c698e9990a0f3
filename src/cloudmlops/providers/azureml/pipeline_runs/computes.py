"""The cluster that runs run on: looked at before the first, and made where there is none."""

from __future__ import annotations

import logging
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from cloudmlops.errors import ConfigurationError, NotFoundError
from cloudmlops.providers.azureml.errors import PROVIDER
from cloudmlops.providers.azureml.mapping.computes import Compute, agreement, idle_cost, idle_fault
from cloudmlops.providers.azureml.sdk import ml

if TYPE_CHECKING:
    from cloudmlops.providers.azureml.wire import Wire

_IDLE_SECONDS: Final = 120
"""How long a node of a cluster that is made here waits for the next run before it goes."""
_log: Final = logging.getLogger("cloudmlops.azureml")


class Computes:
    """The compute of the settings."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._settings = wire.settings

    @cached_property
    def ready(self) -> Compute:
        """The compute of the settings, which is made when it is not there and its machine is named.

        Raises:
            ConfigurationError: It keeps nodes though nothing runs, and nobody has agreed to pay for them.
            NotFoundError: It is not there, and no machine is named.
        """
        settings = self._settings
        if not settings.compute:
            return Compute(name="")
        try:
            found = self._wire.ask(
                lambda: self._wire.client.compute.get(settings.compute),
                operation="pipelines.run",
                resource=f"compute {settings.compute}",
            )
        except NotFoundError as error:
            if not settings.compute_machine:
                raise NotFoundError(
                    f"the workspace has no compute {settings.compute!r}",
                    hint="Name another one; or have it made with min nodes 0: add compute_machine=Standard_DS3_v2, or "
                    "another size, to the target; or name none, for serverless compute.",
                    provider=PROVIDER,
                    operation="pipelines.run",
                    resource=settings.compute,
                ) from error
            found = self._made()
        if not isinstance(found, ml().entities.AmlCompute):
            return Compute(name=settings.compute)
        low = str(found.tier or "").lower().replace("_", "") == "lowpriority"
        self._agreed(str(found.size), int(found.min_instances or 0), low_priority=low)
        return Compute(name=settings.compute, machine=str(found.size), low_priority=low)

    def _made(self) -> Any:
        settings = self._settings
        self._agreed(settings.compute_machine, settings.compute_min_nodes)
        wanted = ml().entities.AmlCompute(
            name=settings.compute,
            size=settings.compute_machine,
            min_instances=settings.compute_min_nodes,
            max_instances=max(settings.compute_max_nodes, settings.compute_min_nodes),
            idle_time_before_scale_down=_IDLE_SECONDS,
        )
        return self._wire.finish(
            lambda: self._wire.client.compute.begin_create_or_update(wanted),
            operation="pipelines.run",
            resource=f"compute {settings.compute}",
        )

    def _agreed(self, machine: str, nodes: int, *, low_priority: bool = False) -> None:
        name, agreed = self._settings.compute, self._settings.compute_idle_cost
        if fault := idle_fault(name, machine, nodes, agreed, low_priority=low_priority):
            raise ConfigurationError(fault, hint=agreement(machine, nodes, low_priority=low_priority))
        if nodes:
            cost = idle_cost(machine, nodes, low_priority=low_priority)
            _log.warning(
                "compute %r keeps %d %s though nothing runs: %s, as agreed",
                name,
                nodes,
                machine,
                "at a price that is not known here" if cost is None else f"about {cost:.0f} US dollars a month",
            )
