from __future__ import annotations

import importlib
import itertools
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cloudmlops.emulators.azure import azure_cloud
from cloudmlops.emulators.azure.cloud import SUBSCRIPTION, AzureCloud
from cloudmlops.emulators.azure.entra.principals import Principal
from cloudmlops.emulators.core.emulator import Emulator

if TYPE_CHECKING:
    from azure.ai.ml import MLClient
    from azure.identity import ClientSecretCredential

GROUP = "experiments"
PRINCIPALS = """
tenant = "contoso"

[[principals]]
name = "owner"
secret = "of-the-owner"
roles = ["Owner"]

[[principals]]
name = "scientist"
secret = "of-the-scientist"
roles = ["AzureML Data Scientist"]

[[principals]]
name = "reader"
secret = "of-the-reader"
roles = ["Reader"]

[[principals]]
name = "nobody"
secret = "of-nobody"

[[principals]]
name = "sender"
secret = "of-the-sender"
roles = ["EventGrid Data Sender"]

[[principals]]
name = "receiver"
secret = "of-the-receiver"
roles = ["EventGrid Data Receiver"]

[[principals]]
name = "machine"
kind = "ManagedIdentity"
assigned_to = ["machine"]

[[principals]]
name = "unassigned"
kind = "ManagedIdentity"
"""
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Azure:
    """A workspace of its own in a running emulator, reached by unmodified SDKs through the redirect."""

    emulator: Emulator
    cloud: AzureCloud
    workspace: str

    @property
    def subscription(self) -> str:
        return SUBSCRIPTION

    @property
    def group(self) -> str:
        return GROUP

    @property
    def workspace_id(self) -> str:
        return self.cloud.ensure_workspace(self.workspace, group=GROUP)

    def principal(self, name: str) -> Principal:
        return self.cloud.tokens.directory.by_name(name)

    def credential(self, name: str = "owner") -> ClientSecretCredential:
        from azure.identity import ClientSecretCredential

        who = self.principal(name)
        return ClientSecretCredential(self.cloud.tokens.directory.tenant, who.client_id, who.secret)

    def client(self, name: str = "owner", **options: Any) -> MLClient:
        from azure.ai.ml import MLClient

        return MLClient(self.credential(name), SUBSCRIPTION, GROUP, self.workspace, enable_telemetry=False, **options)


@pytest.fixture(scope="session")
def azure_emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    principals = tmp_path_factory.mktemp("azure") / "principals.toml"
    principals.write_text(PRINCIPALS)
    with warnings.catch_warnings():  # azure-ai-ml 1.35 is written for marshmallow 3, which tells of its fourth
        warnings.simplefilter("ignore")
        importlib.import_module("azure.ai.ml")
    with Emulator([azure_cloud(principals)]) as emulator:
        yield emulator


@pytest.fixture
def azure(azure_emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Azure]:
    """A new workspace; this process's environment leads Azure's SDKs to the emulator."""
    for name, value in azure_emulator.environment().items():
        monkeypatch.setenv(name, value)
    cloud = azure_emulator.cloud(AzureCloud)
    workspace = f"workspace-{next(_numbers)}"
    cloud.ensure_workspace(workspace, group=GROUP)
    yield Azure(azure_emulator, cloud, workspace)
    azure_emulator.reset()


@pytest.fixture
def principals_file(tmp_path: Path) -> Path:
    file = tmp_path / "principals.toml"
    file.write_text(PRINCIPALS)
    return file
