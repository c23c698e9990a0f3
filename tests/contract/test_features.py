from __future__ import annotations

from cloudmlops.testing.contract.features import FeaturesContract

from .rigs import OnAzureML, OnDisk, OnVertex, OnVertexOverRest


class TestFeaturesOnLocal(FeaturesContract):
    pass


class TestFeaturesOnDisk(OnDisk, FeaturesContract):
    pass


class TestFeaturesOnVertex(OnVertex, FeaturesContract):
    pass


class TestFeaturesOnVertexOverRest(OnVertexOverRest, FeaturesContract):
    pass


class TestFeaturesOnAzureML(OnAzureML, FeaturesContract):
    pass
