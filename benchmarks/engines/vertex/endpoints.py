"""Endpoints: one prediction."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

from google.api.httpbody_pb2 import HttpBody
from google.cloud.aiplatform_v1 import PredictionServiceClient, RawPredictRequest

import cloudmlops as cm
from benchmarks.engines.vertex.pairs import Pair
from cloudmlops.testing.model_folders import write_scaling_model

_INSTANCES = [[1.5, 0.0]]


def predicted(platform: cm.Platform, folder: Path) -> Pair:
    """By `RawPredict`."""
    backends: Any = platform._backends
    version = platform.models.register("scaling", write_scaling_model(folder / "scaling", factor=2.0))
    platform.endpoints.deploy(version, to="bench").wait(timeout=timedelta(minutes=2))
    client = backends.wire.client(PredictionServiceClient)
    body = HttpBody(content_type="application/json", data=json.dumps({"instances": _INSTANCES}).encode())
    request = RawPredictRequest(endpoint=f"{backends.settings.parent}/endpoints/bench", http_body=body)

    def ours(_: int) -> None:
        if platform.endpoints.predict("bench", _INSTANCES) != [3.0]:
            raise AssertionError("another prediction was expected")

    return Pair(ours=ours, bare=lambda _: client.raw_predict(request=request))
