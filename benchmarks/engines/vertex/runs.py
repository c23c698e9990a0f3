"""Pipelines: one run looked at."""

from __future__ import annotations

from typing import Any

from google.cloud.aiplatform_v1 import PipelineServiceClient

import cloudmlops as cm
from benchmarks.engines.vertex.pairs import Pair


@cm.step
def number() -> int:
    return 20


@cm.step
def more(given: int) -> int:
    return given + 1


@cm.pipeline
def counting() -> int:
    return more(number())


def looked_at(platform: cm.Platform) -> Pair:
    """By `GetPipelineJob`, and by what Cloud Storage holds of it."""
    backends: Any = platform._backends
    run = platform.pipelines.run(counting, wait=True).id
    client = backends.wire.client(PipelineServiceClient)
    job = f"{backends.settings.parent}/pipelineJobs/{run}"

    def bare(_: int) -> None:
        list(backends.objects.list(f"runs/{run}/resumed/"))
        client.get_pipeline_job(name=job)
        backends.objects.exists(f"runs/{run}/announced")

    return Pair(ours=lambda _: platform.pipelines.get(run), bare=bare)
