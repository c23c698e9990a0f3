"""Hyperparameter tuning jobs: each trial is a custom job that gets its parameters by arguments and reports a metric.

A trial reports as `hypertune` (the package cloudml-hypertune) does: lines of JSON in the file that
`CLOUD_ML_HP_METRIC_FILE` names. Pinned where the documentation leaves it open: a trial is infeasible if its job did not
succeed, or reported no finite value of the metric; without `max_failed_trial_count` a job fails when no trial has
succeeded; measurements are shown when their trial has ended.
"""

from __future__ import annotations

import json
import math
import shutil
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Final

from google.protobuf import empty_pb2
from google.rpc import code_pb2

from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.google.aiplatform.catalogue import message
from cloudmlops.emulators.google.aiplatform.checking import without_output_fields
from cloudmlops.emulators.google.aiplatform.handling import Asking, Handlers, Vertex
from cloudmlops.emulators.google.aiplatform.models import check_labels
from cloudmlops.emulators.google.aiplatform.names import new_id
from cloudmlops.emulators.google.aiplatform.pipelines.custom_jobs import (
    ENDED,
    CustomJobs,
    container_of_job,
    job_state,
    number_of_state,
)
from cloudmlops.emulators.google.aiplatform.pipelines.search import Point, Search, Value

_MINIMIZE: Final = 2
_BEST_MEASUREMENT: Final = 2
_GOING_ON: Final = ("REQUESTED", "ACTIVE", "STOPPING")
_NOT_EMULATED: Final = (
    "decay_curve_stopping_spec",
    "median_automated_stopping_spec",
    "convex_automated_stopping_spec",
    "study_stopping_config",
)
_STOPPED: Final = "The emulator was stopped while the job ran."


@dataclass(frozen=True, kw_only=True)
class _Trial:
    """One that runs."""

    id: str
    point: Point
    folder: Path
    begun: float
    """By the machine's clock, which is that of what it reports."""


@dataclass(kw_only=True)
class _Run:
    """One job that runs."""

    name: str
    search: Search
    ended: SimpleQueue[str] = field(default_factory=SimpleQueue)
    """Names of custom jobs that have ended; nothing for a call to end all."""
    stopping: bool = False
    trials: dict[str, _Trial] = field(default_factory=dict)
    """Those that run, by the names of their custom jobs."""
    begun: int = 0
    failed: int = 0
    best: tuple[float, Point] | None = None
    """What is to be maximised, and where it was measured."""

    def end(self) -> None:
        """End all that runs, and let no trial begin any more."""
        self.stopping = True
        self.ended.put("")


