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
