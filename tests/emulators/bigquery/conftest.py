"""A BigQuery that listens, and the real client that talks to it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import uvicorn
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from cloudmlops.emulators.core.calls import Calls
from cloudmlops.emulators.core.clock import Clock
from cloudmlops.emulators.core.faults import Faults, Refused
from cloudmlops.emulators.core.processes import Processes
from cloudmlops.emulators.core.service import Surroundings
from cloudmlops.emulators.core.state import State
from cloudmlops.emulators.google.bigquery.service import service

PROJECT = "a-project"

OBJECTS: dict[tuple[str, str], bytes] = {}


class Served:
    """BigQuery at an address."""

    def __init__(self, folder: Path | None = None) -> None:
        self.clock = Clock()
        self.faults = Faults()
        self.calls = Calls(self.clock, self.faults)
        self.state = State(folder)
        self._service = service(
            Surroundings(
                clock=self.clock,
                state=self.state,
                faults=self.faults,
                calls=self.calls,
                processes=Processes(),
                drop=lambda _: None,
                address=lambda: "",
                environment=dict,
            ),
            read_object=_read_object,
            write_object=_write_object,
        )
        assert self._service.http is not None
        config = uvicorn.Config(self._service.http, host="127.0.0.1", port=0, log_level="error", lifespan="off")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        while not self._server.started:
            if not self._thread.is_alive():
                raise RuntimeError("the server did not start")
        port = self._server.servers[0].sockets[0].getsockname()[1]
        self.address = f"http://127.0.0.1:{port}"

    def client(self, project: str = PROJECT) -> bigquery.Client:
        return bigquery.Client(
            project=project,
            credentials=AnonymousCredentials(),
            client_options={"api_endpoint": self.address},
        )

    def close(self) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._service.close()
        self.calls.close()
        self.clock.close()
        self.state.close()


def _read_object(bucket: str, name: str) -> bytes:
    try:
        return OBJECTS[bucket, name]
    except KeyError:
        raise Refused("NOT_FOUND", f"Not found: URI gs://{bucket}/{name}", reason="notFound") from None


def _write_object(bucket: str, name: str, data: bytes) -> None:
    if bucket == "no-bucket":
        raise Refused("NOT_FOUND", "The specified bucket does not exist.")
    OBJECTS[bucket, name] = data


@contextmanager
def serving(folder: Path | None = None) -> Iterator[Served]:
    served = Served(folder)
    try:
        yield served
    finally:
        served.close()


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving() as one:
        yield one


@pytest.fixture(scope="module")
def client(served: Served) -> Iterator[bigquery.Client]:
    client = served.client()
    yield client
    client.close()


@pytest.fixture(scope="module")
def dataset(client: bigquery.Client) -> str:
    client.create_dataset("flights")
    return "flights"
