"""Custom jobs: one container, run like a pipeline's."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Final

from google.protobuf import empty_pb2, json_format
from google.rpc import code_pb2

from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.google.aiplatform.catalogue import message
from cloudmlops.emulators.google.aiplatform.checking import without_output_fields
from cloudmlops.emulators.google.aiplatform.handling import Asking, Handlers, Vertex
from cloudmlops.emulators.google.aiplatform.models import check_labels
from cloudmlops.emulators.google.aiplatform.names import new_id
from cloudmlops.emulators.google.aiplatform.pipelines.containers import (
    Attempt,
    Cancelled,
    Container,
    Failed,
    Stop,
    container_of,
)
from cloudmlops.emulators.google.aiplatform.pipelines.task_logs import TaskLog
from cloudmlops.emulators.google.aiplatform.pipelines.values import Values

ENDED: Final = ("SUCCEEDED", "FAILED", "CANCELLED")
_PATIENCE_SECONDS: Final = 30.0


class CustomJobs:
    """All custom jobs of one emulator that are not a pipeline's."""

    def __init__(self, vertex: Vertex) -> None:
        self._vertex = vertex
        self._kind = message("CustomJob")
        self._running: dict[str, tuple[threading.Thread, Stop]] = {}
        self._closed = False
        self._lock = threading.Lock()

    def handlers(self) -> Handlers:
        """Return the handlers of custom jobs."""
        return {
            "JobService.CreateCustomJob": lambda request, _: self.create(request),
            "JobService.CancelCustomJob": lambda request, _: self.cancel(request.name),
            "JobService.DeleteCustomJob": self.delete,
        }

    def create(self, request: Any) -> Any:
        """Make a job and begin it."""
        job = request.custom_job
        without_output_fields(job)
        check_labels(job.labels)
        return self.begin(request.parent, job)

    def begin(
        self,
        parent: str,
        job: Any,
        *,
        environment: Mapping[str, str] = MappingProxyType({}),
        ended: Callable[[str], None] = lambda _: None,
    ) -> Any:
        """Begin a job.

        Args:
            parent: Where it is to be.
            job: A `CustomJob`.
            environment: Of its container, beside what the job says.
            ended: Is told the job's name when it has ended.

        Raises:
            Refused: It is not emulated.
        """
        container = container_of_job(job.job_spec)
        container = replace(container, environment={**container.environment, **environment})
        number = new_id()
        name = f"{parent}/customJobs/{number}"
        job.state = number_of_state("PENDING")
        made = self._kind.FromString(self._vertex.resources.create(name, job).SerializeToString())
        stop = Stop(self._vertex.surroundings)
        thread = threading.Thread(
            target=self._carry,
            args=(name, number, job.job_spec, container, stop, ended),
            name=f"custom-job-{number}",
            daemon=True,
        )
        with self._lock:
            if not self._closed:
                self._running[name] = (thread, stop)
                thread.start()
        return made

    def cancel(self, name: str) -> Any:
        """Ask a job to end."""
        job: Any = self._vertex.resources.get(name, self._kind)
        if job_state(job) in ENDED:
            raise Refused("FAILED_PRECONDITION", f"The CustomJob {name} has ended: it is {job_state(job)}.")
        with self._lock:
            running = self._running.get(name)
        if running is not None:
            running[1].ask()
        return empty_pb2.Empty()

    def delete(self, request: Any, asking: Asking) -> Any:
        """Remove a job that has ended."""
        job: Any = self._vertex.resources.get(request.name, self._kind)
        if job_state(job) not in ENDED:
            raise Refused("FAILED_PRECONDITION", f"The CustomJob {request.name} is {job_state(job)}: cancel it first.")

        def work() -> Any:
            self._vertex.resources.remove(request.name, self._kind)
            return empty_pb2.Empty()

        return self._vertex.operations.begin(asking.method, request.name, work)

    def interrupted(self) -> None:
        """Let jobs that an emulator's end cut short be failed ones."""
        for name, data in self._vertex.surroundings.state.table("aiplatform_resources").items("projects/"):
            if "/customJobs/" in name and job_state(self._kind.FromString(data)) not in ENDED:
                self._put(name, "FAILED", error="The emulator was stopped while the job ran.")

    def close(self) -> None:
        """End all that runs."""
        with self._lock:
            self._closed = True
            running = tuple(self._running.values())
        for thread, stop in running:
            stop.ask()
            thread.join(_PATIENCE_SECONDS)

    def _carry(
        self, name: str, number: str, spec: Any, container: Container, stop: Stop, ended: Callable[[str], None]
    ) -> None:
        surroundings = self._vertex.surroundings
        _, project, _, location, *_ = name.split("/")
        log = TaskLog(surroundings, project=self._vertex.projects.id(project), location=location, job=number)
        late = threading.Event()

        def end() -> None:
            late.set()
            stop.ask()

        timeout = spec.scheduling.timeout.ToTimedelta() if spec.scheduling.HasField("timeout") else timedelta(0)
        timer = surroundings.clock.after(timeout, end) if timeout else None
        self._put(name, "RUNNING")
        try:
            Attempt(
                container=container,
                inputs=Values(),
                artifacts={},
                parameters={},
                facts={},
                folder=surroundings.state.folder / "custom-jobs" / number,
                log=log,
                stop=stop,
            ).run(surroundings)
        except Failed as failure:
            self._put(name, "FAILED", error=str(failure))
        except Cancelled:
            late_error = f"The job ran longer than its timeout of {timeout}."
            self._put(name, "FAILED" if late.is_set() else "CANCELLED", error=late_error if late.is_set() else "")
        else:
            self._put(name, "SUCCEEDED")
        finally:
            if timer is not None:
                timer.cancel()
            with self._lock:
                self._running.pop(name, None)
            ended(name)

    def _put(self, name: str, state: str, *, error: str = "") -> None:
        if self._vertex.surroundings.clock.stopped:
            return  # what comes of the emulator's end is for the next one with this state to say
        with self._vertex.resources.transaction():
            job: Any = self._vertex.resources.find(name, self._kind)
            if job is None:
                return
            job.state = number_of_state(state)
            now = self._vertex.surroundings.clock.now().replace(tzinfo=None)
            for field in ("update_time", *(("start_time",) if state == "RUNNING" else ("end_time",))):
                getattr(job, field).FromDatetime(now)
            if error:
                job.error.code, job.error.message = code_pb2.INTERNAL, error
            self._vertex.resources.keep(name, job)


