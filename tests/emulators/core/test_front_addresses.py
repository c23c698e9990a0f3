from __future__ import annotations

import asyncio
import resource
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from cloudmlops.emulators.core.authority import Authority
from cloudmlops.emulators.core.front import Front

PORTS = 300
"""Left to the system, connections to so many ports share an address in 24 of 25 runs."""


@pytest.fixture
def many_files() -> Iterator[None]:
    before, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(before, 8 * PORTS), most))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (before, most))


@pytest.mark.usefixtures("many_files")
def test_no_two_connections_come_to_servers_from_one_address(tmp_path: Path) -> None:
    peers = asyncio.run(_peers_of_connections(Front(Authority(tmp_path), speaks=lambda _: frozenset())))

    assert len(peers) == PORTS
    assert len(set(peers)) == PORTS


async def _peers_of_connections(front: Front) -> list[tuple[str, int]]:
    """Let clients connect to servers at many ports, and stay; return the addresses at which the servers see them."""
    peers: list[tuple[str, int]] = []
    answering: list[asyncio.Task[None]] = []

    def seen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answering.append(asyncio.create_task(_answer_until_left(reader, writer)))

    async with AsyncExitStack() as stack:
        await front.start("127.0.0.1", 0)
        stack.push_async_callback(front.stop)
        for _ in range(PORTS):
            server = await stack.enter_async_context(await asyncio.start_server(seen, "127.0.0.1", 0))
            front.http_port = server.sockets[0].getsockname()[1]
            reader, writer = await asyncio.open_connection("127.0.0.1", front.port)
            stack.push_async_callback(_closed, writer)
            writer.write(b"GET ")
            host, port = (await reader.readline()).split()
            peers.append((host.decode(), int(port)))
    await asyncio.gather(*answering)
    return peers


async def _answer_until_left(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    host, port = writer.get_extra_info("peername")
    if await reader.read(4):
        writer.write(f"{host} {port}\n".encode())
        await reader.read()
    await _closed(writer)


async def _closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    await writer.wait_closed()
