"""The local provider keeps what events promise."""

import pytest

from cloudmlops import Platform
from cloudmlops.testing.contract.events import EventsContract


class TestEventsOnLocal(EventsContract):
    pass


class TestEventsOnDisk(EventsContract):
    @pytest.fixture
    def platform(self, platform_on_disk: Platform) -> Platform:
        return platform_on_disk


class TestEventsOnVertex(EventsContract):
    @pytest.fixture
    def platform(self, vertex_platform: Platform) -> Platform:
        return vertex_platform


class TestEventsOnVertexWithTopic(EventsContract):
    """What is published comes back by the subscription, and is one event all the same."""

    @pytest.fixture
    def platform(self, vertex_platform_with_topic: Platform) -> Platform:
        return vertex_platform_with_topic
