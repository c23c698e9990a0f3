"""Events on an object store across the network: the inbox needs nothing but create-if-absent."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from cloudmlops import Platform, connect
from cloudmlops.testing.contract.events import EventsContract


class TestEventsOnS3(EventsContract):
    @pytest.fixture
    def platform(self, s3: str, tmp_path: Path) -> Iterator[Platform]:
        with connect(f"local://{tmp_path}?{urlencode({'store': s3})}") as opened:
            yield opened


class TestEventsOnCloudStorage(EventsContract):
    @pytest.fixture
    def platform(self, gs: str, tmp_path: Path) -> Iterator[Platform]:
        with connect(f"local://{tmp_path}?{urlencode({'store': gs})}") as opened:
            yield opened
