"""How far a pipeline job has come, written into its resource step by step."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any, Final

from google.rpc import code_pb2

from cloudmlops.emulators.google.aiplatform.catalogue import message
from cloudmlops.emulators.google.aiplatform.handling import Vertex
from cloudmlops.emulators.google.aiplatform.metadata import Metadata
from cloudmlops.emulators.google.aiplatform.names import location_of, new_id
from cloudmlops.emulators.google.aiplatform.pipelines.values import Values

_ENDED: Final = ("SUCCEEDED", "FAILED", "CANCELLED", "SKIPPED", "NOT_TRIGGERED")
_EXECUTION: Final = {
    "RUNNING": "RUNNING",
    "SUCCEEDED": "COMPLETE",
    "FAILED": "FAILED",
    "SKIPPED": "CACHED",
    "CANCELLED": "CANCELLED",
}
_LARGEST_ID: Final = 2**62


class Progress:
    """The resource of one job, and those of the metadata store that belong to it."""

    def __init__(self, vertex: Vertex, name: str) -> None:
        self._vertex = vertex
        self._details: dict[int, Any] = {}
        self._metadata = Metadata(vertex)
        self.name = name

    @property
    def closed(self) -> bool:
        """Whether the emulator ends: what comes of that is not written."""
        return self._vertex.surroundings.clock.stopped

    @property
    def store(self) -> str:
        """Name of the metadata store."""
        return f"{location_of(self.name)}/metadataStores/default"

    def contexts(self, pipeline: str) -> None:
        """Make the contexts of the pipeline and of this run of it."""
        kind: Any = message("Context")
        names = {"system.Pipeline": pipeline, "system.PipelineRun": self.name.rpartition("/")[2]}
        found = {}
        with self._vertex.resources.transaction():
            if not self._vertex.resources.exists(self.store):
                self._vertex.resources.create(self.store, message("MetadataStore")())
            for schema, name in names.items():
                context = kind(display_name=name, schema_title=schema, schema_version="0.0.1")
                place = f"{self.store}/contexts/{name}"
                if not self._vertex.resources.exists(place):
                    if schema == "system.PipelineRun":
                        context.parent_contexts.append(f"{self.store}/contexts/{pipeline}")
                    self._vertex.resources.create(place, context)
                found[schema] = self._vertex.resources.get(place, kind)
            job = self._vertex.resources.find(self.name, message("PipelineJob"))
            if job is not None:
                detail: Any = job.job_detail
                detail.pipeline_context.CopyFrom(found["system.Pipeline"])
                detail.pipeline_run_context.CopyFrom(found["system.PipelineRun"])
                self._vertex.resources.keep(self.name, job)

    def task(self, name: str, parent: int = 0) -> int:
        """Add a task that waits; return its id."""
        detail = message("PipelineTaskDetail")(
            task_id=secrets.randbelow(_LARGEST_ID) + 1, parent_task_id=parent, task_name=name
        )
        self._now(detail.create_time)
        with self._vertex.resources.transaction():
            self._details[detail.task_id] = detail
        self.put(detail.task_id, "PENDING")
        return int(detail.task_id)

    def put(self, task: int, state: str, *, error: str = "") -> None:
        """Bring a task into another state."""
        with self._vertex.resources.transaction():
            detail = self._details[task]
            detail.state = detail.State.Value(state)
            if state == "RUNNING" and not detail.HasField("start_time"):
                self._now(detail.start_time)
            if state in _ENDED:
                self._now(detail.end_time)
            status = detail.pipeline_task_status.add(state=detail.state)
            self._now(status.update_time)
            if error:
                for place in (detail.error, status.error):
                    place.code, place.message = code_pb2.FAILED_PRECONDITION, error
            if state in _EXECUTION:
                self._execution(detail, _EXECUTION[state])
        self.keep()

    def took(self, task: int, inputs: Values) -> None:
        """Note what a task takes."""
        self._note(task, "input", inputs, "inputs")

    def left(self, task: int, outputs: Values) -> None:
        """Note what a task left."""
        self._note(task, "output", outputs, "outputs")

    def container(self, task: int, job: str, *, own: bool, failed: bool = False) -> None:
        """Note the custom job of an attempt, or that it has failed; `own` is one that the pipeline itself describes."""
        with self._vertex.resources.transaction():
            detail = self._details[task].executor_detail
            name = f"{location_of(self.name)}/customJobs/{job}"
            if failed:
                (detail.custom_job_detail.failed_jobs if own else detail.container_detail.failed_main_jobs).append(name)
            elif own:
                detail.custom_job_detail.job = name
            else:
                detail.container_detail.main_job = name
        self.keep()

    def artifact(self, **fields: Any) -> Any:
        """Return a new artifact of the metadata store, which is kept when it is said to be left."""
        kind: Any = message("Artifact")
        found = kind(name=f"{self.store}/artifacts/{new_id()}", state=kind.State.Value("LIVE"), **fields)
        self._now(found.create_time)
        self._now(found.update_time)
        return found

    def keep(self) -> None:
        """Write the tasks into the job's resource."""
        kind = message("PipelineJob")
        with self._vertex.resources.transaction():
            if self.closed or (job := self._vertex.resources.find(self.name, kind)) is None:
                return
            del job.job_detail.task_details[:]
            job.job_detail.task_details.extend(self._details.values())
            self._now(job.update_time)
            self._vertex.resources.keep(self.name, job)

    def state(self, state: str, *, error: str = "", unless: tuple[str, ...] = ()) -> None:
        """Bring the job itself into another state."""
        kind = message("PipelineJob")
        states: Any = message("PipelineJob").DESCRIPTOR.fields_by_name["state"].enum_type.values_by_name
        with self._vertex.resources.transaction():
            if self.closed or (job := self._vertex.resources.find(self.name, kind)) is None:
                return
            if any(job.state == states[f"PIPELINE_STATE_{name}"].number for name in unless):
                return
            job.state = states[f"PIPELINE_STATE_{state}"].number
            self._now(job.update_time)
            if state == "RUNNING":
                self._now(job.start_time)
            if state in _ENDED:
                self._now(job.end_time)
            if error:
                job.error.code, job.error.message = code_pb2.FAILED_PRECONDITION, error
            self._vertex.resources.keep(self.name, job)

    def interrupted(self, error: str) -> None:
        """End the job and its tasks where an emulator's end cut them short: nothing carries them any more."""
        with self._vertex.resources.transaction():
            job: Any = self._vertex.resources.get(self.name, message("PipelineJob"))
            asked = _name(job, "state").removeprefix("PIPELINE_STATE_") == "CANCELLING"
            self._details = {detail.task_id: detail for detail in job.job_detail.task_details}
            for task, detail in self._details.items():
                if (state := _name(detail, "state")) not in _ENDED:
                    begun = state != "PENDING" and not asked
                    self.put(task, "FAILED" if begun else "CANCELLED", error=error if begun else "")
            self.state("CANCELLED" if asked else "FAILED", error="" if asked else error)

    def _note(self, task: int, prefix: str, values: Values, field: str) -> None:
        with self._vertex.resources.transaction():
            detail = self._details[task]
            for name, artifacts in values.artifacts.items():
                listed = getattr(detail, field)[name]
                del listed.artifacts[:]
                listed.artifacts.extend(artifacts)
            fields: Mapping[str, Any] = {f"{prefix}:{name}": value for name, value in values.parameters.items()}
            detail.execution.metadata.update(fields)
            if not detail.execution.name:
                self._execution(detail, "NEW")
            for artifact in [one for artifacts in values.artifacts.values() for one in artifacts]:
                if not self.closed:
                    self._linked(detail.execution, artifact, wrote=field == "outputs")
        self.keep()

    def _linked(self, execution: Any, artifact: Any, *, wrote: bool) -> None:
        if wrote:
            self._vertex.resources.keep(artifact.name, artifact)
        event: Any = message("Event")(execution=execution.name, artifact=artifact.name)
        event.type_ = event.Type.Value("OUTPUT" if wrote else "INPUT")
        self._now(event.event_time)
        self._metadata.link(event)
        context = f"{self.store}/contexts/{self.name.rpartition('/')[2]}"
        self._metadata.belong(context, (execution.name, artifact.name))

    def _execution(self, detail: Any, state: str) -> None:
        execution = detail.execution
        if not execution.name:
            execution.name = f"{self.store}/executions/{detail.task_id}"
            execution.display_name = detail.task_name
            execution.schema_title = "system.ContainerExecution"
            execution.schema_version = "0.0.1"
            self._now(execution.create_time)
        execution.state = execution.State.Value(state)
        self._now(execution.update_time)
        if not self.closed:
            self._vertex.resources.keep(execution.name, execution)

    def _now(self, field: Any) -> None:
        field.FromDatetime(self._vertex.surroundings.clock.now().replace(tzinfo=None))


def _name(message: Any, field: str) -> str:
    return str(message.DESCRIPTOR.fields_by_name[field].enum_type.values_by_number[getattr(message, field)].name)
