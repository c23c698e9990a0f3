from __future__ import annotations

from pathlib import Path

import pytest

import cloudmlops as cm
from cloudmlops.domain.access import Role
from cloudmlops.emulators.azure.cloud import AzureCloud
from cloudmlops.emulators.core.emulator import Emulator
from cloudmlops.testing.contract.access import AccessContract

from .rigs import OnAzureML, OnVertex, OnVertexOverRest


class TestAccessOnLocal(AccessContract):
    pass


class TestAccessOnVertex(OnVertex, AccessContract):
    principal = "user:bob@example.com"


class TestAccessOnVertexOverRest(OnVertexOverRest, AccessContract):
    principal = "user:bob@example.com"


class TestAccessOnAzureML(OnAzureML, AccessContract):
    @pytest.fixture(autouse=True)
    def somebody(self, azureml_emulator: Emulator) -> None:
        self.principal = azureml_emulator.cloud(AzureCloud).tokens.directory.by_name("guest").object_id


def test_a_folder_that_cannot_be_written_is_reported_before_anything_is_made(read_only_folder: Path) -> None:
    platform = cm.connect(f"local://{read_only_folder}/platform")

    missing = platform.check_access(["models.get", "models.promote"])

    assert [(gap.verb, gap.permission.role) for gap in missing] == [("models.promote", Role.DEPLOYER)]
    assert list(read_only_folder.iterdir()) == []
