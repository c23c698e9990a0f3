"""Pipeline jobs as runs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from google.cloud.aiplatform_v1 import PipelineJob, PipelineState, PipelineTaskDetail

from cloudmlops.domain.graph import StepSpec
from cloudmlops.domain.runs import OutputRecord, RunState, StepState
from cloudmlops.domain.value_types import Kind
from cloudmlops.providers.vertex.mapping.job_names import encoded

PIPELINE_LABEL: Final = "cloudmlops_pipeline"
RUN_LABEL: Final = "cloudmlops_run"
SCHEDULE_LABEL: Final = "cloudmlops_schedule"
REQUEST_LABEL: Final = "cloudmlops_request"
RUN_STATES: Final[Mapping[PipelineState, RunState]] = {
    PipelineState.PIPELINE_STATE_UNSPECIFIED: RunState.WAITING,
    PipelineState.PIPELINE_STATE_QUEUED: RunState.WAITING,
    PipelineState.PIPELINE_STATE_PENDING: RunState.WAITING,
    PipelineState.PIPELINE_STATE_RUNNING: RunState.RUNNING,
    PipelineState.PIPELINE_STATE_SUCCEEDED: RunState.SUCCEEDED,
    PipelineState.PIPELINE_STATE_FAILED: RunState.FAILED,
    PipelineState.PIPELINE_STATE_CANCELLING: RunState.RUNNING,
    PipelineState.PIPELINE_STATE_CANCELLED: RunState.CANCELLED,
    PipelineState.PIPELINE_STATE_PAUSED: RunState.WAITING,
}
_TASK: Final = PipelineTaskDetail.State
STEP_STATES: Final[Mapping[PipelineTaskDetail.State, StepState]] = {
    _TASK.STATE_UNSPECIFIED: StepState.WAITING,
    _TASK.PENDING: StepState.WAITING,
    _TASK.RUNNING: StepState.RUNNING,
    _TASK.SUCCEEDED: StepState.SUCCEEDED,
    _TASK.CANCEL_PENDING: StepState.RUNNING,
    _TASK.CANCELLING: StepState.RUNNING,
    _TASK.CANCELLED: StepState.CANCELLED,
    _TASK.FAILED: StepState.FAILED,
    _TASK.SKIPPED: StepState.CACHED,
    _TASK.NOT_TRIGGERED: StepState.SKIPPED,
}
_NEVER_BEGUN: Final[Mapping[RunState, StepState]] = {
    RunState.FAILED: StepState.SKIPPED,
    RunState.CANCELLED: StepState.CANCELLED,
}


def run_state(job: PipelineJob) -> RunState:
    """Return where the run of a job stands."""
    return RUN_STATES[PipelineState(job.state)]


def details(job: PipelineJob) -> Mapping[str, PipelineTaskDetail]:
    """Return a job's outermost tasks by the service's names; the job itself is their parent."""
    told = job.job_detail.task_details
    roots = {detail.task_id for detail in told if detail.task_name == _id(job)}
    return {
        detail.task_name: detail
        for detail in told
        if detail.task_id not in roots and (not roots or detail.parent_task_id in roots)
    }


def detail_of(job: PipelineJob, step: str) -> PipelineTaskDetail | None:
    """Return a step's task; None when it has not begun."""
    return details(job).get(encoded(step))


def step_state(job: PipelineJob, detail: PipelineTaskDetail | None) -> StepState:
    """Return where a step stands."""
    if detail is None or _TASK(detail.state) in (_TASK.STATE_UNSPECIFIED, _TASK.PENDING):
        return _NEVER_BEGUN.get(run_state(job), StepState.WAITING)
    return STEP_STATES[_TASK(detail.state)]


def unheard(said: str, image: str) -> str:
    """Return why a step of ours failed whose process left no word: it was killed, or it never began.

    Args:
        said: By Vertex AI.
        image: Of its container.
    """
    return (
        f"{said}\nIts process left no word. If the image {image} is not there, or was not built for steps: "
        f"cloudmlops image steps FOLDER, then gcloud builds submit FOLDER --tag {image}"
    )


def containers(detail: PipelineTaskDetail) -> Sequence[str]:
    """Return the numbers of the custom jobs of all attempts, the last one last."""
    container, own = detail.executor_detail.container_detail, detail.executor_detail.custom_job_detail
    names = dict.fromkeys([*container.failed_main_jobs, container.main_job, *own.failed_jobs, own.job])
    return [name.rpartition("/")[2] for name in names if name]


def artifact_uri(detail: PipelineTaskDetail, output: str) -> str:
    """Return the address of an output; empty when there is none."""
    listed = detail.outputs.get(output)
    return str(listed.artifacts[0].uri) if listed and listed.artifacts else ""


def compiled_outputs(detail: PipelineTaskDetail, step: StepSpec) -> Mapping[str, OutputRecord]:
    """Return what a task has left that is none of ours: parameters by value, artifacts by their addresses."""
    values = dict(detail.execution.metadata or {})
    found: dict[str, OutputRecord] = {}
    for name, kind in step.outputs.items():
        if (uri := artifact_uri(detail, name)) and kind.kind.is_artifact:
            found[name] = OutputRecord(kind=kind.kind, digest=_digest(uri), uri=uri)
        elif f"output:{name}" in values:
            value = _plain(values[f"output:{name}"])
            value = int(value) if kind.kind is Kind.INT and isinstance(value, float) else value
            found[name] = OutputRecord(kind=kind.kind, digest=_digest(json.dumps(value)), value=value)
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, Sequence) and not isinstance(value, str) else value


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _id(job: PipelineJob) -> str:
    return str(job.name.rpartition("/")[2])


def moment(message: Any, field: str) -> datetime | None:
    """Return a time of a message in UTC; None when it is not set."""
    value = getattr(message, field)
    return datetime.combine(value.date(), value.time(), UTC) if value else None
