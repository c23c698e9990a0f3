"""Runs as pipeline jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from google.cloud.aiplatform_v1 import EncryptionSpec, PipelineFailurePolicy, PipelineJob
from google.protobuf import struct_pb2

from cloudmlops.domain.runs import RunRequest
from cloudmlops.providers.vertex.mapping.pipeline_spec import Place, pipeline_spec, shown_parameters
from cloudmlops.providers.vertex.mapping.pipelines import (
    PIPELINE_LABEL,
    REQUEST_LABEL,
    RUN_LABEL,
    SCHEDULE_LABEL,
)

if TYPE_CHECKING:
    from cloudmlops.providers.vertex.settings import VertexSettings

ROOT: Final = "pipeline-root"
"""Folder in the object store for what steps leave."""


def pipeline_job(
    request: RunRequest, settings: VertexSettings, place: Place, *, schedule: str = "", mark: str = ""
) -> PipelineJob:
    """Return the job of a run, or of all runs of a schedule, which name the request by its `mark`."""
    labels = {PIPELINE_LABEL: request.graph.name}
    labels |= {SCHEDULE_LABEL: schedule, REQUEST_LABEL: mark} if schedule else {RUN_LABEL: request.id}
    spec = struct_pb2.Struct()
    spec.update(pipeline_spec(request, place))
    job = PipelineJob(
        display_name=request.id,
        pipeline_spec=spec,
        labels=labels,
        runtime_config=PipelineJob.RuntimeConfig(
            gcs_output_directory=f"gs://{place.bucket}/{ROOT}",
            parameter_values=dict(request.graph.parameters)
            if request.compiled
            else shown_parameters(request.graph.parameters),
            # What does not need a step that failed goes on, as on every platform.
            failure_policy=PipelineFailurePolicy.PIPELINE_FAILURE_POLICY_FAIL_SLOW,
        ),
        service_account=settings.service_account,
        network=settings.network,
    )
    if settings.encryption_key:
        job.encryption_spec = EncryptionSpec(kms_key_name=settings.encryption_key)
    return job
