"""Deployments as tests make them: in a container that is up at once."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cloudmlops import Platform
from cloudmlops.domain.endpoints import DeploymentSpec, DeploymentStatus
from cloudmlops.domain.models import ModelVersion
from cloudmlops.emulators.azure.cloud import AzureCloud
from cloudmlops.emulators.azure.scoring.images import ServingImage
from cloudmlops.providers.azureml.backends import AzureMLBackends
from cloudmlops.testing.model_folders import write_scaling_model

PUT: Final = "arm/PUT workspaces/onlineEndpoints/deployments"
DELETE: Final = "arm/DELETE workspaces/onlineEndpoints/deployments"
ENDPOINT: Final = "arm/GET workspaces/onlineEndpoints"
_SERVER: Final = Path(__file__).with_name("quick_server.py")


@dataclass(kw_only=True)
class Deployer:
    """Registers what is deployed, and says how."""

    platform: Platform
    cloud: AzureCloud
    folder: Path
    endpoint: str
    """A name of its own: it is a host's name, and unique in the region of all workspaces."""
    settings: Mapping[str, str]
    _made: int = field(default=0)

    def version(self, factor: float = 1.0, *, fails: str | None = None) -> ModelVersion:
        """Register a version that multiplies by its factor."""
        self._made += 1
        folder = write_scaling_model(self.folder / f"model-{self._made}", factor=factor, fails=fails)
        return self.platform.models.register("scaling", folder)

    def let_be_quick(self) -> None:
        """Say what stands for the image of the settings."""
        command = [sys.executable, "-S", "-u", str(_SERVER), "{port}"]
        self.cloud.fleet.images.let(self.settings["serving_image"], ServingImage(command=command))


def spec(version: ModelVersion, endpoint: str, deployed_as: str = "act-1", name: str = "v1") -> DeploymentSpec:
    return DeploymentSpec(
        endpoint=endpoint,
        name=name,
        model=version.model,
        version=version.version,
        artifact_uri=version.artifact_uri,
        deployed_as=deployed_as,
    )


def deploy(backends: AzureMLBackends, wanted: DeploymentSpec) -> DeploymentStatus:
    return backends.endpoints.deploy(wanted, fetch=lambda _: None, actor="ada")


def until(reached: Callable[[], bool], *, seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < end
        time.sleep(0.02)


def once(act: Callable[[], object], *, when: Callable[[], bool] = lambda: True) -> Callable[[], None]:
    """Return what does something the first time that it is right to."""
    done = False

    def guarded() -> None:
        nonlocal done
        if not done and when():
            done = True
            act()

    return guarded
