"""PipelineService, ScheduleService and the custom jobs of JobService put together."""

from __future__ import annotations

from weakref import WeakKeyDictionary

from cloudmlops.emulators.core.state import State
from cloudmlops.emulators.google.aiplatform.handling import Handlers, Vertex
from cloudmlops.emulators.google.aiplatform.pipelines.custom_jobs import CustomJobs
from cloudmlops.emulators.google.aiplatform.pipelines.jobs import PipelineJobs
from cloudmlops.emulators.google.aiplatform.pipelines.schedules import Schedules

_known: WeakKeyDictionary[State, tuple[PipelineJobs, CustomJobs]] = WeakKeyDictionary()


def pipeline_handlers(vertex: Vertex) -> Handlers:
    """Return the handlers of pipelines, schedules and custom jobs."""
    jobs, custom = _known[vertex.surroundings.state] = PipelineJobs(vertex), CustomJobs(vertex)
    jobs.interrupted()
    custom.interrupted()
    schedules = Schedules(vertex, jobs)
    schedules.go_on()
    return {**jobs.handlers(), **schedules.handlers(), **custom.handlers()}


def close_pipelines(vertex: Vertex) -> None:
    """End what runs."""
    for jobs in _known.pop(vertex.surroundings.state, ()):
        jobs.close()