class TuningJobs:
    """All hyperparameter tuning jobs of one emulator."""

    def __init__(self, vertex: Vertex, custom: CustomJobs) -> None:
        self._vertex = vertex
        self._custom = custom
        self._kind = message("HyperparameterTuningJob")
        self._folder = vertex.surroundings.state.folder / "tuning"
        self._running: dict[str, tuple[threading.Thread, _Run]] = {}
        self._closed = False
        self._lock = threading.Lock()

    def handlers(self) -> Handlers:
        """Return the handlers that are not plain get and list."""
        return {
            "JobService.CreateHyperparameterTuningJob": lambda request, _: self.create(request),
            "JobService.CancelHyperparameterTuningJob": lambda request, _: self.cancel(request.name),
            "JobService.DeleteHyperparameterTuningJob": self.delete,
        }

    def create(self, request: Any) -> Any:
        """Make a job and begin it."""
        job = request.hyperparameter_tuning_job
        without_output_fields(job)
        check_labels(job.labels)
        search = _checked(job)
        number = new_id()
        name = f"{request.parent}/hyperparameterTuningJobs/{number}"
        job.state = number_of_state("PENDING")
        made = self._kind.FromString(self._vertex.resources.create(name, job).SerializeToString())
        run = _Run(name=name, search=search)
        thread = threading.Thread(target=self._carry, args=(run, job), name=f"tuning-job-{number}", daemon=True)
        with self._lock:
            if not self._closed:
                self._running[name] = (thread, run)
                thread.start()
        return made

    def cancel(self, name: str) -> Any:
        """Ask a job to end."""
        with self._vertex.resources.transaction():
            job: Any = self._vertex.resources.get(name, self._kind)
            if (state := job_state(job)) in ENDED:
                raise Refused("FAILED_PRECONDITION", f"The HyperparameterTuningJob {name} has ended: it is {state}.")
            job.state = number_of_state("CANCELLING")
            self._vertex.resources.put(name, job)
        with self._lock:
            running = self._running.get(name)
        if running is not None:
            running[1].end()
        return empty_pb2.Empty()

    def delete(self, request: Any, asking: Asking) -> Any:
        """Remove a job that has ended; the custom jobs of its trials stay."""
        job: Any = self._vertex.resources.get(request.name, self._kind)
        if (state := job_state(job)) not in ENDED:
            raise Refused(
                "FAILED_PRECONDITION", f"The HyperparameterTuningJob {request.name} is {state}: cancel it first."
            )

        def work() -> Any:
            self._vertex.resources.remove(request.name, self._kind)
            return empty_pb2.Empty()

        return self._vertex.operations.begin(asking.method, request.name, work)

    def interrupted(self) -> None:
        """Let jobs that an emulator's end cut short be failed ones."""
        for known in self._vertex.resources.list("projects/-/locations/-", "hyperparameterTuningJobs", self._kind):
            job: Any = known
            if job_state(job) in ENDED:
                continue
            for trial in job.trials:
                if trial.State.Name(trial.state) in _GOING_ON:
                    self._close_trial(trial, "INFEASIBLE", _STOPPED)
            self._vertex.resources.keep(job.name, job)
            self._put(job.name, "FAILED", error=_STOPPED)

    def close(self) -> None:
        """End all that runs."""
        with self._lock:
            self._closed = True
            running = tuple(self._running.values())
        for thread, run in running:
            run.end()
            thread.join()

    def _carry(self, run: _Run, job: Any) -> None:
        try:
            self._put(run.name, "RUNNING")
            self._search(run, job)
            if (run.failed and run.failed == run.begun) or 0 < job.max_failed_trial_count <= run.failed:
                error = f"{run.failed} of {run.begun} trials have failed, which is too many."
                self._put(run.name, "FAILED", error=error)
            else:
                self._put(run.name, "SUCCEEDED")
        finally:
            shutil.rmtree(self._folder / run.name.rpartition("/")[2], ignore_errors=True)
            with self._lock:
                self._running.pop(run.name, None)

    def _search(self, run: _Run, job: Any) -> None:
        while not self._vertex.surroundings.clock.stopped:
            while not run.stopping and run.begun < job.max_trial_count and len(run.trials) < job.parallel_trial_count:
                point = run.search.next(run.begun + 1, run.best[1] if run.best else None)
                if point is None:
                    break
                self._begin(run, job, point)
            if not run.trials:
                return
            if ended := run.ended.get():
                self._measure(run, job, ended)
                if 0 < job.max_failed_trial_count <= run.failed:
                    run.end()
            else:
                for name in run.trials:
                    with suppress(Refused):  # it has ended meanwhile
                        self._custom.cancel(name)

    def _begin(self, run: _Run, job: Any, point: Point) -> None:
        run.begun += 1
        identity = str(run.begun)
        folder = self._folder / run.name.rpartition("/")[2] / identity
        folder.mkdir(parents=True)
        custom: Any = message("CustomJob")(display_name=f"{job.display_name}-trial-{identity}")
        custom.job_spec.CopyFrom(job.trial_job_spec)
        custom.encryption_spec.CopyFrom(job.encryption_spec)
        (pool,) = [pool for pool in custom.job_spec.worker_pool_specs if pool.WhichOneof("task")]
        pool.container_spec.args.extend(f"--{name}={_written(value)}" for name, value in point.items())
        output = custom.job_spec.base_output_directory
        if output.output_uri_prefix:
            output.output_uri_prefix = f"{output.output_uri_prefix.rstrip('/')}/{identity}"
        environment = {
            "CLOUD_ML_TRIAL_ID": identity,
            "CLOUD_ML_HP_METRIC_FILE": str(folder / "output.metrics"),
        }
        began = time.time()
        parent = run.name.rpartition("/hyperparameterTuningJobs/")[0]
        made = self._custom.begin(parent, custom, environment=environment, ended=run.ended.put)
        run.trials[made.name] = _Trial(id=identity, point=point, folder=folder, begun=began)

        def added(known: Any) -> None:
            trial = known.trials.add(id=identity, custom_job=made.name)
            trial.state = trial.State.Value("ACTIVE")
            for name, value in point.items():
                parameter = trial.parameters.add(parameter_id=name)
                if isinstance(value, str):
                    parameter.value.string_value = value
                else:
                    parameter.value.number_value = value
            trial.start_time.FromDatetime(self._now())

        self._change(run.name, added)

    def _measure(self, run: _Run, job: Any, ended: str) -> None:
        """Note how a trial has ended, and what it reported."""
        running = run.trials.pop(ended)
        custom: Any = self._vertex.resources.find(ended, message("CustomJob"))
        (metric,) = job.study_spec.metrics
        sign = -1.0 if metric.goal == _MINIMIZE else 1.0
        measurements: list[Any] = []
        if custom is None or job_state(custom) != "SUCCEEDED":
            reason = custom.error.message if custom is not None else ""
            reason = reason or "The job of the trial was cancelled."
        else:
            measurements, reason = _reported(running, metric.metric_id)
        final = None
        if not reason:
            best = job.study_spec.measurement_selection_type == _BEST_MEASUREMENT
            final = max(measurements, key=lambda one: sign * one.metrics[0].value) if best else measurements[-1]
            value = sign * final.metrics[0].value
            if run.best is None or value > run.best[0]:
                run.best = (value, running.point)
        elif not run.stopping:
            run.failed += 1

        def changed(known: Any) -> None:
            (trial,) = [one for one in known.trials if one.id == running.id]
            measured = sorted(measurements, key=lambda one: (one.step_count, one.elapsed_duration.ToNanoseconds()))
            trial.measurements.extend(measured)
            if final is not None:
                trial.final_measurement.CopyFrom(final)
            self._close_trial(trial, "INFEASIBLE" if reason else "SUCCEEDED", reason)

        self._change(run.name, changed)
        shutil.rmtree(running.folder, ignore_errors=True)

    def _close_trial(self, trial: Any, state: str, reason: str) -> None:
        trial.state = trial.State.Value(state)
        trial.infeasible_reason = reason
        trial.end_time.FromDatetime(self._now())

    def _put(self, name: str, state: str, *, error: str = "") -> None:
        def changed(job: Any) -> None:
            asked = job_state(job) == "CANCELLING"
            if asked and state == "RUNNING":
                return
            job.state = number_of_state("CANCELLED" if asked else state)
            (job.start_time if state == "RUNNING" else job.end_time).FromDatetime(self._now())
            if error and not asked:
                job.error.code, job.error.message = code_pb2.INTERNAL, error

        self._change(name, changed)

    def _change(self, name: str, change: Callable[[Any], None]) -> None:
        with self._vertex.resources.transaction():
            job: Any = self._vertex.resources.find(name, self._kind)
            if self._vertex.surroundings.clock.stopped or job is None:
                return
            change(job)
            job.update_time.FromDatetime(self._now())
            self._vertex.resources.keep(name, job)

    def _now(self) -> Any:
        return self._vertex.surroundings.clock.now().replace(tzinfo=None)


