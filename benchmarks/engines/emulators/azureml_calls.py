"""The command of `cloudmlops emulate azureml -- …`: calls by azure-ai-ml, and the same request bare."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from azure.ai.ml import MLClient, command, dsl
from azure.ai.ml.entities import Model, PipelineJob
from azure.identity import DefaultAzureCredential

from benchmarks.engines.emulators.azureml_workspace import ARM, GROUP, NAME, address, session
from benchmarks.measuring import latencies


def measured(*, calls: int, submits: int) -> dict[str, Any]:
    credential = DefaultAzureCredential()
    client = MLClient(credential, os.environ["AZURE_SUBSCRIPTION_ID"], GROUP, NAME, enable_telemetry=False)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "model.txt").write_text("a model")
        client.models.create_or_update(Model(name="bench", version="1", path=folder, type="custom_model"))
    job = _pipeline()
    client.jobs.create_or_update(job)  # its component is made once
    with session(credential.get_token(f"{ARM}/.default").token) as bare:
        url = f"{address()}/models/bench/versions/1"
        return {
            "bare": latencies(lambda _: bare.get(url).raise_for_status(), calls),
            "get": latencies(lambda _: client.models.get("bench", "1"), calls),
            "submit": latencies(lambda _: client.jobs.create_or_update(_pipeline()), submits),
        }


def _pipeline() -> PipelineJob:
    @dsl.pipeline(name="bench")
    def bench() -> None:
        command(
            command="true", environment="azureml://registries/azureml/environments/any/versions/1", compute="serverless"
        )()

    job: PipelineJob = bench()
    return job
