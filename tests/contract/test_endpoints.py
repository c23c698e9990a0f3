from __future__ import annotations

from cloudmlops.testing.contract.endpoints import EndpointsContract


class TestEndpointsOnLocal(EndpointsContract):
    pass
