from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from google.auth.credentials import AnonymousCredentials

from cloudmlops.emulators.core.emulator import Emulator

Connect = Callable[..., Any]


@pytest.fixture
def parent() -> str:
    return f"projects/p{uuid.uuid4().hex[:10]}/locations/europe-west4"


@pytest.fixture
def connect(vertex_emulator: Emulator) -> Connect:
    """Makes a client of a generated class, over either transport."""

    def client(kind: Any, transport: str = "grpc") -> Any:
        if transport == "rest":
            options = {"api_endpoint": vertex_emulator.url}
            return kind(transport="rest", credentials=AnonymousCredentials(), client_options=options)
        channel = grpc.insecure_channel(vertex_emulator.address)
        return kind(transport=kind.get_transport_class("grpc")(channel=channel))

    return client
