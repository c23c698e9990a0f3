"""The datastore that ledger, inbox and artifacts lie in, and the object store that it names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cloudmlops.errors import ConfigurationError
from cloudmlops.providers.azureml.sdk import ml

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

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

    def native_uri(self, settings: AzureMLSettings, uri: str, *, workspace: str = "") -> str:
        """Return Azure ML's own address of something in the object store.

        Args:
            settings: Of the workspace.
            uri: Its address there, such as `abfss://…/cloudmlops/models/churn/1/`.
            workspace: Whose datastore it is, where that is another one of the resource group.
        """
        path = uri.removeprefix(f"{self.store('')}/").strip("/")
        return (
            f"azureml://subscriptions/{settings.subscription}/resourcegroups/{settings.resource_group}"
            f"/workspaces/{workspace or settings.workspace}/datastores/{self.datastore}/paths/{path}"
        )


def look_up(wire: Wire) -> Place:
    """Ask where the datastore of the settings, or the workspace's default one, has its files.

    Raises:
        ConfigurationError: It is not on Blob storage.
        ServiceError: There is none, or the caller may not see it.
    """
    if wire.settings.datastore:
        return named(wire, wire.settings.datastore, operation="connect")
    return default(wire, wire.client, operation="connect")


def default(wire: Wire, client: MLClient, *, operation: str) -> Place:
    """Ask where the default datastore of a client's workspace has its files.

    Raises:
        ConfigurationError: It is not on Blob storage.
        ServiceError: The caller may not see it.
    """
    resource = f"the default datastore of {client.workspace_name}"
    return _place(wire.ask(client.datastores.get_default, operation=operation, resource=resource))


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
