"""A second emulator in a process that has started one before, until its first answer."""

from __future__ import annotations

import time
from typing import Any

import grpc
from google.cloud.aiplatform_v1 import ModelServiceClient

from cloudmlops.emulators.google import vertex_emulator


def measured() -> dict[str, Any]:
    with vertex_emulator() as first:
        _call(first.address)
        begun = time.perf_counter()
        with vertex_emulator() as second:
            _call(second.address)
            second_s = time.perf_counter() - begun
    return {"second_s": second_s}


def _call(address: str) -> None:
    transport = ModelServiceClient.get_transport_class("grpc")
    client = ModelServiceClient(transport=transport(channel=grpc.insecure_channel(address)))
    list(client.list_models(parent="projects/bench/locations/europe-west4"))
    client.transport.close()
