from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from cloudmlops.emulators.core.emulator import Emulator
from cloudmlops.emulators.core.service import Service, Surroundings
from cloudmlops.emulators.google.storage.service import service
from cloudmlops.emulators.google.storage.sharing import Objects
from cloudmlops.ports.objects import ObjectStore
from cloudmlops.storage.opening import open_store

_SERVER = """
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
"""
BUCKET = "cloudmlops-tests"


@pytest.fixture(scope="session")
def s3_address() -> Iterator[str]:
    """A process of moto's S3 server; it ends when its standard input is closed, so also with this process."""
    with subprocess.Popen(
        [sys.executable, "-c", _SERVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as server:
        assert server.stdout is not None
        yield f"http://127.0.0.1:{server.stdout.readline().strip()}"


@pytest.fixture
def s3(s3_address: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """The address of an empty place in a bucket, for this process and its children."""
    import boto3

    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    settings = {
        "AWS_ENDPOINT_URL": s3_address,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    client = boto3.client("s3", endpoint_url=s3_address, region_name="us-east-1")
    client.create_bucket(Bucket=BUCKET)
    client.close()
    return f"s3://{BUCKET}/{tmp_path.name}"


class StorageAlone:
    """A cloud of which there is Cloud Storage only."""

    def services(self, surroundings: Surroundings) -> Sequence[Service]:
        Objects(surroundings).make_bucket(BUCKET, project="tests")
        return [service(surroundings)]

    def environment(self, folder: Path) -> Mapping[str, str | None]:
        return {}


@pytest.fixture(scope="session")
def gs_address() -> Iterator[str]:
    with Emulator([StorageAlone()]) as emulator:
        yield emulator.url


@pytest.fixture
def gs(gs_address: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """The address of an empty place in a bucket of the emulated Cloud Storage, for this process and its children."""
    for name in [name for name in os.environ if name.startswith("GOOGLE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GOOGLE_BASE_URL", gs_address)
    monkeypatch.setenv("GOOGLE_BEARER_TOKEN", "test")
    return f"gs://{BUCKET}/{tmp_path.name}"


@pytest.fixture(params=[pytest.param("s3", marks=pytest.mark.conformance(ci=True)), "gs"])
def remote(request: pytest.FixtureRequest) -> str:
    """The address of an empty place in a bucket of each emulated service."""
    return str(request.getfixturevalue(request.param))


@pytest.fixture(params=["folder", pytest.param("s3", marks=pytest.mark.conformance(ci=True)), "gs"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    """An empty object store."""
    if request.param == "folder":
        return open_store((tmp_path / "objects").as_uri())
    return open_store(request.getfixturevalue(request.param))
