from __future__ import annotations

import pytest

from cloudmlops import Platform
from cloudmlops.testing.contract.models import ModelsContract


class TestModelsOnLocal(ModelsContract):
    pass


class TestModelsOnDisk(ModelsContract):
    @pytest.fixture
    def platform(self, platform_on_disk: Platform) -> Platform:
        return platform_on_disk


class TestModelsOnVertex(ModelsContract):
    @pytest.fixture
    def platform(self, vertex_platform: Platform) -> Platform:
        return vertex_platform
