from __future__ import annotations

import grpc
import httpx
from google.cloud.bigtable_v2 import BigtableClient

from cloudmlops.emulators.core.emulator import Emulator


def test_what_bigtable_was_asked_can_be_read_from_another_process(vertex_emulator: Emulator) -> None:
    transport = BigtableClient.get_transport_class("grpc")
    with grpc.insecure_channel(vertex_emulator.address) as channel:
        client = BigtableClient(transport=transport(channel=channel))
        client.ping_and_warm(name="projects/demo/instances/any")

    reply = httpx.get(f"{vertex_emulator.url}/-/emulator/calls", params={"matching": "bigtable/"}, verify=False)

    assert [(call["operation"], call["request"]) for call in reply.json()] == [
        ("Bigtable.PingAndWarm", {"name": "projects/demo/instances/any"})
    ]
