from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.emulators.azure.conftest import Azure

SCRIPT = """
import os

def init():
    global factor
    with open(os.path.join(os.environ["AZUREML_MODEL_DIR"], "factor.txt")) as file:
        factor = float(file.read())

def run(mini_batch):
    print("mini batch of", len(mini_batch))
    results = []
    for path in mini_batch:
        with open(path) as file:
            results.append(f"{os.path.basename(path)},{factor * float(file.read())}")
    return results
"""
API = "2023-10-01"
ENDED = ("Completed", "Failed", "Canceled")
PATIENCE_SECONDS = 60.0


@dataclass(frozen=True)
class Batch:
    """Batch endpoints of one workspace, by the wire."""

    azure: Azure
    folder: Path
    made: list[str] = field(default_factory=list)

    def call(self, method: str, path: str, *, who: str = "owner", api: str = API, **more: Any) -> httpx.Response:
        """Call Azure Resource Manager with a path in the workspace."""
        token = self.azure.cloud.tokens.issue(self.azure.principal(who), "https://management.azure.com")
        return httpx.request(
            method,
            f"{self.azure.emulator.url}{self.azure.workspace_id}{path}",
            headers={"authorization": f"Bearer {token}"},
            params={"api-version": api},
            trust_env=False,
            timeout=60,
            **more,
        )

    def put(self, path: str, properties: dict[str, Any]) -> dict[str, Any]:
        reply = self.call("PUT", path, json={"location": "westeurope", "properties": properties})
        assert reply.status_code in (200, 201), reply.text
        told: dict[str, Any] = self.call("GET", path).json()
        return told

    @property
    def name(self) -> str:
        """Of the endpoint."""
        return f"{self.azure.workspace}-batch"

    @property
    def endpoint(self) -> str:
        return f"/batchEndpoints/{self.name}"

    @property
    def storage(self) -> tuple[str, str]:
        found = self.azure.cloud.resources.get(f"{self.azure.workspace_id}/datastores/workspaceblobstore")
        assert found is not None
        return found["properties"]["accountName"], found["properties"]["containerName"]

    def open(self, default: str | None = None) -> dict[str, Any]:
        """Make the endpoint, or change its default deployment."""
        return self.put(self.endpoint, {"authMode": "aadToken", "defaults": {"deploymentName": default}})

    def deploy(self, script: str = SCRIPT, name: str = "blue", **properties: Any) -> dict[str, Any]:
        """Deploy a scoring script with a model of one file that holds the factor 2.5; let it be the default one."""
        account, container = self.storage
        digest = hashlib.sha256(script.encode()).hexdigest()[:12]
        self.azure.cloud.blobs.write(account, container, f"codes/{digest}/score.py", script.encode())
        self.azure.cloud.blobs.write(account, container, "models/factor/factor.txt", b"2.5")
        code = f"https://{account}.blob.core.windows.net/{container}/codes/{digest}"
        self.put(f"/codes/{digest}/versions/1", {"codeUri": code})
        uri = "azureml://datastores/workspaceblobstore/paths/models/factor/factor.txt"
        self.put("/models/factor/versions/1", {"modelUri": uri, "modelType": "custom_model"})
        self.put("/environments/minimal/versions/1", {"image": "mcr.microsoft.com/azureml/minimal:latest"})
        workspace = self.azure.workspace_id
        kept = {
            "model": {"referenceType": "Id", "assetId": f"{workspace}/models/factor/versions/1"},
            "codeConfiguration": {"codeId": f"{workspace}/codes/{digest}/versions/1", "scoringScript": "score.py"},
            "environmentId": f"{workspace}/environments/minimal/versions/1",
            "compute": "cluster",
            **properties,
        }
        self.open()
        made = self.put(f"{self.endpoint}/deployments/{name}", kept)
        self.open(name)
        return made

    def numbers(self, count: int = 5) -> str:
        """Write files that hold their numbers; return the address of their folder."""
        account, container = self.storage
        for number in range(count):
            self.azure.cloud.blobs.write(account, container, f"numbers/{number}.txt", str(number).encode())
        return "azureml://datastores/workspaceblobstore/paths/numbers/"

    def invoke(
        self, uri: str, *, kind: str = "UriFolder", who: str = "owner", to: str = "", **more: Any
    ) -> httpx.Response:
        """Post to the scoring host, past the redirect."""
        data = {"inputData": {"data": {"jobInputType": kind, "uri": uri}}, **more}
        return self.post({"properties": data}, who=who, to=to)

    def post(self, body: Any, *, who: str = "owner", to: str = "", token: str | None = None) -> httpx.Response:
        issued = self.azure.cloud.tokens.issue(self.azure.principal(who), "https://ml.azure.com")
        headers = {"host": f"{self.name}.westeurope.inference.ml.azure.com"}
        headers["authorization"] = f"Bearer {issued if token is None else token}"
        if to:
            headers["azureml-model-deployment"] = to
        return httpx.post(
            f"{self.azure.emulator.url}/jobs", json=body, headers=headers, trust_env=False, timeout=60, verify=False
        )

    def ended(self, reply: httpx.Response) -> dict[str, Any]:
        """Wait until the job that was begun has ended; return it."""
        assert reply.status_code == 201, reply.text
        return self.became(reply.json()["name"], *ENDED)

    def became(self, job: str, *statuses: str) -> dict[str, Any]:
        waited = threading.Event()
        for _ in range(int(PATIENCE_SECONDS / 0.05)):
            found: dict[str, Any] = self.call("GET", f"/jobs/{job}", api="2024-01-01-preview").json()
            if found["properties"]["status"] in statuses:
                return found
            waited.wait(0.05)
        raise AssertionError(f"the job {job} goes on: {found}")

    def step(self, job: dict[str, Any]) -> dict[str, Any]:
        """Return the only step of a job, as run history shows it."""
        path = f"{self.azure.emulator.url}/history/v1.0{self.azure.workspace_id}/runs/{job['name']}/children"
        token = self.azure.cloud.tokens.issue(self.azure.principal("owner"), "https://management.azure.com")
        told = httpx.get(path, headers={"authorization": f"Bearer {token}"}, trust_env=False, verify=False).json()
        (child,) = told["value"]
        found: dict[str, Any] = child
        return found

    def log(self, job: dict[str, Any]) -> str:
        account, _ = self.storage
        name = f"ExperimentRun/dcid.{self.step(job)['runId']}/user_logs/std_log.txt"
        return self.azure.cloud.blobs.read(account, "azureml", name).decode()

    def files(self, job: dict[str, Any]) -> dict[str, str]:
        """Return what the job's step left as its output."""
        account, container = self.storage
        prefix = f"azureml/{self.step(job)['runId']}/score/"
        blobs = self.azure.cloud.blobs
        return {
            name.removeprefix(prefix): blobs.read(account, container, name).decode()
            for name in blobs.list(account, container, prefix)
        }


@pytest.fixture
def batch(azure: Azure, tmp_path: Path) -> Batch:
    return Batch(azure, tmp_path)
