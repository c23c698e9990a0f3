"""Models over registries: a version that one workspace shares is a version of another one's ledger, with its files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest
from azure.identity import DefaultAzureCredential

from cloudmlops import Platform, connect
from cloudmlops.domain.capabilities import Capability, Support
from cloudmlops.domain.models import ModelVersion, Stage
from cloudmlops.emulators.azure.cloud import SUBSCRIPTION, AzureCloud
from cloudmlops.providers.azureml.mapping.models import DIGEST, STORE
from cloudmlops.providers.azureml.sdk import ml
from cloudmlops.testing.contract.models import written_model

from .conftest import GROUP

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

# azure-ai-ml's download is written for an earlier azure-storage-blob.
pytestmark = [
    pytest.mark.filterwarnings("ignore:The use of a 'BlobProperties':DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:content_as_bytes is deprecated:DeprecationWarning"),
]
REGISTRY = "everybodys"


@pytest.fixture
def shared(cloud: AzureCloud) -> Iterator[MLClient]:
    """A registry, as Azure's own client sees it."""
    cloud.ensure_registry(REGISTRY, group=GROUP)
    with DefaultAzureCredential() as credential:
        client: MLClient = ml().MLClient(credential, registry_name=REGISTRY, enable_telemetry=False)
        yield client


@pytest.fixture
def another(cloud: AzureCloud, workspace: str) -> Iterator[Platform]:
    """A platform in another workspace."""
    cloud.ensure_workspace(f"{workspace}-b", group=GROUP)
    with connect(f"azureml://{SUBSCRIPTION}/{GROUP}/{workspace}-b") as platform:
        yield platform


def share(platform: Platform, version: ModelVersion, as_version: str) -> str:
    """Share a version, and return the address of the copy."""
    copy = cast("MLClient", platform.native).models.share(
        version.model,
        version.version,
        share_with_name=f"shared-{version.model}",
        share_with_version=as_version,
        registry_name=REGISTRY,
    )
    return str(copy.id)


def adopt(platform: Platform, shared: MLClient, address: str, folder: Path) -> ModelVersion:
    """Register a shared copy in a platform's own ledger; the same copy again is the same version."""
    _, _, _, _, _, name, _, version = address.split("/")
    shared.models.download(name, version, download_path=folder)
    (found,) = folder.rglob("MLmodel")
    return platform.models.register("churn", found.parent, request=address, tags={"shared-from": address})


def test_a_shared_version_is_another_workspaces_version_with_the_same_files(
    connected: Callable[..., Platform], shared: MLClient, another: Platform, tmp_path: Path
) -> None:
    platform = connected()
    version = platform.models.register("churn", written_model(tmp_path / "model"))
    address = share(platform, version, f"{version.registered_at:%Y%m%d%H%M%S%f}")

    first, again = (adopt(another, shared, address, tmp_path / f"copy-{number}") for number in range(2))

    assert first == again
    assert first.tags == {"shared-from": address}
    assert first.stage is Stage.NONE
    there = cast("MLClient", platform.native).models.get("churn", version.version)
    here = cast("MLClient", another.native).models.get("churn", first.version)
    assert here.properties[DIGEST] == there.properties[DIGEST]
    assert here.properties[STORE] != there.properties[STORE]  # each workspace has a ledger of its own
    another.models.promote("churn", first.version, to=Stage.CANDIDATE, reason="shared")
    assert platform.models.get("churn", version.version).stage is Stage.NONE


def test_a_copy_in_a_registry_stays_as_it_was_shared(
    connected: Callable[..., Platform], shared: MLClient, tmp_path: Path
) -> None:
    platform = connected()
    version = platform.models.register("churn", written_model(tmp_path / "model"))
    address = share(platform, version, f"{version.registered_at:%Y%m%d%H%M%S%f}")
    platform.models.promote("churn", version.version, to=Stage.CANDIDATE, reason="good")

    _, _, _, _, _, name, _, number = address.split("/")
    assert (shared.models.get(name, number).tags or {}).get("stage", "none") == "none"
    assert platform.models.verify("churn").ok
    assert platform.capabilities.of(Capability.SHARED_REGISTRY) is Support.EMULATED