def container_of_job(spec: Any) -> Container:
    """Return the container of a `CustomJobSpec`.

    Raises:
        Refused: It is anything but one container.
    """
    pools = [pool for pool in spec.worker_pool_specs if pool.replica_count or pool.WhichOneof("task")]
    if len(pools) != 1 or pools[0].replica_count > 1 or pools[0].WhichOneof("task") != "container_spec":
        raise Refused("UNIMPLEMENTED", "A custom job of anything but one container is not emulated.")
    described = json_format.MessageToDict(pools[0].container_spec)
    container = container_of({**described, "image": described.get("imageUri", "")})
    root = spec.base_output_directory.output_uri_prefix.rstrip("/")
    if root:
        places = {"MODEL_DIR": "model/", "CHECKPOINT_DIR": "checkpoints/", "TENSORBOARD_LOG_DIR": "logs/"}
        told = {f"AIP_{name}": f"{root}/{folder}" for name, folder in places.items()}
        container = Container(
            image=container.image,
            command=container.command,
            arguments=container.arguments,
            environment={**told, **container.environment},
        )
    return container


def number_of_state(state: str) -> int:
    """Return the number of a `JobState`, such as `RUNNING`."""
    states: Any = message("CustomJob").DESCRIPTOR.fields_by_name["state"].enum_type.values_by_name
    return int(states[f"JOB_STATE_{state}"].number)


def job_state(job: Any) -> str:
    """Return the state of a job, such as `RUNNING`."""
    states = job.DESCRIPTOR.fields_by_name["state"].enum_type.values_by_number
    return str(states[job.state].name.removeprefix("JOB_STATE_"))
