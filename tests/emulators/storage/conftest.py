from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import uvicorn

from cloudmlops.emulators.core.calls import Calls
from cloudmlops.emulators.core.clock import Clock
from cloudmlops.emulators.core.faults import Faults
from cloudmlops.emulators.core.processes import Processes
from cloudmlops.emulators.core.service import Surroundings
from cloudmlops.emulators.core.state import State
from cloudmlops.emulators.google.storage.service import service


@dataclass(kw_only=True)
class Served:
    """The service alone, at an address of its own."""

    surroundings: Surroundings
    address: str
    bucket: str = "cloudmlops-tests"
    dropped: list[tuple[str, int]] = field(default_factory=list)


def serve(folder: Path | None) -> Iterator[Served]:
    clock, faults = Clock(), Faults()
    state = State(folder)
    listening = socket.create_server(("127.0.0.1", 0))
    address = f"127.0.0.1:{listening.getsockname()[1]}"
    surroundings = Surroundings(
        clock=clock,
        state=state,
        faults=faults,
        calls=Calls(clock, faults),
        processes=Processes(),
        drop=lambda client: cut(server, client),
        address=lambda: address,
        environment=dict,
    )
    built = service(surroundings)
    server = uvicorn.Server(
        uvicorn.Config(built.http, log_level="critical", lifespan="off", timeout_graceful_shutdown=1)
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        yield Served(surroundings=surroundings, address=f"http://{address}")
    finally:
        server.should_exit = True
        thread.join()
        listening.close()
        clock.close()
        state.close()


def cut(server: uvicorn.Server, client: tuple[str, int]) -> None:
    """Close the connection of a client, as the emulator's front does."""
    for connection in tuple(server.server_state.connections):
        if connection.client == client:  # type: ignore[union-attr] # both of uvicorn's protocols know it
            connection.loop.call_soon_threadsafe(connection.transport.abort)  # type: ignore[union-attr]


@pytest.fixture
def served() -> Iterator[Served]:
    yield from serve(None)
