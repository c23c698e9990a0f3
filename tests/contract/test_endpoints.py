from __future__ import annotations

from collections.abc import Iterator

import pytest

from cloudmlops import Platform, connect
from cloudmlops.emulators.core.emulator import Emulator
from cloudmlops.testing.contract.endpoints import EndpointsContract

from .conftest import vertex_target


class TestEndpointsOnLocal(EndpointsContract):
    pass


class TestEndpointsOnVertex(EndpointsContract):
    @pytest.fixture
    def platform(self, vertex_platform: Platform) -> Platform:
        return vertex_platform


@pytest.mark.conformance
class TestEndpointsOnVertexOverRest(EndpointsContract):
    @pytest.fixture
    def platform(self, vertex_emulator: Emulator) -> Iterator[Platform]:
        with connect(vertex_target(vertex_emulator, transport="rest")) as platform:
            yield platform
