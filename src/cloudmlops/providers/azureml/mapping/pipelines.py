"""Pipeline jobs as runs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from cloudmlops.domain.runs import RunState, StepState

PIPELINE_TAG: Final = "cloudmlops_pipeline"
RUN_TAG: Final = "cloudmlops_run"
SCHEDULE_TAG: Final = "cloudmlops_schedule"
REQUEST_TAG: Final = "cloudmlops_request"
ZONE_TAG: Final = "cloudmlops_timezone"
"""Of a schedule: the IANA's name of its time zone, of which Windows has one for several."""
RUN_STATES: Final[Mapping[str, RunState]] = {
    "NotStarted": RunState.WAITING,
    "Starting": RunState.WAITING,
    "Provisioning": RunState.WAITING,
    "Preparing": RunState.WAITING,
    "Queued": RunState.WAITING,
    "Running": RunState.RUNNING,
    "Finalizing": RunState.RUNNING,
    "CancelRequested": RunState.RUNNING,
    "Completed": RunState.SUCCEEDED,
    "Failed": RunState.FAILED,
    "Canceled": RunState.CANCELLED,
    "NotResponding": RunState.RUNNING,
    "Paused": RunState.WAITING,
    "Unknown": RunState.WAITING,
}
STEP_STATES: Final[Mapping[str, StepState]] = {
    "NotStarted": StepState.WAITING,
    "Starting": StepState.WAITING,
    "Provisioning": StepState.WAITING,
    "Preparing": StepState.WAITING,
    "Queued": StepState.WAITING,
    "Running": StepState.RUNNING,
    "Finalizing": StepState.RUNNING,
    "CancelRequested": StepState.RUNNING,
    "Completed": StepState.SUCCEEDED,
    "Failed": StepState.FAILED,
    "Canceled": StepState.CANCELLED,
    "NotResponding": StepState.RUNNING,
    "Paused": StepState.WAITING,
    "Unknown": StepState.WAITING,
}
_NEVER_BEGUN: Final[Mapping[RunState, StepState]] = {
    RunState.SUCCEEDED: StepState.SKIPPED,
    RunState.FAILED: StepState.SKIPPED,
    RunState.CANCELLED: StepState.CANCELLED,
}


def run_state(job: Any) -> RunState:
    """Return where the run of a job stands."""
    return RUN_STATES.get(_status(job), RunState.WAITING)


def step_state(child: Any, run: RunState) -> StepState:
    """Return where a step stands.

    Args:
        child: The step's own job; None when there is none.
        run: Where the whole stands.
    """
    state = StepState.WAITING if child is None else STEP_STATES.get(_status(child), StepState.WAITING)
    if state is StepState.WAITING:
        return _NEVER_BEGUN.get(run, state)
    return StepState.CACHED if state is StepState.SUCCEEDED and reused_of(child) else state


def done_by(child: Any) -> str:
    """Return the id of the run that has done what a step's run stands for.

    It is the step's own, or one that was reused, or of a sweep its best trial.
    """
    properties = child.properties or {}
    if properties.get("azureml.isreused") == "true":
        return str(properties.get("azureml.reusedrunid") or child.name)
    return str(properties.get("best_child_run_id") or child.name)


def reused_of(child: Any) -> str:
    """Return the name of the pipeline job whose step a step's run stands for; empty when it is unknown."""
    return str((child.properties or {}).get("azureml.reusedpipelinerunid", ""))


def created(job: Any) -> datetime | None:
    """Return when a job was made."""
    at: datetime | None = job.creation_context.created_at if job.creation_context else None
    return at


def changed(job: Any) -> datetime | None:
    """Return when a job was changed for the last time; of one that has ended, when it ended."""
    at: datetime | None = job.creation_context.last_modified_at if job.creation_context else None
    return at


def tags(job: Any) -> Mapping[str, str]:
    """Return the tags of a job."""
    return job.tags or {}


def times(trigger: Any) -> str:
    """Return when a schedule fires: as a cron expression, or of what Studio has made of one of ours, in words."""
    if (expression := getattr(trigger, "expression", "")) or trigger is None:
        return str(expression)
    return f"every {trigger.interval} {trigger.frequency}"


def _status(job: Any) -> str:
    return str(getattr(job.status, "value", job.status))
