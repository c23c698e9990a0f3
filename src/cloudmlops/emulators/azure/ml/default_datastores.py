"""The datastores that every workspace has from the start, and the storage that they name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from cloudmlops.emulators.azure.arm.world import World
from cloudmlops.emulators.azure.blob.sharing import Blobs
from cloudmlops.emulators.azure.entra.tokens import Caller
from cloudmlops.emulators.azure.ml import PROVIDER

TYPE: Final = f"{PROVIDER}/workspaces/datastores"
BLOB_STORE: Final = "workspaceblobstore"
"""The default one: where assets are uploaded."""
ARTIFACT_STORE: Final = "workspaceartifactstore"
"""Where runs keep what they log."""
ARTIFACT_CONTAINER: Final = "azureml"
ENDPOINT: Final = "core.windows.net"


def make_default_datastores(world: World, workspace: Mapping[str, Any], caller: Caller) -> None:
    """Make the storage account of a workspace with two containers, and the datastores that name them."""
    properties = workspace["properties"]
    account = str(properties["storageAccount"]).rpartition("/")[2]
    blobs = Blobs(world.surroundings)
    blobs.make_account(account, properties["storageAccount"])
    stores = ((ARTIFACT_STORE, ARTIFACT_CONTAINER), (BLOB_STORE, blob_container(workspace)))
    for name, container in stores:
        blobs.make_container(account, container)
        default = name == BLOB_STORE
        parts = str(workspace["id"]).split("/")
        kept = {
            "description": None,
            "tags": None,
            "properties": None,
            "isDefault": default,
            "credentials": {"credentialsType": "AccountKey"},
            "subscriptionId": parts[2] if default else None,
            "resourceGroup": parts[4] if default else None,
            "datastoreType": "AzureBlob",
            "accountName": account,
            "containerName": container,
            "endpoint": ENDPOINT,
            "protocol": "https",
            "serviceDataAccessAuthIdentity": "WorkspaceSystemAssignedIdentity" if default else "None",
        }
        world.resources.put(f"{workspace['id']}/datastores/{name}", TYPE, kept, caller)


def blob_container(workspace: Mapping[str, Any]) -> str:
    """Return the name of the container that assets of a workspace are uploaded to."""
    return f"azureml-blobstore-{workspace['properties']['workspaceId']}"
