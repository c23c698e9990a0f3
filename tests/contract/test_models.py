from __future__ import annotations

from cloudmlops.testing.contract.models import ModelsContract

from .rigs import OnAzureML, OnDisk, OnVertex, OnVertexOverRest


class TestModelsOnLocal(ModelsContract):
    pass


class TestModelsOnDisk(OnDisk, ModelsContract):
    pass


class TestModelsOnVertex(OnVertex, ModelsContract):
    pass


class TestModelsOnVertexOverRest(OnVertexOverRest, ModelsContract):
    pass


class TestModelsOnAzureML(OnAzureML, ModelsContract):
    pass
