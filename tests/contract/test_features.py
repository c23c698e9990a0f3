"""The providers keep what features promise."""

import pytest

from cloudmlops import Platform
from cloudmlops.testing.contract.features import FeaturesContract


class TestFeaturesOnLocal(FeaturesContract):
    pass


class TestFeaturesOnDisk(FeaturesContract):
    @pytest.fixture
    def platform(self, platform_on_disk: Platform) -> Platform:
        return platform_on_disk


class TestFeaturesOnVertex(FeaturesContract):
    @pytest.fixture
    def platform(self, vertex_platform: Platform) -> Platform:
        return vertex_platform
