"""The contract of pipelines on the embedded provider and on Vertex AI."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.contract.conftest import vertex_target

from cloudmlops import Platform, connect
from cloudmlops.emulators.core.emulator import Emulator
from cloudmlops.testing.contract.pipelines import PipelinesContract


class TestPipelinesOnLocal(PipelinesContract):
    pass


class TestPipelinesOnVertex(PipelinesContract):
    @pytest.fixture
    def platform(self, vertex_emulator: Emulator) -> Iterator[Platform]:
        """A project whose steps run in images that were built from this environment."""
        image = "europe-west4-docker.pkg.dev/any/steps/cloudmlops:latest"
        with connect(vertex_target(vertex_emulator, image=image)) as platform:
            yield platform
