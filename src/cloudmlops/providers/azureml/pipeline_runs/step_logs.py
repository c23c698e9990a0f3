"""What a step prints, where Azure ML appends it as it comes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING, Final

from cloudmlops.errors import ConfigurationError, NotFoundError
from cloudmlops.providers.azureml.sdk import ml
from cloudmlops.storage.remote import RemoteStore

if TYPE_CHECKING:
    from cloudmlops.providers.azureml.wire import Wire

_STORE: Final = "workspaceartifactstore"
"""The datastore in which a workspace keeps logs and metrics of its runs."""


class StepLogs:
    """Reads them."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._reading = Lock()
        self._known: tuple[str, dict[str, bytes]] = ("", {})

    def printed(self, job: str) -> Mapping[str, str]:
        """Return what each process of a step has printed until now, by its file.

        Of the job that was read last, only what is new is read.

        Args:
            job: Id of the step's own run.
        """
        prefix = f"ExperimentRun/dcid.{job}/user_logs/"
        with self._reading:
            before = self._known[1] if self._known[0] == job else {}
            # Beside them may lie what a launcher of processes says.
            sizes = sorted((key, size) for key, size in self._store.sizes(prefix) if _file(key).startswith("std_log"))
            now = {_file(key): self._all(key, size, before.get(_file(key), b"")) for key, size in sizes}
            self._known = (job, now)
        return {name: content.decode(errors="replace") for name, content in now.items()}

    def _all(self, key: str, size: int, known: bytes) -> bytes:
        """Return all of a file of which the beginning is known, unless it has become shorter and so is another one."""
        if size < len(known):
            known = b""
        if size == len(known):
            return known
        try:
            with self._store.open(key, size) as file:
                file.seek(len(known))
                return known + file.read()
        except NotFoundError:
            return known

    @cached_property
    def _store(self) -> RemoteStore:
        found = self._wire.ask(
            lambda: self._wire.client.datastores.get(_STORE), operation="pipelines.logs", resource=_STORE
        )
        if not isinstance(found, ml().entities.AzureBlobDatastore):
            raise ConfigurationError(f"the datastore {_STORE} is of type {found.type}, and not on Blob storage")
        account = f"{found.account_name}.dfs.{found.endpoint or 'core.windows.net'}"
        return RemoteStore.at(
            "abfss",
            f"{found.container_name}@{account}",
            "",
            tokens=self._wire.storage_token,
            timeout=self._wire.settings.timeout,
        )


def _file(key: str) -> str:
    return key.rpartition("/")[2]
