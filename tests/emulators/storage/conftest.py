from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from cloudmlops.emulators.core.emulator import Emulator
from cloudmlops.emulators.core.service import Service, Surroundings
from cloudmlops.emulators.google.access import Access
from cloudmlops.emulators.google.storage.service import service
from cloudmlops.emulators.google.storage.sharing import Objects

if TYPE_CHECKING:
    from google.cloud import storage

BUCKET = "cloudmlops-tests"


@dataclass(kw_only=True)
class StorageAlone:
    """A cloud of one service."""

    objects: Objects | None = None

    def services(self, surroundings: Surroundings) -> Sequence[Service]:
        self.objects = Objects(surroundings)
        return [service(surroundings)]

    def environment(self, folder: Path) -> Mapping[str, str | None]:
        return {}


@dataclass(kw_only=True)
class Served:
    """The running service with a bucket."""

    emulator: Emulator
    objects: Objects

    @property
    def url(self) -> str:
        return self.emulator.url

    def access(self) -> Access:
        return Access(self.emulator.state)


def serve(state: Path | None = None) -> Iterator[Served]:
    cloud = StorageAlone()
    with Emulator([cloud], state=state) as emulator:
        assert cloud.objects is not None
        cloud.objects.make_bucket(BUCKET, project="p", location="us-central1")
        yield Served(emulator=emulator, objects=cloud.objects)


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    for running in serve():
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", running.url)
        monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "p")
        yield running


@pytest.fixture
def client(served: Served) -> Iterator[storage.Client]:
    """Google's own client, unmodified."""
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import storage

    made = storage.Client(project="p", credentials=AnonymousCredentials())
    yield made
    made.close()


@pytest.fixture
def bucket(client: storage.Client) -> storage.Bucket:
    return client.bucket(BUCKET)


@pytest.fixture
def http(served: Served) -> Iterator[httpx.Client]:
    """The wire itself."""
    with httpx.Client(base_url=served.url, trust_env=False, verify=False) as made:
        yield made
