"""All contracts through the sealed redirect: `test_sealed.py` runs this file behind `cloudmlops emulate vertex --`."""

from __future__ import annotations

from cloudmlops.testing.contract.access import AccessContract
from cloudmlops.testing.contract.endpoints import EndpointsContract
from cloudmlops.testing.contract.events import EventsContract
from cloudmlops.testing.contract.features import FeaturesContract
from cloudmlops.testing.contract.models import ModelsContract
from cloudmlops.testing.contract.pipelines import PipelinesContract

from .rigs import OnVertexSealed


class TestAccess(OnVertexSealed, AccessContract):
    principal = "user:bob@example.com"


class TestEndpoints(OnVertexSealed, EndpointsContract):
    pass


class TestEvents(OnVertexSealed, EventsContract):
    pass


class TestFeatures(OnVertexSealed, FeaturesContract):
    pass


class TestModels(OnVertexSealed, ModelsContract):
    pass


class TestPipelines(OnVertexSealed, PipelinesContract):
    pass
