"""Cloud Monitoring, as far as Bigtable's client needs it, which reports its own times there."""

from __future__ import annotations

from typing import Any, Final

from google.protobuf.empty_pb2 import Empty

from cloudmlops.emulators.core.rpc import Caller, Method, unary_handler
from cloudmlops.emulators.core.service import Service, Surroundings

_HOST: Final = "monitoring.googleapis.com"
_METHODS: Final = ("CreateTimeSeries", "CreateServiceTimeSeries")


def metrics_service(surroundings: Surroundings) -> Service:
    """Take time series, of which nothing is kept; reading them is not emulated."""
    methods = {f"/google.monitoring.v3.MetricService/{name}": Method(request=Empty, act=_taken) for name in _METHODS}
    return Service(
        name="monitoring", hosts=(_HOST,), rpc=unary_handler(surroundings, "monitoring", methods, domain=_HOST)
    )


def _taken(_: Any, __: Caller) -> Empty:
    return Empty()
