"""Pipeline jobs: made, carried out in threads of their own, cancelled, deleted."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from google.protobuf import empty_pb2, json_format

from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.google.aiplatform.catalogue import message
from cloudmlops.emulators.google.aiplatform.checking import without_output_fields
from cloudmlops.emulators.google.aiplatform.handling import Asking, Handlers, Vertex
from cloudmlops.emulators.google.aiplatform.models import check_labels
from cloudmlops.emulators.google.aiplatform.names import new_id
from cloudmlops.emulators.google.aiplatform.paging import newest_first, page
from cloudmlops.emulators.google.aiplatform.pipelines.containers import Stop
from cloudmlops.emulators.google.aiplatform.pipelines.dag import Course, Dag
from cloudmlops.emulators.google.aiplatform.pipelines.leaves import Leaves
from cloudmlops.emulators.google.aiplatform.pipelines.progress import Progress
from cloudmlops.emulators.google.aiplatform.pipelines.spec import PipelineSpec, with_defaults
from cloudmlops.emulators.google.aiplatform.pipelines.values import Values

_log: Final = logging.getLogger("cloudmlops.emulators")
_ID: Final = re.compile(r"[a-z][-a-z0-9]{0,127}")
_FAST: Final = "PIPELINE_FAILURE_POLICY_FAIL_FAST"
ENDED: Final = ("SUCCEEDED", "FAILED", "CANCELLED")
_PATIENCE_SECONDS: Final = 30.0


class PipelineJobs:
    """All jobs of one emulator, and the threads that carry them."""

    def __init__(self, vertex: Vertex) -> None:
        self._vertex = vertex
        self._kind = message("PipelineJob")
        self._running: dict[str, tuple[threading.Thread, Progress, Stop]] = {}
        self._closed = False
        self.ended: Callable[[str], None] = lambda _: None
        """Told the schedule of each job that has ended, if it has one."""
        self._lock = threading.Lock()

    def handlers(self) -> Handlers:
        """Return the handlers of jobs."""
        return {
            "PipelineService.CreatePipelineJob": lambda request, _: self.create(request),
            "PipelineService.ListPipelineJobs": self.list,
            "PipelineService.CancelPipelineJob": lambda request, _: self.cancel(request.name),
            "PipelineService.DeletePipelineJob": self.delete,
            "PipelineService.BatchDeletePipelineJobs": self.delete_all,
            "PipelineService.BatchCancelPipelineJobs": self.cancel_all,
        }

    def create(self, request: Any, *, scheduled: datetime | None = None) -> Any:
        """Make a job and begin it; `scheduled` is the time of the schedule that it is for."""
        job = request.pipeline_job
        schedule = job.schedule_name
        without_output_fields(job)
        job.schedule_name = schedule
        content = json_format.MessageToDict(job.pipeline_spec)
        if not content and job.template_uri:
            raise Refused("UNIMPLEMENTED", f"Templates are not emulated: send what {job.template_uri} holds.")
        spec = PipelineSpec(content)
        config = job.runtime_config
        if config.parameters:
            raise Refused("INVALID_ARGUMENT", "runtime_config.parameters is of schema 1: use parameter_values.")
        if config.input_artifacts:
            raise Refused("UNIMPLEMENTED", "runtime_config.input_artifacts is not emulated.")
        if not config.gcs_output_directory.startswith("gs://"):
            raise Refused("INVALID_ARGUMENT", "runtime_config.gcs_output_directory must be a gs:// address.")
        check_labels(job.labels)
        given = json_format.MessageToDict(config).get("parameterValues", {})
        inputs = Values(parameters=with_defaults(spec.root, given, f"The pipeline {spec.name!r}"))
        now = self._vertex.surroundings.clock.now()
        identity = request.pipeline_job_id or f"{spec.name}-{now:%Y%m%d%H%M%S}"
        if not _ID.fullmatch(identity):
            raise Refused("INVALID_ARGUMENT", f"The pipeline_job_id {identity!r} must match {_ID.pattern}.")
        name = f"{request.parent}/pipelineJobs/{identity}"
        job.display_name = job.display_name or identity
        job.labels["vertex-ai-pipelines-run-billing-id"] = new_id()
        job.state = job.DESCRIPTOR.fields_by_name["state"].enum_type.values_by_name["PIPELINE_STATE_PENDING"].number
        made = self._vertex.resources.create(name, job)
        self._begin(name, spec, inputs, made, scheduled or now)
        return made

    def list(self, request: Any, _: Asking) -> Any:
        """List jobs, the newest first."""
        found = self._vertex.resources.list(request.parent, "pipelineJobs", self._kind)
        part, token = page(found, request, kind=self._kind, natural=newest_first)
        return message("ListPipelineJobsResponse")(pipeline_jobs=part, next_page_token=token)

    def cancel(self, name: str) -> Any:
        """Ask a job to end."""
        job = self._vertex.resources.get(name, self._kind)
        if (state := state_of(job)) in ENDED:
            raise Refused("FAILED_PRECONDITION", f"The PipelineJob {name} has ended: it is {state}.")
        with self._lock:
            running = self._running.get(name)
        if running is not None:
            running[1].state("CANCELLING", unless=ENDED)
            running[2].ask()
        return empty_pb2.Empty()

    def delete(self, request: Any, asking: Asking) -> Any:
        """Remove a job that has ended."""
        self._check_deletable(request.name)

        def work() -> Any:
            self._vertex.resources.remove(request.name, self._kind)
            return empty_pb2.Empty()

        return self._vertex.operations.begin(asking.method, request.name, work)

    def delete_all(self, request: Any, asking: Asking) -> Any:
        """Remove several."""
        kept = [self._check_deletable(name) for name in request.names]

        def work() -> Any:
            with self._vertex.resources.transaction():
                for name in request.names:
                    self._vertex.resources.remove(name, self._kind)
            return message("BatchDeletePipelineJobsResponse")(pipeline_jobs=kept)

        return self._vertex.operations.begin(asking.method, request.parent, work)

    def cancel_all(self, request: Any, asking: Asking) -> Any:
        """Ask several to end."""

        def work() -> Any:
            for name in request.names:
                self.cancel(name)
            jobs = [self._vertex.resources.get(name, self._kind) for name in request.names]
            return message("BatchCancelPipelineJobsResponse")(pipeline_jobs=jobs)

        return self._vertex.operations.begin(asking.method, request.parent, work)

    def interrupted(self) -> None:
        """Let jobs that an emulator's end cut short be failed ones."""
        for name, data in self._vertex.surroundings.state.table("aiplatform_resources").items("projects/"):
            if "/pipelineJobs/" in name and state_of(self._kind.FromString(data)) not in ENDED:
                Progress(self._vertex, name).interrupted("The emulator was stopped while the job ran.")

    def close(self) -> None:
        """End all that runs."""
        with self._lock:
            self._closed = True
            running = tuple(self._running.values())
        for thread, _, stop in running:
            stop.ask()
            thread.join(_PATIENCE_SECONDS)

    def _check_deletable(self, name: str) -> Any:
        job = self._vertex.resources.get(name, self._kind)
        if (state := state_of(job)) not in ENDED:
            raise Refused("FAILED_PRECONDITION", f"The PipelineJob {name} is {state}: cancel it first.")
        return job

    def _begin(self, name: str, spec: PipelineSpec, inputs: Values, job: Any, scheduled: datetime) -> None:
        progress = Progress(self._vertex, name)
        stop = Stop(self._vertex.surroundings)
        facts = _facts(job, self._vertex.surroundings.clock.now(), scheduled)
        course = Course(
            spec=spec,
            progress=progress,
            stop=stop,
            leaf=Leaves(self._vertex, spec, job, progress, stop, facts).run,
            facts=facts,
            fail_fast=job.runtime_config.failure_policy
            == self._kind.DESCRIPTOR.fields_by_name["runtime_config"]
            .message_type.fields_by_name["failure_policy"]
            .enum_type.values_by_name[_FAST]
            .number,
        )
        thread = threading.Thread(
            target=self._carry, args=(course, spec, inputs), name=f"pipeline-job-{job.display_name}", daemon=True
        )
        with self._lock:
            if self._closed:
                return
            self._running[name] = (thread, progress, stop)
        thread.start()

    def _carry(self, course: Course, spec: PipelineSpec, inputs: Values) -> None:
        progress = course.progress
        try:
            progress.state("RUNNING", unless=("CANCELLING",))
            progress.contexts(spec.name)
            root = progress.task(progress.name.rpartition("/")[2])
            progress.put(root, "RUNNING")
            result = Dag(course, spec.name, spec.root["dag"], inputs, root).run()
            progress.left(root, result.outputs)
            progress.put(root, result.state, error=result.error)
            progress.state(result.state, error=result.error)
        except Exception as error:  # noqa: BLE001 a mistake of the emulator's fails the job, not the emulator
            if not progress.closed:
                _log.exception("the emulated job %s failed", progress.name)
                progress.state("FAILED", error=f"Internal error: {error}")
        finally:
            with self._lock:
                self._running.pop(progress.name, None)
            if not progress.closed and (job := self._vertex.resources.find(progress.name, self._kind)) is not None:
                self.ended(job.schedule_name)


def state_of(job: Any) -> str:
    """Return a job's state, such as `RUNNING`."""
    states = job.DESCRIPTOR.fields_by_name["state"].enum_type.values_by_number
    return str(states[job.state].name.removeprefix("PIPELINE_STATE_"))


def _facts(job: Any, created: datetime, scheduled: datetime) -> Mapping[str, str]:
    return {
        "pipeline_job_name": job.name.rpartition("/")[2],
        "pipeline_job_resource_name": job.name,
        "pipeline_job_uuid": job.labels["vertex-ai-pipelines-run-billing-id"],
        "pipeline_root": job.runtime_config.gcs_output_directory,
        "pipeline_job_create_time_utc": created.isoformat(),
        "pipeline_job_schedule_time_utc": scheduled.isoformat(),
    }
