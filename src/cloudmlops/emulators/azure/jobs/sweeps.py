"""Sweeps: trials of one command with other parameters each, and the best of them.

Names, tags and properties of the parent follow recorded traffic of the real service (azure-sdk-assets, azure-ai-ml
1.32, 2026-03, `sweep_job`), which ends before a trial does: what tells of the best one is documented
(learn.microsoft.com, "Hyperparameter tuning a model") or read by azure-ai-ml. A sweep has failed when all its trials
have, and is canceled with all that is left of it when its timeout is over.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final
from uuid import uuid4

from cloudmlops.emulators.azure.arm.errors import UserError
from cloudmlops.emulators.azure.jobs.early_termination import Policy, read_policy
from cloudmlops.emulators.azure.jobs.execution import Executor
from cloudmlops.emulators.azure.jobs.expressions import substituted
from cloudmlops.emulators.azure.jobs.runs import Run, Runs
from cloudmlops.emulators.azure.jobs.search_spaces import Distribution, Point, read_space, sampler_of
from cloudmlops.emulators.azure.jobs.stopping import Stop
from cloudmlops.emulators.azure.jobs.tasks import Task, Value, command_task, duration_of
from cloudmlops.emulators.azure.ml.job_shapes import definition
from cloudmlops.emulators.azure.tracking.measures import Measures
from cloudmlops.emulators.core.clock import Clock

RUN_TYPE: Final = "hyperdrive"
TRIALS: Final = 1000
"""How many there are at most, and where nobody says how many."""
_AT_ONCE: Final = 16
"""How many trials run at once at most, whatever is allowed: others wait, as they would for a quota."""
_LOOK: Final = 0.1
"""Seconds between looks at what trials have logged."""
_PLACE: Final = "search_space."


@dataclass(frozen=True, kw_only=True, slots=True)
class Sweep:
    """What is tried, and until when."""

    task: Task
    """Of each trial: its command names the parameters."""
    space: Mapping[str, Distribution]
    sampling: Mapping[str, Any]
    metric: str
    minimizes: bool
    trials: int
    at_once: int
    timeout: timedelta | None
    policy: Policy | None


def read_sweep(job: Mapping[str, Any]) -> Sweep:
    """Read a sweep job.

    Raises:
        Refused: It is malformed, or wants what is not emulated.
    """
    trial: Mapping[str, Any] = job.get("trial") or {}
    limits: Mapping[str, Any] = job.get("limits") or {}
    given = {**trial, **{name: job.get(name) for name in ("inputs", "outputs", "identity")}}
    task = replace(command_task(given), timeout=duration_of(limits.get("trialTimeout")))
    return sweep_of(
        task,
        space=job.get("searchSpace") or {},
        sampling=job.get("samplingAlgorithm") or {},
        objective=job.get("objective") or {},
        limits=limits,
        policy=job.get("earlyTermination"),
    )


def sweep_of(
    task: Task,
    *,
    space: Mapping[str, Any],
    sampling: Mapping[str, Any],
    objective: Mapping[str, Any],
    limits: Mapping[str, Any],
    policy: Mapping[str, Any] | None,
) -> Sweep:
    """Return a sweep, from what a job says.

    Raises:
        Refused: It is malformed, or wants what is not emulated.
    """
    metric, goal = objective.get("primaryMetric"), str(objective.get("goal")).lower()
    if not metric or goal not in ("maximize", "minimize"):
        raise UserError(
            "INVALID_ARGUMENT", "The objective of a sweep has a primaryMetric, and a goal: Maximize or Minimize."
        )
    trials = int(limits.get("maxTotalTrials") or TRIALS)
    at_once = int(limits.get("maxConcurrentTrials") or trials)
    for name, value in (("maxTotalTrials", trials), ("maxConcurrentTrials", at_once)):
        if not 1 <= value <= TRIALS:
            raise UserError("INVALID_ARGUMENT", f"The {name} of a sweep is from 1 to {TRIALS}.")
    if policy and sampling.get("samplingAlgorithmType") == "Bayesian":
        raise UserError("INVALID_ARGUMENT", "Bayesian sampling does not support early termination.")
    read = read_space(space)
    sampler_of(sampling, read, name="")  # only to refuse it before anything has begun
    return Sweep(
        task=task,
        space=read,
        sampling=sampling,
        metric=str(metric),
        minimizes=goal == "minimize",
        trials=trials,
        at_once=min(at_once, _AT_ONCE),
        timeout=duration_of(limits.get("timeout")),
        policy=read_policy(policy, minimizes=goal == "minimize"),
    )


class Sweeps:
    """Carries sweeps out."""

    def __init__(self, clock: Clock, runs: Runs, executor: Executor, measures: Measures) -> None:
        """Prepare.

        Args:
            clock: Of timeouts.
            runs: Where trials are noted.
            executor: Of trials.
            measures: Where trials tell how good they are.
        """
        self._clock = clock
        self._runs = runs
        self._executor = executor
        self._measures = measures

    def carry_out(self, run: Run, sweep: Sweep, stop: Stop) -> None:
        """Carry a sweep out to its end, and tell of it in its run."""
        self._runs.move(run, "Running", properties={**run.properties, **_properties(sweep)})
        going, late, inner = _Going(sweep, run.name), threading.Event(), stop.below()

        def end() -> None:
            late.set()
            inner.ask()

        timer = self._clock.after(sweep.timeout, end) if sweep.timeout else None
        threads = []
        with going.changed:
            while True:
                self._judge(run, sweep, going)
                while not inner.asked.is_set() and (trial := going.next(inner)) is not None:
                    thread = threading.Thread(target=self._try, args=(run, sweep, trial, going), daemon=True)
                    threads.append(thread)
                    thread.start()
                if not going.running:
                    break
                going.changed.wait(_LOOK if sweep.policy else None)
        for thread in threads:
            thread.join()
        if timer is not None:
            timer.cancel()
        self._end(run, sweep, going, late=late.is_set(), stopped=inner.asked.is_set())

    def _try(self, run: Run, sweep: Sweep, trial: _Trial, going: _Going) -> None:
        status = "Failed"
        try:
            made = self._child(run, trial)
            self._runs.create(made)
            task = replace(
                sweep.task,
                command=substituted(sweep.task.command, trial.value),
                inputs={**sweep.task.inputs, **trial.inputs(sweep.task.inputs)},
            )
            status = self._executor.execute(made, task, trial.stop)
        finally:
            with going.changed:
                going.ended(trial, status, self._score(run, sweep, trial))
                going.changed.notify_all()

    def _child(self, run: Run, trial: _Trial) -> Run:
        name = f"{run.name}_{trial.number}"
        return replace(
            run,
            name=name,
            uuid=str(uuid4()),
            display_name=name,
            description=None,
            created=self._runs.now(),
            number=self._runs.next_number(),
            status="Starting",
            job=_definition(run, name, trial),
            run_type="azureml.scriptrun",
            parent=run.name,
            root=run.root or run.name,
            tags={"hyperparameters": json.dumps(trial.point), "_aml_system_hyperparameters": json.dumps(trial.point)},
            properties={
                "azureml.runsource": "hyperdrive",
                "platform": "AML",
                "_azureml.ComputeTargetType": "amlctrain",
                "_azureml.ClusterName": run.compute,
            },
            started="",
            ended="",
            error="",
            outputs={},
            revision=1,
        )

    def _values(self, run: Run, sweep: Sweep, trial: _Trial) -> list[float]:
        """Return what a trial has logged, so that more is better."""
        logged = self._measures.history(run.workspace, f"{run.name}_{trial.number}", sweep.metric)
        return [-one.value if sweep.minimizes else one.value for one in logged]

    def _score(self, run: Run, sweep: Sweep, trial: _Trial) -> float | None:
        return max(self._values(run, sweep, trial), default=None)

    def _judge(self, run: Run, sweep: Sweep, going: _Going) -> None:
        """End trials that the policy ends."""
        if sweep.policy is None:
            return
        logged = {trial.name: self._values(run, sweep, trial) for trial in going.begun}
        for trial in going.running:
            if logged[trial.name] and sweep.policy.ends(trial.name, logged):
                trial.stop.ask()

    def _end(self, run: Run, sweep: Sweep, going: _Going, *, late: bool, stopped: bool) -> None:
        told: dict[str, str] = {}
        outputs: Mapping[str, Mapping[str, str]] = {}
        scored = [trial for trial in going.begun if trial.score is not None]
        if scored:
            best = max(scored, key=lambda trial: (trial.score, -trial.number))
            name = f"{run.name}_{best.number}"
            score = best.score if best.score is not None else 0.0
            told = {
                "score": str(-score if sweep.minimizes else score),
                "best_child_run_id": name,
                "best_metric_status": "Succeeded",
                "best_data_container_id": f"dcid.{name}",
            }
            found = self._runs.get(run.workspace, name)
            outputs = found.outputs if found is not None else {}
        known = self._runs.get(run.workspace, run.name) or run
        more: dict[str, Any] = {"properties": {**known.properties, **told}, "outputs": outputs}
        if stopped:
            error = f"The sweep ran longer than its timeout of {sweep.timeout}." if late else ""
            self._runs.move(run, "Canceled", error=error, **more)
        elif going.begun and all(trial.status == "Failed" for trial in going.begun):
            last = self._runs.get(run.workspace, f"{run.name}_{going.begun[-1].number}")
            error = f"All trials of the sweep have failed. The last one: {last.error if last else ''}"
            self._runs.move(run, "Failed", error=error, **more)
        else:
            self._runs.move(run, "Completed", **more)


@dataclass(kw_only=True, eq=False)
class _Trial:
    number: int
    point: Point
    stop: Stop
    status: str = ""
    score: float | None = None
    """More is better."""

    @property
    def name(self) -> str:
        return str(self.number)

    def value(self, expression: str) -> str:
        """Return what stands for an expression: what is none of the search space stays as it is."""
        name = expression.removeprefix(_PLACE)
        if name == expression or name not in self.point:
            return f"${{{{{expression}}}}}"
        return str(self.point[name])

    def inputs(self, declared: Iterable[str]) -> dict[str, Value]:
        """Return those of the declared inputs that are parameters: a component's trial has them so."""
        return {name: Value(kind="literal", text=str(self.point[name])) for name in declared if name in self.point}


