from __future__ import annotations

from cloudmlops.testing.contract.endpoints import EndpointsContract

from .rigs import OnAzureML, OnVertex, OnVertexOverRest, ServedByAzureML


class TestEndpointsOnLocal(EndpointsContract):
    pass


class TestEndpointsOnVertex(OnVertex, EndpointsContract):
    pass


class TestEndpointsOnVertexOverRest(OnVertexOverRest, EndpointsContract):
    pass


class TestEndpointsOnAzureML(ServedByAzureML, OnAzureML, EndpointsContract):
    pass
