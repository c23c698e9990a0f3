from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
from tests.emulators.azure.endpoints.conftest import restarted

from cloudmlops.emulators.azure.cloud import AzureCloud

__all__ = ["restarted"]
MODEL = {"modelUri": "azureml://datastores/workspaceblobstore/paths/m/", "modelType": "mlflow_model"}


def test_what_was_being_made_is_there_after_a_restart(restarted: Callable[[], Any]) -> None:
    def call(emulator: Any, method: str, path: str, properties: dict[str, Any] | None = None) -> dict[str, Any]:
        cloud = emulator.cloud(AzureCloud)
        workspace = cloud.ensure_workspace("kept", group="experiments")
        token = cloud.tokens.issue(cloud.tokens.directory.by_name("owner"), "https://management.azure.com")
        reply = httpx.request(
            method,
            f"{emulator.url}{workspace}{path}?api-version=2023-10-01",
            headers={"authorization": f"Bearer {token}"},
            trust_env=False,
            **({"json": {"location": "westeurope", "properties": properties}} if properties else {}),
        )
        told: dict[str, Any] = reply.json()["properties"]
        return told

    with restarted() as emulator:
        emulator.cloud(AzureCloud).operations.takes = timedelta(hours=1)
        workspace = emulator.cloud(AzureCloud).ensure_workspace("kept", group="experiments")
        call(emulator, "PUT", "/models/m/versions/1", MODEL)
        call(emulator, "PUT", "/batchEndpoints/scores", {"authMode": "aadToken"})
        model = {"referenceType": "Id", "assetId": f"{workspace}/models/m/versions/1"}
        made = call(emulator, "PUT", "/batchEndpoints/scores/deployments/blue", {"model": model, "compute": "cluster"})
        assert made["provisioningState"] == "Creating"

    with restarted() as emulator:
        endpoint = call(emulator, "GET", "/batchEndpoints/scores")
        assert (endpoint["provisioningState"], endpoint["scoringUri"] is None) == ("Succeeded", False)
        assert call(emulator, "GET", "/batchEndpoints/scores/deployments/blue")["provisioningState"] == "Succeeded"
