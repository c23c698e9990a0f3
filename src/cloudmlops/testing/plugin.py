"""Pytest plugin: platforms for tests, found through pytest's entry point."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from cloudmlops._platform import Platform
    from cloudmlops.emulators.core.emulator import Emulator


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


@pytest.fixture(scope="session")
def vertex_emulator_of_session() -> Iterator[Emulator]:
    """Vertex AI and what belongs to it on loopback, for all tests of a process."""
    from cloudmlops.emulators.google import vertex_emulator as started

    with started() as emulator:
        yield emulator


@pytest.fixture
def vertex_emulator(vertex_emulator_of_session: Emulator) -> Iterator[Emulator]:
    """The session's emulator of Vertex AI, without what another test has set.

    Faults, denied permissions, triggers and the record of calls are cleared and the clock is real again; what the
    services hold stays, so let a test use a project or names of its own.
    """
    vertex_emulator_of_session.reset()
    yield vertex_emulator_of_session
    vertex_emulator_of_session.reset()
