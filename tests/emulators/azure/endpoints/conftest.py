from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from cloudmlops.emulators.azure.cloud import AzureCloud
from cloudmlops.emulators.core.emulator import Emulator
from cloudmlops.testing.model_folders import write_scaling_model

if TYPE_CHECKING:
    from tests.emulators.azure.conftest import Azure

    from cloudmlops.emulators.azure.entra.principals import Principal

SCORE = """
import json
import logging
import os

def init():
    global factor
    with open(os.path.join(os.environ["AZUREML_MODEL_DIR"], "factor.txt")) as file:
        factor = float(file.read())
    print("the factor is", factor)

def run(raw_data):
    data = json.loads(raw_data)["data"]
    logging.info("scoring %s", data)
    return [factor * value for value in data]
"""
API = "2023-04-01-preview"
SIZE = "Standard_F4s_v2"


@dataclass(frozen=True)
class Endpoints:
    """Endpoints of one workspace, by the wire."""

    emulator: Emulator
    cloud: AzureCloud
    workspace: str
    """Its id."""
    folder: Path
    prefix: str
    """Of names of endpoints: they are unique in a region."""

    def call(self, method: str, path: str, *, who: str = "owner", api: str = API, **more: Any) -> httpx.Response:
        principal: Principal = self.cloud.tokens.directory.by_name(who)
        token = self.cloud.tokens.issue(principal, "https://management.azure.com")
        return httpx.request(
            method,
            f"{self.emulator.url}{self.workspace}{path}",
            headers={"authorization": f"Bearer {token}"},
            params={"api-version": api},
            trust_env=False,
            timeout=60,
            **more,
        )

    def post(self, path: str, body: Mapping[str, Any]) -> None:
        """Post to a path that is none of the workspace's."""
        token = self.cloud.tokens.issue(self.cloud.tokens.directory.by_name("owner"), "https://management.azure.com")
        httpx.post(
            f"{self.emulator.url}{path}",
            headers={"authorization": f"Bearer {token}"},
            params={"api-version": "2021-10-01-dataplanepreview"},
            json=body,
            trust_env=False,
            verify=False,
        ).raise_for_status()

    def put(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Put something and wait until its operation has ended; return how that went."""
        return self.followed(self.call("PUT", path, json=body))

    def followed(self, reply: httpx.Response) -> dict[str, Any]:
        reply.raise_for_status()
        url = reply.headers["azure-asyncoperation"].replace("https://management.azure.com", self.emulator.url)
        token = self.cloud.tokens.issue(self.cloud.tokens.directory.by_name("owner"), "https://management.azure.com")
        while True:
            status: dict[str, Any] = httpx.get(
                url, headers={"authorization": f"Bearer {token}"}, trust_env=False, verify=False
            ).json()
            if status["status"] != "InProgress":
                return status
            time.sleep(float(reply.headers["retry-after-ms"]) / 1000)

    def endpoint(self, name: str = "live", *, mode: str = "Key", **properties: Any) -> str:
        """Make or change an endpoint; return its path."""
        path = f"/onlineEndpoints/{self.prefix}-{name}"
        self.put(path, {"location": "westeurope", "properties": {"authMode": mode, **properties}})
        return path

    def mlflow(self, factor: float, *, fails: str | None = None) -> str:
        """Register an MLflow model that multiplies; return its id."""
        folder = write_scaling_model(self.folder / f"model-{factor}-{fails}", factor=factor, fails=fails)
        return self.register("scaling", folder, "mlflow_model")

    def factor(self, factor: float) -> str:
        """Register a model of one file that holds a factor; return its id."""
        folder = self.folder / f"factor-{factor}"
        folder.mkdir(exist_ok=True)
        (folder / "factor.txt").write_text(str(factor))
        return self.register("factor", folder, "custom_model", file="factor.txt")

    def register(self, name: str, folder: Path, kind: str, *, file: str = "") -> str:
        account, container = self.storage
        place = f"models/{name}/{folder.name}/model"
        self.cloud.blobs.upload(folder, account, container, place)
        uri = f"azureml://datastores/workspaceblobstore/paths/{place}{f'/{file}' if file else ''}"
        version = hashlib.sha256(str(folder).encode()).hexdigest()[:8]
        body = {"properties": {"modelUri": uri, "modelType": kind}}
        self.call("PUT", f"/models/{name}/versions/{version}", json=body).raise_for_status()
        return f"{self.workspace}/models/{name}/versions/{version}"

    def code(self, script: str) -> str:
        """Upload a scoring script; return the id of the code."""
        name = hashlib.sha256(script.encode()).hexdigest()[:12]
        account, container = self.storage
        self.cloud.blobs.write(account, container, f"codes/{name}/score.py", script.encode())
        uri = f"https://{account}.blob.core.windows.net/{container}/codes/{name}"
        self.call("PUT", f"/codes/{name}/versions/1", json={"properties": {"codeUri": uri}}).raise_for_status()
        return f"{self.workspace}/codes/{name}/versions/1"

    def environment(self, image: str = "mcr.microsoft.com/azureml/minimal:latest", **more: Any) -> str:
        """Register an environment; return its id."""
        name = hashlib.sha256(f"{image}{more}".encode()).hexdigest()[:12]
        body = {"properties": {"image": image, **more}}
        self.call("PUT", f"/environments/{name}/versions/1", json=body).raise_for_status()
        return f"{self.workspace}/environments/{name}/versions/1"

    def deploy(self, endpoint: str, name: str = "blue", *, capacity: int = 1, **properties: Any) -> dict[str, Any]:
        """Make or change a deployment and wait; return how its operation ended."""
        body = deployment(capacity=capacity, **properties)
        return self.put(f"{endpoint}/deployments/{name}", body)

    def script(self, endpoint: str, name: str = "blue", *, script: str = SCORE, **properties: Any) -> dict[str, Any]:
        """Deploy a scoring script."""
        code = {"codeId": self.code(script), "scoringScript": "score.py"}
        return self.deploy(endpoint, name, codeConfiguration=code, environmentId=self.environment(), **properties)

    def key(self, endpoint: str) -> str:
        key: str = self.call("POST", f"{endpoint}/listKeys").json()["primaryKey"]
        return key

    def score(
        self, endpoint: str, body: Any, *, token: str | None = None, path: str = "/score", **headers: str
    ) -> httpx.Response:
        """Post to the scoring host, past the redirect."""
        sent = {"host": f"{endpoint.rpartition('/')[2]}.westeurope.inference.ml.azure.com", **headers}
        given = self.key(endpoint) if token is None else token
        if given:
            sent["authorization"] = f"Bearer {given}"
        return httpx.post(
            f"{self.emulator.url}{path}", json=body, headers=sent, trust_env=False, timeout=60, verify=False
        )

    def logs(self, endpoint: str, name: str = "blue", **body: Any) -> str:
        content: str = self.call("POST", f"{endpoint}/deployments/{name}/getLogs", json=body).json()["content"]
        return content

    @property
    def storage(self) -> tuple[str, str]:
        found = self.cloud.resources.get(f"{self.workspace}/datastores/workspaceblobstore")
        assert found is not None
        return found["properties"]["accountName"], found["properties"]["containerName"]


def deployment(*, capacity: int = 1, **properties: Any) -> dict[str, Any]:
    return {
        "location": "westeurope",
        "sku": {"name": "Default", "capacity": capacity},
        "properties": {"endpointComputeType": "Managed", "instanceType": SIZE, **properties},
    }


@pytest.fixture
def endpoints(azure: Azure, tmp_path: Path) -> Iterator[Endpoints]:
    made = Endpoints(azure.emulator, azure.cloud, azure.workspace_id, tmp_path, azure.workspace)
    yield made
    for one in made.call("GET", "/onlineEndpoints").json()["value"]:
        made.followed(made.call("DELETE", f"/onlineEndpoints/{one['name']}"))


@pytest.fixture
def restarted(tmp_path: Path, principals_file: Path) -> Callable[[], Any]:
    """An emulator with a state of its own, as often as it is asked for."""
    return lambda: Emulator([AzureCloud(principals_file)], state=tmp_path / "state")
