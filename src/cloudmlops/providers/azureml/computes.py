"""The compute that runs and batches run on: looked at before each, for anybody may change what it costs."""

from __future__ import annotations

import logging
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from cloudmlops.errors import ConfigurationError, NotFoundError
from cloudmlops.providers.azureml.errors import PROVIDER
from cloudmlops.providers.azureml.mapping.computes import (
    Compute,
    Kept,
    agreement,
    elsewhere,
    idle_fault,
    idle_note,
    kept_by,
)
from cloudmlops.providers.azureml.sdk import ml

if TYPE_CHECKING:
    from cloudmlops.providers.azureml.wire import Wire

_IDLE_SECONDS: Final = 120
"""How long a node of a cluster that is made here waits for the next run before it goes."""
_log: Final = logging.getLogger("cloudmlops.azureml")


class Computes:
    """The compute of the settings, and those that somebody names instead."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._settings = wire.settings
        self._looking = Lock()
        self._found: Compute | None = None
        self._told: set[str] = set()

    def ready(self, operation: str) -> Compute:
        """Look at the compute of the settings, which is made when it is not there and its machine is named.

        Args:
            operation: The verb that it is wanted for.

        Raises:
            ConfigurationError: It costs though nothing runs, and nobody has agreed to pay for that.
            NotFoundError: It is not there, and no machine is named.
        """
        if not self._settings.compute:
            return Compute(name="")
        with self._looking:
            self._found = self._looked_at(operation)
            return self._found

    def seen(self, operation: str) -> Compute:
        """Return the compute of the settings as it was seen last; it is looked at when it never was."""
        return self._found or self.ready(operation)

    def check(self, name: str, operation: str) -> None:
        """Look at a compute that a job names by itself; none such is made.

        Args:
            name: As azure-ai-ml reads it: a name in the workspace, or the id of a compute.
            operation: The verb that it is wanted for.

        Raises:
            ConfigurationError: It costs though nothing runs, and nobody has agreed to pay for that.
            NotFoundError: It is not there.
        """
        own = name.removeprefix(f"{self._settings.workspace_id}/computes/")
        if "/" in own:
            self._agreed_and_told(elsewhere(own))
            return
        try:
            found = self._asked(own, operation)
        except NotFoundError as error:
            raise _missing(own, "Name another one in the job; or none, for serverless compute.", operation) from error
        self._agreed_and_told(kept_by(found))

    def _looked_at(self, operation: str) -> Compute:
        settings = self._settings
        try:
            found = self._asked(settings.compute, operation)
        except NotFoundError as error:
            if not settings.compute_machine:
                raise _missing(
                    settings.compute,
                    "Name another one; or have it made with min nodes 0: add compute_machine=Standard_DS3_v2, or "
                    "another size, to the target; or name none, for serverless compute.",
                    operation,
                ) from error
            self._agreed(
                Kept(compute=settings.compute, machine=settings.compute_machine, nodes=settings.compute_min_nodes)
            )
            found = self._made(operation)
        kept = kept_by(found)
        self._agreed_and_told(kept)
        return Compute(name=settings.compute, machine=kept.machine, low_priority=kept.low_priority)

    def _asked(self, name: str, operation: str) -> Any:
        return self._wire.ask(
            lambda: self._wire.client.compute.get(name), operation=operation, resource=f"compute {name}"
        )

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

    def _agreed_and_told(self, kept: Kept) -> None:
        self._agreed(kept)
        if kept.nodes and (note := idle_note(kept)) not in self._told:
            self._told.add(note)
            _log.warning("%s, as agreed", note)


def _missing(name: str, hint: str, operation: str) -> NotFoundError:
    return NotFoundError(
        f"the workspace has no compute {name!r}", hint=hint, provider=PROVIDER, operation=operation, resource=name
    )
