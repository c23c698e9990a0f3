"""The command of `cloudmlops emulate vertex -- …`: the same calls by the adapter and by the SDK's client, in turns."""

from __future__ import annotations

import json
import os
import time
import urllib.request
from collections.abc import Callable
from typing import Any

from google.cloud.aiplatform_v1 import ListModelsRequest, Model, ModelServiceClient, UploadModelRequest

import cloudmlops as cm
from benchmarks.measuring import WARM_UP

_LOCATION = "europe-west4"
_PROJECT, _BUCKET = "bench-project", "bench-bucket"
_PARENT = f"projects/{_PROJECT}/locations/{_LOCATION}"
_MODELS = 10


def measured(*, calls: int) -> dict[str, Any]:
    url = os.environ["CLOUDMLOPS_EMULATOR"]
    _make_bucket(url)
    with cm.connect(f"vertex://{_PROJECT}/{_LOCATION}?bucket={_BUCKET}&api_url={url}") as platform:
        backends: Any = platform._backends
        adapter, client = backends.models, backends.wire.client(ModelServiceClient)
        store = backends.objects.uri
        for number in range(_MODELS):
            request = UploadModelRequest(parent=_PARENT, model=Model(display_name="bench"), model_id=f"m{number}")
            client.upload_model(request=request).result()
            adapter.stamp(f"m{number}", store)
        listed = ListModelsRequest(parent=_PARENT, filter="labels.cloudmlops-store:*")
        if len(adapter.stamped()) != len(list(client.list_models(request=listed))) or not adapter.stamped():
            raise AssertionError("the adapter and the client do not see the same models")
        return {
            "read": _in_turns(
                lambda: adapter.store("m0"), lambda: client.get_model(name=f"{_PARENT}/models/m0"), calls
            ),
            "list": _in_turns(adapter.stamped, lambda: list(client.list_models(request=listed)), calls),
        }


def _in_turns(ours: Callable[[], object], bare: Callable[[], object], count: int) -> dict[str, float]:
    """Call both `count` times; p50 of each, and of the difference between neighbours, in microseconds."""
    taken: list[tuple[float, float]] = []
    for _ in range(WARM_UP + count):
        begun = time.perf_counter()
        bare()
        between = time.perf_counter()
        ours()
        taken.append((time.perf_counter() - between, between - begun))
    kept = taken[WARM_UP:]
    return {
        "ours_us": _median([ours for ours, _ in kept]),
        "bare_us": _median([bare for _, bare in kept]),
        "more_us": _median([ours - bare for ours, bare in kept]),
    }


def _median(seconds: list[float]) -> float:
    return sorted(seconds)[len(seconds) // 2] * 1e6


def _make_bucket(url: str) -> None:
    body = json.dumps({"name": _BUCKET, "location": _LOCATION}).encode()
    request = urllib.request.Request(
        f"{url}/storage/v1/b?project={_PROJECT}", body, {"Content-Type": "application/json"}
    )
    urllib.request.urlopen(request, timeout=60).close()
