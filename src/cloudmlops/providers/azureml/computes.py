"""The compute that runs and batches run on: looked at before the first, and made where there is none."""

from __future__ import annotations

import logging
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from cloudmlops.errors import ConfigurationError, NotFoundError
from cloudmlops.providers.azureml.errors import PROVIDER
from cloudmlops.providers.azureml.mapping.computes import Compute, Kept, agreement, idle_fault, idle_note, kept_by
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
        self._looking = Lock()
        self._found: Compute | None = None

    def ready(self, operation: str) -> Compute:
        """Return the compute of the settings, which is made when it is not there and its machine is named.

        It is looked at once.

        Args:
            operation: The verb that it is wanted for.

        Raises:
            ConfigurationError: It costs though nothing runs, and nobody has agreed to pay for that.
            NotFoundError: It is not there, and no machine is named.
        """
        if not self._settings.compute:
            return Compute(name="")
        with self._looking:
            if self._found is None:
                self._found = self._looked_at(operation)
            return self._found

    def _looked_at(self, operation: str) -> Compute:
        settings = self._settings
        try:
            found = self._wire.ask(
                lambda: self._wire.client.compute.get(settings.compute),
                operation=operation,
                resource=f"compute {settings.compute}",
            )
        except NotFoundError as error:
            if not settings.compute_machine:
                raise NotFoundError(
                    f"the workspace has no compute {settings.compute!r}",
                    hint="Name another one; or have it made with min nodes 0: add compute_machine=Standard_DS3_v2, or "
                    "another size, to the target; or name none, for serverless compute.",
                    provider=PROVIDER,
                    operation=operation,
                    resource=settings.compute,
                ) from error
            self._agreed(
                Kept(compute=settings.compute, machine=settings.compute_machine, nodes=settings.compute_min_nodes)
            )
            found = self._made(operation)
        kept = kept_by(found)
        self._agreed(kept)
        if kept.nodes:
            _log.warning("%s, as agreed", idle_note(kept))
        return Compute(name=settings.compute, machine=kept.machine, low_priority=kept.low_priority)

    def _made(self, operation: str) -> Any:
        settings = self._settings
        wanted = ml().entities.AmlCompute(
            name=settings.compute,
            size=settings.compute_machine,
            min_instances=settings.compute_min_nodes,
            max_instances=max(settings.compute_max_nodes, settings.compute_min_nodes),
            idle_time_before_scale_down=_IDLE_SECONDS,
        )
        return self._wire.finish(
            lambda: self._wire.client.compute.begin_create_or_update(wanted),
            operation=operation,
            resource=f"compute {settings.compute}",
        )

    def _agreed(self, kept: Kept) -> None:
        if fault := idle_fault(kept, self._settings):
            raise ConfigurationError(fault, hint=agreement(kept))
