from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # tools/ and tests/ are no part of the package


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deal out what takes minutes, each process its part and that first: none is left with all of it at the end."""
    here = [item for item in items if Path(__file__).parent in item.path.parents]
    if len(here) < len(items):
        return
    processes = int(getattr(config, "workerinput", {}).get("workercount", 1))
    long = [item for item in items if item.get_closest_marker("timeout")]
    short = [item for item in items if item not in long]
    items[:] = [item for n in range(processes) for item in (*long[n::processes], *short[n::processes])]
