from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from urllib.parse import urlencode

import httpx
import pytest

from cloudmlops.emulators.core.emulator import Emulator
from cloudmlops.providers.vertex.backends import VertexBackends
from cloudmlops.providers.vertex.settings import VertexSettings

LOCATION = "europe-west4"
Opened = Callable[..., VertexBackends]


def made_project(emulator: Emulator) -> str:
    """Make a project of one's own with a bucket `NAME-bucket`; return its name."""
    name = f"p{uuid.uuid4().hex[:12]}"
    bucket = {"name": f"{name}-bucket", "location": LOCATION}
    httpx.post(f"{emulator.url}/storage/v1/b", params={"project": name}, json=bucket, verify=False).raise_for_status()
    return name


@pytest.fixture
def project(vertex_emulator: Emulator) -> str:
    return made_project(vertex_emulator)


@pytest.fixture
def opened(vertex_emulator: Emulator, project: str) -> Iterator[Opened]:
    """Opens the test's project, with settings such as `transport="rest"`."""
    kept: list[VertexBackends] = []

    def backends(*, location: str = LOCATION, **settings: str) -> VertexBackends:
        query = {"bucket": f"{project}-bucket", "api_url": vertex_emulator.url, **settings}
        target = f"vertex://{project}/{location}?{urlencode(query)}"
        kept.append(VertexBackends(VertexSettings.from_target(target)))
        return kept[-1]

    yield backends
    for one in kept:
        one.close()
