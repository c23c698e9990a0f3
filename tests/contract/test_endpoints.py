from __future__ import annotations

from cloudmlops.testing.contract.endpoints import EndpointsContract

from .rigs import OnVertex, OnVertexOverRest


class TestEndpointsOnLocal(EndpointsContract):
    pass


class TestEndpointsOnVertex(OnVertex, EndpointsContract):
    pass


class TestEndpointsOnVertexOverRest(OnVertexOverRest, EndpointsContract):
    pass
