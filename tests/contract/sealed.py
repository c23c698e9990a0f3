"""All contracts through the sealed redirect: `test_sealed.py` runs this file behind `cloudmlops emulate`."""

from __future__ import annotations

from cloudmlops.emulators.azure.entra.principals import default_directory
from cloudmlops.testing.contract.access import AccessContract
from cloudmlops.testing.contract.endpoints import EndpointsContract
from cloudmlops.testing.contract.events import EventsContract
from cloudmlops.testing.contract.features import FeaturesContract
from cloudmlops.testing.contract.models import ModelsContract
from cloudmlops.testing.contract.pipelines import PipelinesContract

from .rigs import OnAzureMLSealed, OnVertexSealed, ServedByAzureML, ServedByVertex


class TestAccessOnVertex(OnVertexSealed, AccessContract):
    principal = "user:bob@example.com"


class TestEndpointsOnVertex(ServedByVertex, OnVertexSealed, EndpointsContract):
    pass


class TestEventsOnVertex(OnVertexSealed, EventsContract):
    pass


class TestFeaturesOnVertex(OnVertexSealed, FeaturesContract):
    pass


class TestModelsOnVertex(OnVertexSealed, ModelsContract):
    pass


class TestPipelinesOnVertex(OnVertexSealed, PipelinesContract):
    pass


class TestAccessOnAzureML(OnAzureMLSealed, AccessContract):
    principal = default_directory().by_name("guest").object_id


class TestEndpointsOnAzureML(ServedByAzureML, OnAzureMLSealed, EndpointsContract):
    pass


class TestEventsOnAzureML(OnAzureMLSealed, EventsContract):
    pass


class TestFeaturesOnAzureML(OnAzureMLSealed, FeaturesContract):
    pass


class TestModelsOnAzureML(OnAzureMLSealed, ModelsContract):
    pass


class TestPipelinesOnAzureML(OnAzureMLSealed, PipelinesContract):
    pass
