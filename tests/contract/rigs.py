"""Where the contracts are held: each rig is a fixture `platform`, to be inherited from before the contract's class."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Final
from urllib.parse import urlsplit

import httpx
import pytest
from google.cloud.aiplatform_v1 import EndpointServiceClient
from google.cloud.aiplatform_v1.types import Endpoint
from tests.azureml.event_grid import made_namespace

from cloudmlops import Platform, connect
from cloudmlops.emulators.azure.cloud import AzureCloud
from cloudmlops.emulators.core.emulator import Emulator
from cloudmlops.providers.azureml.sdk import ml

from .conftest import azureml_target, azureml_target_of, target_in_new_project, vertex_target


class OnDisk:
    @pytest.fixture
    def platform(self, platform_on_disk: Platform) -> Platform:
        return platform_on_disk


class OnVertex:
    """A project of its own for each test, asked over gRPC at the emulator's address."""

    settings: ClassVar[Mapping[str, str]] = {
        # Steps run in an image that was built from this environment.
        "image": "europe-west4-docker.pkg.dev/any/steps/cloudmlops:latest"
    }

    @pytest.fixture
    def platform(self, vertex_emulator: Emulator) -> Iterator[Platform]:
        with connect(vertex_target(vertex_emulator, **self.settings)) as platform:
            yield platform


class ServedByVertex:
    """What endpoints need besides: somebody else."""

    @pytest.fixture
    def disown(self, platform: Platform) -> Iterator[Callable[[str], None]]:
        backends: Any = platform._backends
        wire = backends.wire
        kept: dict[str, dict[str, str]] = {}

        def relabel(name: str, labels: dict[str, str]) -> None:
            client = wire.client(EndpointServiceClient)
            present = client.get_endpoint(name=f"{wire.settings.parent}/endpoints/{name}")
            kept.setdefault(name, dict(present.labels))
            changed = Endpoint(name=present.name, labels=labels)
            client.update_endpoint(endpoint=changed, update_mask={"paths": ["labels"]})

        yield lambda name: relabel(name, {"team": "payments"})
        for name, labels in list(kept.items()):
            relabel(name, labels)


@pytest.mark.conformance
class OnVertexOverRest(OnVertex):
    settings: ClassVar[Mapping[str, str]] = {**OnVertex.settings, "transport": "rest"}


class OnVertexWithTopic(OnVertex):
    """What is published comes back by a subscription."""

    settings: ClassVar[Mapping[str, str]] = {**OnVertex.settings, "topic": "events", "subscription": "mine"}

    @pytest.fixture
    def platform(self, vertex_emulator: Emulator) -> Iterator[Platform]:
        target = vertex_target(vertex_emulator, **self.settings)
        project = f"projects/{urlsplit(target).netloc}"
        with httpx.Client(base_url=f"{vertex_emulator.url}/v1", verify=False) as pubsub:
            topic = f"{project}/topics/events"
            pubsub.put(topic, json={}).raise_for_status()
            pubsub.put(f"{project}/subscriptions/mine", json={"topic": topic}).raise_for_status()
        with connect(target) as platform:
            yield platform


# azure-ai-ml 1.35 is written for marshmallow 3, which tells of its fourth.
@pytest.mark.filterwarnings("ignore::marshmallow.warnings.RemovedInMarshmallow4Warning")
class OnAzureML:
    """A workspace of its own for each test, by Azure's own names and credentials through the redirect."""

    settings: ClassVar[Mapping[str, str]] = {
        # Steps run in an image that was built from this environment.
        "environment": "azureml:steps:1"
    }

    @pytest.fixture
    def platform(self, azureml_emulator: Emulator) -> Iterator[Platform]:
        with connect(azureml_target(azureml_emulator, **self.settings)) as platform:
            yield platform


class ServedByAzureML:
    """What endpoints need besides: an image, and a cluster that files are scored on."""

    settings: ClassVar[Mapping[str, str]] = {
        **OnAzureML.settings,
        "serving_image": "myregistry.azurecr.io/cloudmlops/serving:latest",
        "compute": "scoring",
    }

    @pytest.fixture(autouse=True)
    def cluster(self, platform: Platform) -> None:
        client: Any = platform.native
        made = ml().entities.AmlCompute(name="scoring", size="Standard_DS3_v2", max_instances=1)
        client.compute.begin_create_or_update(made).result()

    @pytest.fixture
    def disown(self, platform: Platform) -> Iterator[Callable[[str], None]]:
        client: Any = platform.native
        endpoints = client.online_endpoints
        kept: dict[str, dict[str, str]] = {}

        def retag(name: str, tags: dict[str, str]) -> None:
            present = endpoints.get(name)
            kept.setdefault(name, dict(present.tags))
            present.tags = tags
            endpoints.begin_create_or_update(present).result()

        yield lambda name: retag(name, {"team": "payments"})
        for name, tags in list(kept.items()):
            retag(name, tags)

    def check_split(self, counts: Counter[float], expected: dict[float, int]) -> None:
        """Azure ML shares requests by chance: within four standard deviations of 200 times 0.2."""
        assert counts.keys() == expected.keys()
        assert sum(counts.values()) == 200
        assert abs(counts[2.0] - expected[2.0]) <= 23


class OnAzureMLWithNamespace(OnAzureML):
    """What is published comes back by a subscription."""

    @pytest.fixture
    def platform(self, azureml_emulator: Emulator) -> Iterator[Platform]:
        namespace = made_namespace(azureml_emulator.cloud(AzureCloud), "contract", "owner")
        with connect(azureml_target(azureml_emulator, **self.settings, **namespace.settings)) as platform:
            yield platform


class OnVertexSealed(OnVertex):
    """Google's own addresses and credentials, in a process whose every way leads to an emulator."""

    settings: ClassVar[Mapping[str, str]] = {**OnVertex.settings, "api_url": "none"}

    @pytest.fixture
    def platform(self) -> Iterator[Platform]:
        with connect(target_in_new_project(os.environ["CLOUDMLOPS_EMULATOR"], **self.settings)) as platform:
            yield platform


WORKSPACES: Final = tuple(f"sealed-{number}" for number in range(100))
"""As many as a contract has tests, with room for more."""
_unused = iter(WORKSPACES)


class OnAzureMLSealed(OnAzureML):
    """The same in a process that was started behind the redirect, with its workspaces there from the start."""

    @pytest.fixture
    def platform(self) -> Iterator[Platform]:
        with connect(azureml_target_of(next(_unused), **self.settings)) as platform:
            yield platform
