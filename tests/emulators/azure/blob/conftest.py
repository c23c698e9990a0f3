from __future__ import annotations

import base64
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.emulators.azure.blob.places import Place

from cloudmlops.emulators.azure.cloud import AzureCloud
from cloudmlops.emulators.core.emulator import Emulator

if TYPE_CHECKING:
    from azure.storage.blob import ContainerClient


@pytest.fixture(scope="session")
def emulated(azure_emulator: Emulator) -> Place:
    cloud = azure_emulator.cloud(AzureCloud)
    workspace = cloud.ensure_workspace("of-blobs", group="blobs")
    found = cloud.resources.get(workspace)
    assert found is not None
    account = found["properties"]["storageAccount"].rpartition("/")[2]
    return Place(name="emulated", url=f"{azure_emulator.url}/{account}", account=account, key=cloud.blobs.key(account))


@pytest.fixture(scope="session")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Microsoft's own emulator, as a second opinion: `npm install azurite`."""
    program = shutil.which("azurite-blob")
    if program is None:
        pytest.skip("azurite-blob is not on PATH: nothing to compare with")
    key = base64.b64encode(os.urandom(32)).decode()
    command = [program, "--blobPort", "0", "--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry"]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=tmp_path_factory.mktemp("azurite"),
        env={**os.environ, "AZURITE_ACCOUNTS": f"stcompared:{key}"},
    ) as process:
        assert process.stdout is not None
        heard = (re.search(r"listens on (http://\S+)", line) for line in process.stdout)
        address = next((found[1] for found in heard if found), None)
        try:
            if address is None:
                pytest.fail("azurite-blob ended before it listened")
            yield Place(name="azurite", url=f"{address}/stcompared", account="stcompared", key=key)
        finally:
            process.terminate()


@pytest.fixture(params=["emulated", pytest.param("azurite", marks=pytest.mark.conformance)])
def place(request: pytest.FixtureRequest) -> Place:
    """Where a test of the wire is held: ours, and Azurite where there is one."""
    found: Place = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def container(place: Place) -> Iterator[ContainerClient]:
    with place.container() as made:
        yield made


@pytest.fixture
def file_of_nine_mebibytes(tmp_path: Path) -> Path:
    file = tmp_path / "large.bin"
    file.write_bytes(os.urandom(9 << 20))
    return file
