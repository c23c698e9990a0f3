from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any

import grpc
import httpx
import pytest
from google.cloud import aiplatform_v1 as v1
from tests.emulators.pipelines.specs import Spec

from cloudmlops.emulators.core.emulator import Emulator

_numbers = count(1)
_ENDED = (
    v1.PipelineState.PIPELINE_STATE_SUCCEEDED,
    v1.PipelineState.PIPELINE_STATE_FAILED,
    v1.PipelineState.PIPELINE_STATE_CANCELLED,
)


@dataclass(kw_only=True)
class Google:
    """A running emulator, a project of one test's own, and the real clients."""

    emulator: Emulator
    project: str
    channel: grpc.Channel

    @property
    def parent(self) -> str:
        return f"projects/{self.project}/locations/europe-west4"

    @property
    def bucket(self) -> str:
        return f"{self.project}-bucket"

    def client(self, kind: type[Any]) -> Any:
        return kind(transport=kind.get_transport_class("grpc")(channel=self.channel))

    @property
    def pipelines(self) -> v1.PipelineServiceClient:
        return self.client(v1.PipelineServiceClient)

    def job(self, spec: Spec, parameters: Mapping[str, Any] | None = None, *, fast: bool = False) -> v1.PipelineJob:
        """Return a job that is not sent yet."""
        policy = v1.PipelineFailurePolicy
        return v1.PipelineJob(
            pipeline_spec=spec.content(),
            runtime_config=v1.PipelineJob.RuntimeConfig(
                gcs_output_directory=f"gs://{self.bucket}/root",
                parameter_values=dict(parameters or {}),
                failure_policy=policy.PIPELINE_FAILURE_POLICY_FAIL_FAST
                if fast
                else policy.PIPELINE_FAILURE_POLICY_FAIL_SLOW,
            ),
        )

    def start(self, spec: Spec, parameters: Mapping[str, Any] | None = None, *, fast: bool = False) -> v1.PipelineJob:
        """Create a job."""
        return self.pipelines.create_pipeline_job(
            parent=self.parent,
            pipeline_job=self.job(spec, parameters, fast=fast),
            pipeline_job_id=f"job-{next(_numbers)}",
        )

    def run(self, spec: Spec, parameters: Mapping[str, Any] | None = None, *, fast: bool = False) -> v1.PipelineJob:
        """Create a job and return it when it has ended."""
        return self.ended(self.start(spec, parameters, fast=fast))

    def ended(self, job: v1.PipelineJob) -> v1.PipelineJob:
        """Return a job when it has ended."""
        until = time.monotonic() + 60
        while (known := self.pipelines.get_pipeline_job(name=job.name)).state not in _ENDED:
            assert time.monotonic() < until, known
            time.sleep(0.01)
        return known

    def object(self, uri: str) -> bytes:
        """Return the bytes of a `gs://` address."""
        bucket, _, name = uri.removeprefix("gs://").partition("/")
        reply = httpx.get(f"{self.emulator.url}/{bucket}/{name}", verify=False)
        reply.raise_for_status()
        return reply.content


def states(job: v1.PipelineJob) -> dict[str, str]:
    """Return the states of a job's tasks by name, without the root."""
    root = job.name.rpartition("/")[2]
    return {task.task_name: task.state.name for task in job.job_detail.task_details if task.task_name != root}


def left(job: v1.PipelineJob, task: str) -> dict[str, Any]:
    """Return the output parameters of a task."""
    (found,) = [one for one in job.job_detail.task_details if one.task_name == task]
    metadata = dict(found.execution.metadata or {})
    return {name.removeprefix("output:"): value for name, value in metadata.items() if name.startswith("output:")}


@pytest.fixture
def google(vertex_emulator: Emulator) -> Iterator[Google]:
    project = f"pipelines-{next(_numbers)}"
    with grpc.insecure_channel(vertex_emulator.address) as channel:
        found = Google(emulator=vertex_emulator, project=project, channel=channel)
        httpx.post(
            f"{vertex_emulator.url}/storage/v1/b",
            params={"project": project},
            json={"name": found.bucket},
            verify=False,
        ).raise_for_status()
        yield found