def _checked(job: Any) -> Search:
    """Return the search of a job that can be."""
    spec = job.study_spec
    for wanted in ("max_trial_count", "parallel_trial_count"):
        if getattr(job, wanted) < 1:
            raise Refused("INVALID_ARGUMENT", f"{wanted} must be at least 1.")
    if job.max_failed_trial_count < 0:
        raise Refused("INVALID_ARGUMENT", "max_failed_trial_count must not be negative.")
    for name in _NOT_EMULATED:
        if spec.HasField(name):
            raise Refused("UNIMPLEMENTED", f"study_spec.{name} is not emulated: every trial runs to its end.")
    if len(spec.metrics) != 1:
        raise Refused("UNIMPLEMENTED", "A study of anything but one metric is not emulated.")
    if spec.metrics[0].HasField("safety_config"):
        raise Refused("UNIMPLEMENTED", "Safe optimization (metrics.safety_config) is not emulated.")
    container_of_job(job.trial_job_spec)
    return Search(spec)


def _reported(trial: _Trial, metric: str) -> tuple[list[Any], str]:
    """Return what a trial reported of a metric, in the order of its reports, and why that is not enough."""
    file = trial.folder / "output.metrics"
    found: list[Any] = []
    for line in file.read_text(encoding="utf-8").splitlines() if file.exists() else ():
        try:
            told = json.loads(line)
            if metric not in told:
                continue
            measurement: Any = message("Measurement")(step_count=int(told.get("global_step", 0)))
            measurement.metrics.add(metric_id=metric, value=float(told[metric]))
            elapsed = timedelta(seconds=max(0.0, float(told.get("timestamp", trial.begun)) - trial.begun))
        except (ValueError, TypeError) as error:
            return [], f"What the trial reported is not what hypertune writes: {line!r} ({error})."
        measurement.elapsed_duration.FromTimedelta(elapsed)
        found.append(measurement)
    if not found:
        return [], f"The trial reported no value of the metric {metric!r}."
    if not all(math.isfinite(one.metrics[0].value) for one in found):
        return found, f"The trial reported a value of the metric {metric!r} that is not finite."
    return found, ""


def _written(value: Value) -> str:
    """Return a value as an argument has it: whole numbers without a point."""
    if isinstance(value, str):
        return value
    return str(int(value)) if value.is_integer() else repr(value)
