from __future__ import annotations

import pytest

from cloudmlops import Platform
from cloudmlops.testing.contract.pipelines import PipelinesContract

from .rigs import OnAzureML, OnVertex, OnVertexOverRest, StartingRuns


class TestPipelinesOnLocal(PipelinesContract):
    @pytest.fixture
    def clock(self, platform: Platform) -> StartingRuns:
        return StartingRuns(platform)


class TestPipelinesOnAzureML(OnAzureML, PipelinesContract):
    pass


class TestPipelinesOnVertex(OnVertex, PipelinesContract):
    pass


class TestPipelinesOnVertexOverRest(OnVertexOverRest, PipelinesContract):
    pass
