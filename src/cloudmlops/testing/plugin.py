"""Pytest plugin: platforms for tests, found through pytest's entry point."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from cloudmlops._platform import Platform


@pytest.fixture
def platform() -> Iterator[Platform]:
    """A private `local://:memory:` platform, gone after the test."""
    from cloudmlops import connect

    with connect("local://:memory:") as opened:
        yield opened


@pytest.fixture
def platform_on_disk(tmp_path: Path) -> Iterator[Platform]:
    """A durable local platform in the test's own folder; its endpoints and runs are ended after the test."""
    from cloudmlops import connect

    with connect(f"local://{tmp_path / 'platform'}") as opened:
        yield opened
        if (tmp_path / "platform" / "endpoints").is_dir():
            for status in opened.endpoints.list():
                opened.endpoints.delete(status.name)
