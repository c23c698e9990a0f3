"""What a step prints, where Azure ML appends it as it comes."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Final

from cloudmlops.errors import ConfigurationError, NotFoundError
from cloudmlops.providers.azureml.sdk import ml
from cloudmlops.storage.opening import open_store

if TYPE_CHECKING:
    from cloudmlops.ports.objects import ObjectStore
    from cloudmlops.providers.azureml.wire import Wire

_STORE: Final = "workspaceartifactstore"
"""The datastore in which a workspace keeps logs and metrics of its runs."""


class StepLogs:
    """Reads them."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def printed(self, job: str) -> str:
        """Return all that the run of a step has printed until now; of several processes, one after another.

        Args:
            job: Id of the step's own run.
        """
        prefix = f"ExperimentRun/dcid.{job}/user_logs/"
        said = []
        # Beside them may lie what a launcher of processes says.
        for key in sorted(key for key in self._store.list(prefix) if key.rpartition("/")[2].startswith("std_log")):
            try:
                said.append(self._store.get(key).decode(errors="replace"))
            except NotFoundError:
                continue
        return "".join(said)

    @cached_property
    def _store(self) -> ObjectStore:
        found = self._wire.ask(
            lambda: self._wire.client.datastores.get(_STORE), operation="pipelines.logs", resource=_STORE
        )
        if not isinstance(found, ml().entities.AzureBlobDatastore):
            raise ConfigurationError(f"the datastore {_STORE} is of type {found.type}, and not on Blob storage")
        address = f"abfss://{found.container_name}@{found.account_name}.dfs.{found.endpoint or 'core.windows.net'}"
        return open_store(address, tokens=self._wire.storage_token, timeout=self._wire.settings.timeout)
