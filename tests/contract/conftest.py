from __future__ import annotations

import uuid
from collections.abc import Iterator
from urllib.parse import urlencode

import httpx
import pytest

from cloudmlops import Platform, connect
from cloudmlops.emulators.core.emulator import Emulator

LOCATION = "europe-west4"


def vertex_target(emulator: Emulator, **settings: str) -> str:
    """Make a project of one's own with a bucket at the emulator, and return the target of its platform."""
    name = f"p{uuid.uuid4().hex[:12]}"
    reply = httpx.post(
        f"{emulator.url}/storage/v1/b", params={"project": name}, json={"name": f"{name}-bucket", "location": LOCATION}
    )
    reply.raise_for_status()
    query = {"bucket": f"{name}-bucket", "api_url": emulator.url, **settings}
    return f"vertex://{name}/{LOCATION}?{urlencode(query)}"


@pytest.fixture
def vertex_platform(vertex_emulator: Emulator) -> Iterator[Platform]:
    with connect(vertex_target(vertex_emulator)) as platform:
        yield platform


@pytest.fixture
def vertex_platform_with_topic(vertex_emulator: Emulator) -> Iterator[Platform]:
    target = vertex_target(vertex_emulator, topic="events", subscription="mine")
    project = target.removeprefix("vertex://").partition("/")[0]
    topic = f"projects/{project}/topics/events"
    httpx.put(f"{vertex_emulator.url}/v1/{topic}", json={}).raise_for_status()
    subscription = f"{vertex_emulator.url}/v1/projects/{project}/subscriptions/mine"
    httpx.put(subscription, json={"topic": topic}).raise_for_status()
    with connect(target) as platform:
        yield platform
