"""Pytest plugin: platforms for tests, found through pytest's entry point."""

from __future__ import annotations

import os
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


@pytest.fixture(scope="session")
def azureml_emulator_of_session() -> Iterator[Emulator]:
    """Azure ML and what belongs to it on loopback, for all tests of a process."""
    from cloudmlops.emulators.azure import azureml_emulator as started

    with started() as emulator:
        yield emulator


@pytest.fixture
def azureml_emulator(azureml_emulator_of_session: Emulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    """The session's emulator of Azure ML, without what another test has set; Azure's SDKs are led to it.

    What the services hold stays, so let a test use a workspace of its own.
    """
    sealed = azureml_emulator_of_session.environment()
    for name in os.environ.keys() - sealed.keys():
        monkeypatch.delenv(name)
    for name, value in sealed.items():
        monkeypatch.setenv(name, value)
    azureml_emulator_of_session.reset()
    yield azureml_emulator_of_session
    azureml_emulator_of_session.reset()
