"""The datastore that ledger, inbox and artifacts lie in, and the object store that it names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cloudmlops.errors import ConfigurationError
from cloudmlops.providers.azureml.sdk import ml

if TYPE_CHECKING:
    from cloudmlops.providers.azureml.settings import AzureMLSettings
    from cloudmlops.providers.azureml.wire import Wire


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where a datastore's files are."""

    datastore: str
    account: str
    container: str
    suffix: str
    """Of the cloud's storage hosts, such as `core.windows.net`."""

    def store(self, prefix: str) -> str:
        """Return the address of the object store, as Spark, pandas and deltalake know it."""
        return f"abfss://{self.container}@{self.account}.dfs.{self.suffix}/{prefix}".rstrip("/")

    def native_uri(self, settings: AzureMLSettings, uri: str) -> str:
        """Return Azure ML's own address of something in the object store.

        Args:
            settings: Of the workspace.
            uri: Its address there, such as `abfss://…/cloudmlops/models/churn/1/`.
        """
        path = uri.removeprefix(f"{self.store('')}/").strip("/")
        return (
            f"azureml://subscriptions/{settings.subscription}/resourcegroups/{settings.resource_group}"
            f"/workspaces/{settings.workspace}/datastores/{self.datastore}/paths/{path}"
        )


def look_up(wire: Wire) -> Place:
    """Ask where the datastore of the settings, or the workspace's default one, has its files.

    Raises:
        ConfigurationError: It is not on Blob storage.
        ServiceError: There is none, or the caller may not see it.
    """
    if wire.settings.datastore:
        return named(wire, wire.settings.datastore, operation="connect")
    found = wire.ask(
        lambda: wire.client.datastores.get_default(),
        operation="connect",
        resource=f"the default datastore of {wire.settings.workspace}",
    )
    return _place(found)


def named(wire: Wire, name: str, *, operation: str) -> Place:
    """Ask where a datastore of the workspace has its files.

    Raises:
        ConfigurationError: It is not on Blob storage.
        ServiceError: There is none, or the caller may not see it.
    """
    return _place(wire.ask(lambda: wire.client.datastores.get(name), operation=operation, resource=f"datastore {name}"))


def _place(found: Any) -> Place:
    entities = ml().entities
    if isinstance(found, entities.AzureBlobDatastore):
        container = found.container_name
    elif isinstance(found, entities.AzureDataLakeGen2Datastore):
        container = found.filesystem  # an account with a hierarchical namespace answers as Blob storage, too
    else:
        raise ConfigurationError(
            f"the datastore {found.name!r} is of type {found.type}, and not on Blob storage",
            hint="Name another one in the target: ?datastore=NAME. The workspace's own is workspaceblobstore.",
        )
    return Place(
        datastore=str(found.name),
        account=str(found.account_name),
        container=str(container),
        suffix=str(found.endpoint or "core.windows.net"),
    )
