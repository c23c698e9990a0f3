"""The providers keep what features promise."""

from collections.abc import Iterator

import pytest

from cloudmlops import Platform, connect
from cloudmlops.emulators.core.emulator import Emulator
from cloudmlops.testing.contract.features import FeaturesContract

from .conftest import vertex_target


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


@pytest.mark.conformance
class TestFeaturesOnVertexOverRest(FeaturesContract):
    @pytest.fixture
    def platform(self, vertex_emulator: Emulator) -> Iterator[Platform]:
        with connect(vertex_target(vertex_emulator, transport="rest")) as platform:
            yield platform
