from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import grpc
import httpx
import pytest
from google.protobuf.wrappers_pb2 import StringValue

from cloudmlops.emulators.core.emulator import Emulator

sys.path.insert(0, str(Path(__file__).parent))
import toy

sys.path.pop(0)


@dataclass
class Running:
    """A running emulator of the toy cloud, with clients."""

    emulator: Emulator
    cloud: toy.Toy
    http: httpx.Client
    channel: grpc.Channel

    def rpc(self, method: str, value: str, **options: object) -> str:
        call = self.channel.unary_unary(
            method,
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=StringValue.FromString,
        )
        return str(call(StringValue(value=value), timeout=20, **options).value)


@pytest.fixture
def running() -> Iterator[Running]:
    cloud = toy.Toy()
    with (
        Emulator([cloud]) as emulator,
        httpx.Client(base_url=emulator.url, trust_env=False, timeout=20, verify=False) as http,
        grpc.insecure_channel(emulator.address, [("grpc.enable_http_proxy", 0)]) as channel,
    ):
        yield Running(emulator, cloud, http, channel)


@pytest.fixture
def toys() -> ModuleType:
    """The module of the toy cloud."""
    return toy
