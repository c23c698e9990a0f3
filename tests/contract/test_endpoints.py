from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import pytest

from cloudmlops import Platform, connect
from cloudmlops.emulators.core.emulator import Emulator
from cloudmlops.providers.azureml.sdk import ml
from cloudmlops.testing.contract.endpoints import EndpointsContract

from .conftest import azureml_target
from .rigs import OnAzureML, OnVertex, OnVertexOverRest


class TestEndpointsOnLocal(EndpointsContract):
    pass


class TestEndpointsOnVertex(OnVertex, EndpointsContract):
    pass


class TestEndpointsOnVertexOverRest(OnVertexOverRest, EndpointsContract):
    pass


class TestEndpointsOnAzureML(OnAzureML, EndpointsContract):
    settings: ClassVar[Mapping[str, str]] = {
        **OnAzureML.settings,
        "serving_image": "myregistry.azurecr.io/cloudmlops/serving:latest",
        "compute": "scoring",
    }

    @pytest.fixture
    def platform(self, azureml_emulator: Emulator) -> Iterator[Platform]:
        """A workspace with the cluster that files are scored on."""
        with connect(azureml_target(azureml_emulator, **self.settings)) as platform:
            cluster = ml().entities.AmlCompute(name="scoring", size="Standard_DS3_v2", max_instances=1)
            client: Any = platform.native
            client.compute.begin_create_or_update(cluster).result()
            yield platform

    def check_split(self, counts: Counter[float], expected: dict[float, int]) -> None:
        """Azure ML shares requests by chance: within four standard deviations of 200 times 0.2."""
        assert counts.keys() == expected.keys()
        assert sum(counts.values()) == 200
        assert abs(counts[2.0] - expected[2.0]) <= 23
