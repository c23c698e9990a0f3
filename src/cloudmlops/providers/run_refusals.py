"""Why something cannot be done with a run, in the same words on every provider."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from cloudmlops.domain.graph import graph_to_json
from cloudmlops.domain.runs import RunRequest, RunState
from cloudmlops.errors import ConflictError, NotFoundError, UnsupportedError

_WRITTEN: Final = {"vertex": "a pipeline compiled by Kubeflow", "azureml": "a pipeline job of Azure ML"}
"""What a pipeline is that was not built here, by the provider that it was written for."""


def no_run(provider: str, run: str) -> NotFoundError:
    """There is no such run."""
    return NotFoundError(
        f"there is no run {run!r}", hint="List them with cloudmlops runs list.", provider=provider, resource=run
    )


def no_step(provider: str, run: str, step: str, *, known: Iterable[str]) -> NotFoundError:
    """A run has no such step, but those that are `known`."""
    return NotFoundError(
        f"run {run!r} has no step {step!r}",
        hint=f"Its steps: {', '.join(known)}.",
        provider=provider,
        operation="pipelines.logs",
        resource=f"{run}/{step}",
    )


def no_schedule(provider: str, name: str) -> NotFoundError:
    """There is no such schedule."""
    return NotFoundError(
        f"there is no schedule {name!r}",
        hint="List them with cloudmlops schedule list.",
        provider=provider,
        resource=name,
    )


def conflict(provider: str, run: str, what: str, hint: str) -> ConflictError:
    """A run is not what it would have to be."""
    return ConflictError(f"run {run!r} {what}", hint=hint, provider=provider, operation="pipelines", resource=run)


def going_on(provider: str, run: str) -> ConflictError:
    """A run that is to be resumed has not ended."""
    return conflict(provider, run, "is going on", f"Wait for it (cloudmlops runs show {run}), or cancel it first.")


def check_same(provider: str, known: RunRequest, request: RunRequest) -> None:
    """Raise `ConflictError` when a run was asked to do something else before."""
    if graph_to_json(known.graph) != graph_to_json(request.graph):
        raise conflict(
            provider,
            request.id,
            "exists already, with another pipeline or other parameters",
            "An id names one run: give another id, or none.",
        )


def check_not_done(provider: str, run: str, state: RunState) -> None:
    """Raise `ConflictError` when a run has succeeded."""
    if state is RunState.SUCCEEDED:
        raise conflict(provider, run, "has succeeded: there is nothing to resume", "Start a new run.")


def of_another_platform(request: RunRequest, service: str) -> UnsupportedError:
    """A pipeline in one cloud's words is to run elsewhere."""
    return UnsupportedError(
        f"pipeline {request.graph.name!r} is {_WRITTEN[request.written_for]}, which {service} does not run",
        hint=f"Run it on {request.written_for}://, or on its emulator: cloudmlops emulate {request.written_for}. A "
        "pipeline that is written with @cm.pipeline runs everywhere.",
    )


def not_to_be_parted(request: RunRequest, service: str) -> UnsupportedError:
    """A run of a pipeline in a cloud's own words is to be resumed."""
    return UnsupportedError(
        f"run {request.id!r} is of {_WRITTEN[request.written_for]}: which of its parts may be left out is not known",
        hint=f"Run it anew: what has succeeded is reused by {service}, if its parts allow that.",
    )
