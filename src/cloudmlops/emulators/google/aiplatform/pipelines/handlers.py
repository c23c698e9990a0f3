"""PipelineService and ScheduleService put together."""

from __future__ import annotations

from weakref import WeakKeyDictionary

from cloudmlops.emulators.core.state import State
from cloudmlops.emulators.google.aiplatform.handling import Handlers, Vertex
from cloudmlops.emulators.google.aiplatform.pipelines.jobs import PipelineJobs
from cloudmlops.emulators.google.aiplatform.pipelines.schedules import Schedules

_known: WeakKeyDictionary[State, PipelineJobs] = WeakKeyDictionary()


def pipeline_handlers(vertex: Vertex) -> Handlers:
    """Return the handlers of pipelines."""
    jobs = _known[vertex.surroundings.state] = PipelineJobs(vertex)
    jobs.interrupted()
    schedules = Schedules(vertex, jobs)
    schedules.go_on()
    return {**jobs.handlers(), **schedules.handlers()}


def close_pipelines(vertex: Vertex) -> None:
    """End what runs."""
    if (jobs := _known.pop(vertex.surroundings.state, None)) is not None:
        jobs.close()
