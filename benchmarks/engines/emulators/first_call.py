"""The command of `cloudmlops emulate vertex -- …`: one call over gRPC.

It tells when it was answered, and what memory the emulator, which is its parent, holds then.
"""

from __future__ import annotations

import os
import time
from typing import Any

import grpc
from google.cloud.aiplatform_v1 import ModelServiceClient

from benchmarks.measuring import resident_mib


def measured() -> dict[str, Any]:
    transport = ModelServiceClient.get_transport_class("grpc")
    channel = grpc.insecure_channel(os.environ["CLOUDMLOPS_EMULATOR"].removeprefix("http://"))
    client = ModelServiceClient(transport=transport(channel=channel))
    list(client.list_models(parent="projects/bench/locations/europe-west4"))
    answered_at = time.time()
    return {"answered_at": answered_at, "idle_mib": resident_mib(os.getppid())}
