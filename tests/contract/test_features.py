"""The local provider keeps what features promise."""

import pytest

from cloudmlops import Platform
from cloudmlops.testing.contract.features import FeaturesContract


class TestFeaturesOnLocal(FeaturesContract):
    pass


class TestFeaturesOnDisk(FeaturesContract):
    @pytest.fixture
    def platform(self, platform_on_disk: Platform) -> Platform:
        return platform_on_disk
