from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from google.cloud import aiplatform_v1 as v1

from cloudmlops.emulators.core.emulator import Emulator
from cloudmlops.emulators.google.aiplatform.endpoints.batch import ENDED
from cloudmlops.emulators.google.aiplatform.endpoints.fleet import Fleet, fleet_of
from cloudmlops.emulators.google.cloud import GoogleCloud
from cloudmlops.testing.model_folders import write_scaling_model

IMAGE = "europe-west4-docker.pkg.dev/any/cloudmlops/serving:latest"
_numbers = count(1)


@dataclass(kw_only=True)
class Served:
    """A running emulator, a project of one test's own, and clients of it."""

    emulator: Emulator
    project: str
    folder: Path
    channel: grpc.Channel

    @classmethod
    def at(cls, emulator: Emulator, project: str, folder: Path) -> Served:
        found = cls(emulator=emulator, project=project, folder=folder, channel=grpc.insecure_channel(emulator.address))
        emulator.cloud(GoogleCloud).objects.make_bucket(found.bucket, project=project, location="europe-west4")
        return found

    def client(self, kind: type[Any]) -> Any:
        return kind(transport=kind.get_transport_class("grpc")(channel=self.channel))

    @property
    def parent(self) -> str:
        return f"projects/{self.project}/locations/europe-west4"

    @property
    def endpoints(self) -> v1.EndpointServiceClient:
        return self.client(v1.EndpointServiceClient)

    @property
    def predictions(self) -> v1.PredictionServiceClient:
        return self.client(v1.PredictionServiceClient)

    @property
    def fleet(self) -> Fleet:
        return fleet_of(self.emulator.state)

    @property
    def bucket(self) -> str:
        return f"{self.project}-models"

    def upload(self, factor: float = 1.0, *, fails: str | None = None) -> str:
        """Put the files of a model that multiplies into the bucket; return their folder."""
        name = f"model-{next(_numbers)}"
        folder = write_scaling_model(self.folder / name, factor=factor, fails=fails)
        objects = self.emulator.cloud(GoogleCloud).objects
        for path in folder.rglob("*"):
            if path.is_file():
                objects.write(self.bucket, f"{name}/{path.relative_to(folder).as_posix()}", path.read_bytes())
        return name

    def model(self, factor: float = 1.0, *, fails: str | None = None, **spec: Any) -> str:
        """Register a model that multiplies."""
        name = self.upload(factor, fails=fails)
        models = self.client(v1.ModelServiceClient)
        container = {"image_uri": IMAGE, "predict_route": "/predict", "health_route": "/healthz", **spec}
        uploaded = models.upload_model(
            parent=self.parent,
            model=v1.Model(display_name=name, artifact_uri=f"gs://{self.bucket}/{name}", container_spec=container),
        )
        return str(uploaded.result().model)

    def endpoint(self, **fields: Any) -> str:
        """Create an endpoint."""
        made = self.endpoints.create_endpoint(parent=self.parent, endpoint=v1.Endpoint(display_name="e", **fields))
        return str(made.result().name)

    def begin(self, endpoint: str, model: str, *, split: dict[str, int] | None = None, **fields: Any) -> Any:
        """Begin to deploy."""
        resources = {"machine_spec": {"machine_type": "n1-standard-2"}, "min_replica_count": 1}
        deployed = v1.DeployedModel(**{"model": model, "dedicated_resources": resources, **fields})
        return self.endpoints.deploy_model(endpoint=endpoint, deployed_model=deployed, traffic_split=split or {})

    def deploy(self, endpoint: str, model: str, *, split: dict[str, int] | None = None, **fields: Any) -> str:
        """Deploy, and return the deployed model's id."""
        done = self.begin(endpoint, model, split=split, **fields).result(timeout=60)
        return str(done.deployed_model.id)

    def wait_until(self, holds: Callable[[], bool]) -> None:
        until = time.monotonic() + 60
        while not holds():
            assert time.monotonic() < until, "it did not come to be"
            time.sleep(0.01)

    def predict(self, endpoint: str, value: float = 1.0) -> Any:
        return self.predictions.predict(endpoint=endpoint, instances=[[value, 0.0]]).predictions[0]

    @property
    def jobs(self) -> v1.JobServiceClient:
        return self.client(v1.JobServiceClient)

    def ended(self, job: str) -> v1.BatchPredictionJob:
        """Wait for the end of a batch prediction job."""
        for _ in range(1200):
            found = self.jobs.get_batch_prediction_job(name=job)
            if found.state in ENDED:
                return found
            time.sleep(0.05)
        raise TimeoutError(job)

    def log(self, endpoint: str, deployed: str) -> list[str]:
        """Return what a deployed model's container wrote."""
        wanted = (
            f'resource.labels.endpoint_id="{endpoint.rpartition("/")[2]}" AND labels.deployed_model_id="{deployed}"'
        )
        body = {"resourceNames": [f"projects/{self.project}"], "filter": wanted, "pageSize": 1000}
        reply = httpx.post(f"{self.emulator.url}/v2/entries:list", json=body, verify=False)
        return [entry["jsonPayload"]["message"] for entry in reply.json().get("entries", [])]

    def clear(self) -> None:
        for endpoint in self.endpoints.list_endpoints(parent=self.parent):
            self.endpoints.update_endpoint(
                endpoint=v1.Endpoint(name=endpoint.name), update_mask={"paths": ["traffic_split"]}
            )
            for deployed in endpoint.deployed_models:
                self.endpoints.undeploy_model(endpoint=endpoint.name, deployed_model_id=deployed.id).result()
            self.endpoints.delete_endpoint(name=endpoint.name).result()


@pytest.fixture
def served(vertex_emulator: Emulator, tmp_path: Path) -> Iterator[Served]:
    found = Served.at(vertex_emulator, f"serving-{next(_numbers)}", tmp_path)
    yield found
    vertex_emulator.reset()
    found.clear()
    found.channel.close()


def serving_processes(endpoint: str) -> list[int]:
    """Return the processes that serve for an endpoint, as their environment says."""
    mark = f"AIP_ENDPOINT_ID={endpoint.rpartition('/')[2]}\0".encode()
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if mark in path.read_bytes():
                found.append(int(path.parent.name))
    return found
