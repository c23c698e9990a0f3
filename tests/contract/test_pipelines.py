from __future__ import annotations

from cloudmlops.testing.contract.pipelines import PipelinesContract

from .rigs import OnAzureML, OnVertex, OnVertexOverRest


class TestPipelinesOnLocal(PipelinesContract):
    pass


class TestPipelinesOnAzureML(OnAzureML, PipelinesContract):
    pass


class TestPipelinesOnVertex(OnVertex, PipelinesContract):
    pass


class TestPipelinesOnVertexOverRest(OnVertexOverRest, PipelinesContract):
    pass
