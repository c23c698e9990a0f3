from __future__ import annotations

import pytest

from cloudmlops import Platform
from cloudmlops.testing.contract.endpoints import EndpointsContract


class TestEndpointsOnLocal(EndpointsContract):
    pass


class TestEndpointsOnVertex(EndpointsContract):
    @pytest.fixture
    def platform(self, vertex_platform: Platform) -> Platform:
        return vertex_platform
