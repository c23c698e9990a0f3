"""PipelineService, ScheduleService and the custom and tuning jobs of JobService put together."""

from __future__ import annotations

from weakref import WeakKeyDictionary

from cloudmlops.emulators.core.state import State
from cloudmlops.emulators.google.aiplatform.handling import Handlers, Vertex
from cloudmlops.emulators.google.aiplatform.pipelines.custom_jobs import CustomJobs
from cloudmlops.emulators.google.aiplatform.pipelines.jobs import PipelineJobs
from cloudmlops.emulators.google.aiplatform.pipelines.schedules import Schedules
from cloudmlops.emulators.google.aiplatform.pipelines.tuning import TuningJobs

_known: WeakKeyDictionary[State, tuple[PipelineJobs, TuningJobs, CustomJobs]] = WeakKeyDictionary()


def pipeline_handlers(vertex: Vertex) -> Handlers:
    """Return the handlers of pipelines, schedules, custom and tuning jobs."""
    jobs, custom = PipelineJobs(vertex), CustomJobs(vertex)
    tuning = TuningJobs(vertex, custom)
    _known[vertex.surroundings.state] = jobs, tuning, custom
    for interrupted in (jobs, tuning, custom):
        interrupted.interrupted()
    schedules = Schedules(vertex, jobs)
    schedules.go_on()
    return {**jobs.handlers(), **schedules.handlers(), **custom.handlers(), **tuning.handlers()}


def close_pipelines(vertex: Vertex) -> None:
    """End what runs."""
    for jobs in _known.pop(vertex.surroundings.state, ()):
        jobs.close()