class _Going:
    """How far a sweep is."""

    def __init__(self, sweep: Sweep, name: str) -> None:
        self._sweep = sweep
        self._sampler = sampler_of(sweep.sampling, sweep.space, name=name)
        self.changed = threading.Condition()
        self.begun: list[_Trial] = []
        self.running: list[_Trial] = []

    def next(self, stop: Stop) -> _Trial | None:
        """Begin the next trial; None when there is none, or as many go on as may."""
        if len(self.begun) >= self._sweep.trials or len(self.running) >= self._sweep.at_once:
            return None
        point = self._sampler.next([(one.point, one.score) for one in self.begun if one.status])
        if point is None:
            return None
        trial = _Trial(number=len(self.begun), point=point, stop=stop.below())
        self.begun.append(trial)
        self.running.append(trial)
        return trial

    def ended(self, trial: _Trial, status: str, score: float | None) -> None:
        """Note how a trial ended."""
        self.running.remove(trial)
        trial.status, trial.score = status, score


def _definition(run: Run, name: str, trial: _Trial) -> Mapping[str, Any] | None:
    """Return the command job that a trial is; of a step's trial there is none."""
    if run.job is None:
        return None
    command = substituted(str(run.job["trial"]["command"]), trial.value)
    of_sweep = {field: run.job[field] for field in ("computeId", "identity", "inputs", "outputs", "queueSettings")}
    given = {**run.job["trial"], **of_sweep, "jobType": "Command", "command": command}
    return definition(
        {**given, "outputs": {key: one for key, one in given["outputs"].items() if key != "default"}}, name
    )


def _properties(sweep: Sweep) -> dict[str, str]:
    goal = "minimize" if sweep.minimizes else "maximize"
    return {
        "primary_metric_config": json.dumps({"name": sweep.metric, "goal": goal}, separators=(",", ":")),
        "resume_from": "null",
        "runTemplate": "HyperDrive",
        "azureml.runsource": "hyperdrive",
        "platform": "AML",
    }
