from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import httpx

from cloudmlops.emulators.azure import azureml_emulator
from cloudmlops.emulators.azure.cloud import AzureCloud

if TYPE_CHECKING:
    from pathlib import Path

    from cloudmlops.emulators.core.emulator import Emulator

PATIENCE_SECONDS = 60.0


def call(emulator: Emulator, method: str, path: str, body: Any = None) -> dict[str, Any]:
    cloud = emulator.cloud(AzureCloud)
    token = cloud.tokens.issue(cloud.tokens.directory.by_name("owner"), "https://management.azure.com")
    headers = {"authorization": f"Bearer {token}"}
    reply = httpx.request(method, f"{emulator.url}{path}", headers=headers, trust_env=False, json=body, verify=False)
    reply.raise_for_status()
    found: dict[str, Any] = reply.json()
    return found


def test_a_job_that_the_end_of_an_emulator_cuts_short_is_a_failed_one(tmp_path: Path) -> None:
    with azureml_emulator(state=tmp_path / "state") as emulator:
        workspace = emulator.cloud(AzureCloud).ensure_workspace("w", group="g")
        job = f"{workspace}/jobs/long?api-version=2024-01-01-preview"
        begun = tmp_path / "begun"
        command = {"jobType": "Command", "command": f"touch {begun}; sleep 600", "environmentId": "azureml:AzureML-x:1"}
        call(emulator, "PUT", job, {"properties": command})
        waited = threading.Event()
        for _ in range(int(PATIENCE_SECONDS / 0.05)):
            if begun.exists():
                break
            waited.wait(0.05)
        assert call(emulator, "GET", job)["properties"]["status"] == "Running"

    with azureml_emulator(state=tmp_path / "state") as emulator:
        shown = call(emulator, "GET", job)["properties"]
        run = call(emulator, "GET", f"/history/v1.0{workspace}/runs/long")

    assert shown["status"] == "Failed"
    assert run["error"]["error"]["message"] == "The emulator was stopped while the job ran."
