"""Where addresses of data lead."""

from __future__ import annotations

import pytest

from cloudmlops.emulators.azure.arm.resources import Resources
from cloudmlops.emulators.azure.cloud import SUBSCRIPTION, AzureCloud
from cloudmlops.emulators.azure.ml import PROVIDER
from cloudmlops.emulators.azure.ml.data_addresses import Storage, storage_of
from cloudmlops.emulators.core.emulator import Emulator
from cloudmlops.emulators.core.faults import Refused

LONG = f"azureml://subscriptions/{SUBSCRIPTION.upper()}/resourceGroups/Addresses"


@pytest.fixture
def resources(azure_emulator: Emulator) -> Resources:
    return azure_emulator.cloud(AzureCloud).resources


@pytest.fixture
def workspace(azure_emulator: Emulator) -> str:
    return azure_emulator.cloud(AzureCloud).ensure_workspace("addressed", group="addresses")


def artifacts(resources: Resources, workspace: str, path: str) -> Storage:
    found = resources.get(f"{workspace}/datastores/workspaceartifactstore")
    assert found is not None
    return Storage(account=found["properties"]["accountName"], container="azureml", path=path)


@pytest.mark.parametrize("path", ["", "a/b c.txt", "folder/"], ids=["container", "file", "folder"])
@pytest.mark.parametrize(
    "start",
    [
        "azureml://datastores/workspaceartifactstore/paths/",
        f"{LONG}/workspaces/addressed/datastores/workspaceartifactstore/paths/",
        f"{LONG}/providers/{PROVIDER}/workspaces/Addressed/datastores/WorkspaceArtifactStore/paths/",
    ],
    ids=["short", "long", "in another case"],
)
def test_of_datastores_lead_to_their_containers(resources: Resources, workspace: str, start: str, path: str) -> None:
    assert storage_of(resources, workspace, start + path) == artifacts(resources, workspace, path)


@pytest.mark.parametrize(
    "address",
    [
        "https://contoso.blob.core.windows.net/raw/a/b%20c.txt?sv=2021&sig=x",
        "wasbs://raw@contoso.blob.core.windows.net/a/b c.txt",
        "abfss://raw@contoso.dfs.core.windows.net/a/b c.txt",
    ],
    ids=["https", "wasbs", "abfss"],
)
def test_of_blobs_are_read_as_they_are(resources: Resources, workspace: str, address: str) -> None:
    assert storage_of(resources, workspace, address) == Storage(account="contoso", container="raw", path="a/b c.txt")


@pytest.mark.parametrize("address", ["", "azureml:model:1", "s3://bucket/a", "./local"], ids=str)
def test_that_are_none_are_refused(resources: Resources, workspace: str, address: str) -> None:
    with pytest.raises(Refused, match="is no address of data"):
        storage_of(resources, workspace, address)


def test_of_datastores_that_there_are_not_are_refused(resources: Resources, workspace: str) -> None:
    with pytest.raises(Refused, match="Could not find datastore: nowhere"):
        storage_of(resources, workspace, "azureml://datastores/nowhere/paths/a")
