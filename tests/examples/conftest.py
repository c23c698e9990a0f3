"""The examples' modules, and copies of the examples to run."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from threadpoolctl import threadpool_limits

from cloudmlops.cli.projects import copy_example, example

_MODULES = ("ingest", "validation", "on_demand", "features", "training", "report")


@pytest.fixture(scope="session")
def flights() -> SimpleNamespace:
    """The modules of the flight-delay project, loaded without staying in the way of others of their names."""
    folder = str(example("flight_delays"))
    sys.path.insert(0, folder)
    try:
        return SimpleNamespace(**{name: import_module(name) for name in _MODULES})
    finally:
        sys.path.remove(folder)
        for name in _MODULES:
            sys.modules.pop(name, None)


@pytest.fixture(scope="session")
def autumn(flights: SimpleNamespace) -> Any:
    """The real flights of September to December 2013."""
    return flights.ingest.read_flights(
        flights.ingest.packaged_data(), first_day=date(2013, 9, 1), last_day=date(2013, 12, 31)
    )


@pytest.fixture
def one_core() -> Iterator[None]:
    """Train on one core: tests run side by side, and scikit-learn's threads would wait for each other by spinning."""
    with threadpool_limits(limits=1):
        yield


class Project:
    """A copy of the flight-delay project in a folder of the test's own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("CLOUDMLOPS_")}

    def start(self, code: str, **options: Any) -> subprocess.Popen[str]:
        """Start Python code in the folder, as its owner would."""
        return subprocess.Popen(
            [sys.executable, "-c", code], cwd=self.folder, env=self.environment, text=True, **options
        )

    def python(self, code: str) -> subprocess.CompletedProcess[str]:
        """Run Python code in the folder."""
        return self.run(sys.executable, "-c", code)

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `cloudmlops` in the folder."""
        return self.run(sys.executable, "-c", "from cloudmlops.cli import main; main()", *arguments)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a program in the folder."""
        return subprocess.run(
            arguments, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
        )


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """A copy of the flight-delay project; its endpoint is stopped after the test."""
    copy = Project(tmp_path / "flights")
    copy_example("flight_delays", copy.folder)
    yield copy
    if (copy.folder / ".cloudmlops" / "endpoints").exists():
        copy.command("endpoints", "delete", "flight-delay")
