from __future__ import annotations

from cloudmlops.testing.contract.endpoints import EndpointsContract

from .rigs import OnAzureML, OnVertex, OnVertexOverRest, ServedByAzureML, ServedByVertex


class TestEndpointsOnLocal(EndpointsContract):
    pass


class TestEndpointsOnVertex(ServedByVertex, OnVertex, EndpointsContract):
    pass


class TestEndpointsOnVertexOverRest(ServedByVertex, OnVertexOverRest, EndpointsContract):
    pass


class TestEndpointsOnAzureML(ServedByAzureML, OnAzureML, EndpointsContract):
    pass
