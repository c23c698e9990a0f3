"""What a user does with pipelines; the port does the provider's part."""

from __future__ import annotations

import secrets
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, cast

from cloudmlops.domain.capabilities import Capability
from cloudmlops.domain.compiled import AzureMLSpec, KfpSpec, azureml_graph, compiled_graph
from cloudmlops.domain.events import Event, RunCompleted, RunFailed
from cloudmlops.domain.graph import Graph
from cloudmlops.domain.installed import packages_digest
from cloudmlops.domain.lineage import Lineage
from cloudmlops.domain.names import name_faults
from cloudmlops.domain.pipelines import Pipeline
from cloudmlops.domain.runs import (
    OutputRecord,
    RunMode,
    RunRecord,
    RunRequest,
    RunState,
    StepRecord,
    step_inputs,
    step_key,
)
from cloudmlops.domain.schedules import Schedule
from cloudmlops.domain.source import is_importing_steps
from cloudmlops.domain.value_types import decode
from cloudmlops.errors import InvalidRequestError, PermissionDeniedError, RunFailedError, WaitTimeoutError
from cloudmlops.ports.pipelines import PipelinesPort
from cloudmlops.services import provenance
from cloudmlops.services.context import ServiceContext
from cloudmlops.services.effects import effect_key
from cloudmlops.services.schedules import check_schedule
from cloudmlops.services.telemetry import span

Runnable = Pipeline[..., Any] | Graph
_AnyPipeline = Runnable | KfpSpec | AzureMLSpec


class Pipelines:
    """Runs of step graphs."""

    def __init__(self, context: ServiceContext) -> None:
        self._context = context

    def run(
        self,
        pipeline: _AnyPipeline,
        parameters: Mapping[str, object] | None = None,
        *,
        wait: bool = False,
        id: str | None = None,  # noqa: A002 what it is called everywhere else
        in_process: bool = False,
        cache: bool = True,
        progress: bool = False,
    ) -> Run:
        """Start a run.

        Args:
            pipeline: A function decorated with `@pipeline`, a graph, or a pipeline in a cloud's own words: what
                Kubeflow's compiler wrote (`KfpSpec`), or a YAML of Azure ML (`AzureMLSpec`).
            parameters: By name; those with a default may be missing.
            wait: Return when it has succeeded, and raise `RunFailedError` when it has not. The run then lives and ends
                with this process; without it, the run outlives this process.
            id: The same id again is the same run. By default each call makes a new one.
            in_process: Call the steps here, one after another, for a debugger; timeouts are not enforced then.
            cache: Whether earlier successes may stand for steps.
            progress: Show the steps while waiting.

        Raises:
            InvalidPipelineError: Lists all faults, before anything is read or written.
            InvalidRequestError: The id cannot be one, or a module starts the run while it is imported for its steps.
            ConflictError: A run of that id has another pipeline or other parameters.
            RunFailedError: Waited for, and it failed or was cancelled.
        """
        graph, written = _written(pipeline, parameters)
        if is_importing_steps():
            raise InvalidRequestError(
                f"a run of pipeline {graph.name!r} was started while its module was imported for a step",
                hint='Start runs in the script below `if __name__ == "__main__":`, which an import passes over.',
            )
        with span("pipelines.run", pipeline=graph.name):
            run = id or _fresh_id(graph.name)
            if faults := name_faults("run", run):
                raise InvalidRequestError(f"a run cannot be called {run!r}", faults=faults)
            mode = RunMode.IN_PROCESS if in_process else RunMode.ATTACHED if wait else RunMode.DETACHED
            request = self._request(run, graph, at=self._context.backends.clock.now(), cache=cache, written=written)
            started = Run(self._context, self._port.submit(request, mode))
            return started.wait(progress=progress) if wait or in_process else started

    def plan(self, pipeline: Runnable, parameters: Mapping[str, object] | None = None) -> Plan:
        """Say what a run would do: which steps would run, and which the cache knows. Nothing is started."""
        graph = _graph(pipeline, parameters)
        with span("pipelines.plan", pipeline=graph.name):
            source = provenance.source_snapshot(graph.functions.values())
            packages = packages_digest()
            done: dict[str, Mapping[str, OutputRecord]] = {}
            for step in graph.order:
                if not step.options.cache or not step.upstream <= done.keys():
                    continue
                key = step_key(step, step_inputs(step, done), source=source.digest, packages=packages)
                if (hit := self._port.cached([key]).get(key)) is not None:
                    done[step.name] = hit
        steps = tuple(
            PlannedStep(name=s.name, cached=s.name in done, needs=tuple(sorted(s.upstream))) for s in graph.order
        )
        return Plan(pipeline=graph.name, steps=steps)

    def get(self, id: str) -> Run:  # noqa: A002 what it is called everywhere else
        """Return a run; `NotFoundError` when there is none."""
        with span("pipelines.get", run=id):
            return Run(self._context, _announced(self._context, self._port.get(id)))

    def list(self, pipeline: str | None = None, *, limit: int = 50) -> list[Run]:
        """Return runs, the newest first, of all pipelines or of one."""
        with span("pipelines.list", pipeline=pipeline):
            records = self._port.list(pipeline, limit)
            return [Run(self._context, _announced(self._context, record)) for record in records]

    def schedule(
        self,
        pipeline: _AnyPipeline,
        *,
        name: str,
        cron: str,
        timezone: str = "UTC",
        parameters: Mapping[str, object] | None = None,
        cache: bool = False,
    ) -> Schedule:
        """Run a pipeline at times, with the source and the parameters of now; the same name again replaces it.

        Args:
            pipeline: As for `run`.
            name: Of the schedule; its runs are called `NAME-TIME`.
            cron: Minute, hour, day of month, month, day of week.
            timezone: In which `cron` is read, such as `Europe/Zurich`.
            parameters: As for `run`.
            cache: Whether earlier successes may stand for steps. With the same parameters each time they would stand
                for all, also for those that read what has changed since.

        Raises:
            InvalidPipelineError: Lists all faults of the pipeline.
            InvalidRequestError: The name, the expression or the time zone is wrong.
        """
        graph, written = _written(pipeline, parameters)
        with span("pipelines.schedule", pipeline=graph.name, schedule=name):
            if faults := name_faults("schedule", name) or name_faults("schedule", f"{name}-yyyymmddthhmmssz"):
                raise InvalidRequestError(f"a schedule cannot be called {name!r}", faults=faults)
            kept = Schedule(
                name=name,
                pipeline=graph.name,
                cron=cron,
                timezone=timezone,
                parameters=graph.parameters,
                created_at=self._context.backends.clock.now(),
            )
            check_schedule(kept)
            request = self._request(name, graph, at=kept.created_at, cache=cache, written=written)
            self._port.schedule(kept, request)
        return kept

    def schedules(self) -> Sequence[Schedule]:
        """Return all schedules, by name."""
        with span("pipelines.schedules"):
            return self._port.schedules()

    def unschedule(self, name: str) -> None:
        """Remove a schedule; its runs stay. `NotFoundError` when there is none."""
        with span("pipelines.unschedule", schedule=name):
            self._port.unschedule(name)

    def run_schedules(
        self,
        *,
        wait: bool = False,
        stop: threading.Event | None = None,
        started: Callable[[], None] = lambda: None,
    ) -> None:
        """Start runs at their times until `stop` is set, where the provider does not do so by itself.

        Args:
            wait: When another process is at it, wait to take its place.
            stop: None is for ever.
            started: Called when this process is the one at it.

        Raises:
            ConflictError: Another process is at it; the message says which.
        """
        with span("pipelines.run_schedules"):
            self._port.run_schedules(stop or threading.Event(), wait=wait, started=started)

    @property
    def _port(self) -> PipelinesPort:
        return self._context.backends.pipelines

    def _request(self, run: str, graph: Graph, *, at: datetime, cache: bool, written: Mapping[str, str]) -> RunRequest:
        if any(step.options.resources.distribution for step in graph.steps):
            self._context.backends.capabilities.require(Capability.DISTRIBUTED_STEPS)
        source = provenance.source_snapshot(graph.functions.values())
        provenance.keep_snapshot(self._context.backends.objects, source)
        return RunRequest(
            id=run,
            graph=graph,
            source=source,
            lineage=provenance.lineage(source, graph.parameters, actor=self._context.actor, at=at),
            packages_digest=packages_digest(),
            cache=cache,
            announce=(sys.executable, "-m", "cloudmlops.cli.announcing", self._context.backends.target),
            **cast("Any", written),
        )


class Run:
    """A handle of one run; it asks the platform each time, and works from any process."""

    def __init__(self, context: ServiceContext, record: RunRecord) -> None:
        self._context = context
        self._known = record

    @property
    def id(self) -> str:
        """Unique on the platform."""
        return self._known.id

    @property
    def pipeline(self) -> str:
        """The pipeline's name."""
        return self._known.pipeline

    @property
    def record(self) -> RunRecord:
        """All that is known of the run now."""
        if not self._known.state.ended or self._known.state is RunState.INTERRUPTED:
            self._known = self._port.get(self.id)
        return self._known

    @property
    def status(self) -> RunState:
        """Where the run stands now."""
        return self.record.state

    @property
    def steps(self) -> Mapping[str, StepRecord]:
        """Where each step stands now, by name, in the order in which they may run."""
        return self.record.steps

    @property
    def lineage(self) -> Lineage:
        """What the run is made from; with the digests of what its steps have taken so far."""
        record = self.record
        digests = {
            f"{step.name}.{name}": record.steps[ref.step].outputs[ref.output].digest
            for step in record.graph.steps
            for name, ref in step.inputs.items()
            if record.steps[ref.step].state.succeeded
        }
        return replace(record.lineage, input_digests=digests)

    @property
    def created_at(self) -> datetime:
        """When it was submitted; time-zone aware, UTC."""
        return self._known.created_at

    @property
    def outputs(self) -> Mapping[str, Any]:
        """What the pipeline returned, by name: parameters as values, artifacts as handles.

        Raises:
            RunFailedError: The run has not succeeded.
        """
        record = self.record
        if record.state is not RunState.SUCCEEDED:
            raise RunFailedError(
                f"run {self.id!r} of pipeline {self.pipeline!r} has no outputs: it is {record.state}",
                hint="Wait for it, or resume it." if record.state is not RunState.FAILED else _hint(record),
                run=self,
            )
        return {name: self._value(record, ref.step, ref.output) for name, ref in record.graph.outputs.items()}

    def output(self, step: str, name: str = "output") -> Any:
        """Return one output of a succeeded step, whether the pipeline returns it or not."""
        return self._value(self.record, step, name)

    @property
    def metrics(self) -> Mapping[str, Mapping[str, object]]:
        """What steps logged as metrics through MLflow, by step and name."""
        return {name: step.logged["metrics"] for name, step in self.steps.items() if step.logged.get("metrics")}

    def wait(self, timeout: timedelta | None = None, *, progress: bool = False) -> Run:
        """Return when the run has succeeded.

        Args:
            timeout: How long to wait; None is for ever. The run goes on when the time is over.
            progress: Show meanwhile where the steps stand, on standard error.

        Raises:
            RunFailedError: It failed, was cancelled, or was interrupted.
            WaitTimeoutError: It goes on, but we stopped waiting.
        """
        with span("pipelines.wait", run=self.id):
            if progress:
                from cloudmlops.services.waiting import wait_and_show

                record = wait_and_show(self._port, self.id, timeout)
            else:
                record = self._port.wait(self.id, timeout)
            self._known = _announced(self._context, record)
        if not record.state.ended:
            raise WaitTimeoutError(
                f"run {self.id!r} is still {record.state} after {timeout}", hint="It goes on; wait again, or cancel it."
            )
        if record.state is not RunState.SUCCEEDED:
            raise RunFailedError(_failure(record), hint=_hint(record), run=self)
        return self

    def logs(self, step: str, *, attempt: int | None = None) -> str:
        """Return all that a step printed, in its last attempt or a given one."""
        with span("pipelines.logs", run=self.id, step=step):
            return self._port.log(self.id, step, attempt)

    def follow(self, step: str) -> Iterator[str]:
        """Yield what a step prints, line by line, as it comes, until the step or the run has ended.

        It begins with the attempt that the step is in, and waits for one that has not begun. `NotFoundError`, at once,
        when the run has no such step.
        """
        from cloudmlops.services.following import follow_log

        self.logs(step)
        return follow_log(self._port, self.id, step, self._context.backends.clock)

    def cancel(self) -> Run:
        """End the run: its steps are killed. What has ended already stays as it is."""
        with span("pipelines.cancel", run=self.id):
            self._port.cancel(self.id)
            self._known = self._port.get(self.id)
        return self

    def resume(self, *, wait: bool = False, progress: bool = False) -> Run:
        """Go on with a run that failed, was interrupted or was cancelled; what succeeded does not run again.

        The run goes on with the source that it began with: when the files have changed since, with its snapshot.

        Raises:
            ConflictError: It is going on, or has succeeded.
        """
        with span("pipelines.resume", run=self.id):
            self._known = self._port.resume(self.id, RunMode.ATTACHED if wait else RunMode.DETACHED)
        return self.wait(progress=progress) if wait else self

    def _value(self, record: RunRecord, step: str, output: str) -> Any:
        """Return an output as a value or a handle."""
        from cloudmlops.materializers.artifacts import handle

        found = record.steps[step].outputs[output]
        kind = record.graph.by_name[step].outputs[output]
        return handle(self._port.readable(found)) if kind.kind.is_artifact else decode(found.value, kind)

    @property
    def _port(self) -> PipelinesPort:
        return self._context.backends.pipelines

    def __repr__(self) -> str:
        return f"Run({self.id!r}, pipeline={self.pipeline!r}, {self._known.state})"


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedStep:
    """What a run would do about one step."""

    name: str
    cached: bool
    """Whether an earlier success would stand for it; False also when that depends on a step that must run."""
    needs: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What a run would do."""

    pipeline: str
    steps: tuple[PlannedStep, ...]

    @property
    def to_run(self) -> tuple[str, ...]:
        """The steps that would run."""
        return tuple(step.name for step in self.steps if not step.cached)


def _graph(pipeline: Runnable, parameters: Mapping[str, object] | None) -> Graph:
    if isinstance(pipeline, Graph):
        if parameters:
            raise InvalidRequestError("a graph has its parameters filled in", hint="Give a @pipeline function instead.")
        pipeline.check()
        return pipeline
    if not isinstance(pipeline, Pipeline):
        raise InvalidRequestError(
            f"this is no pipeline but a {type(pipeline).__name__}",
            hint="Decorate a function that calls steps: @pipeline.",
        )
    return pipeline.graph(parameters)


def _written(pipeline: _AnyPipeline, parameters: Mapping[str, object] | None) -> tuple[Graph, Mapping[str, str]]:
    """Return a pipeline's graph, and of one in a cloud's own words what a request says of it."""
    if not isinstance(pipeline, KfpSpec | AzureMLSpec):
        return _graph(pipeline, parameters), {}
    import json
    from pathlib import Path

    import yaml  # here, because hardly anybody needs it

    path = Path(pipeline.path).absolute()
    try:
        content: Any = next(yaml.safe_load_all(path.read_text(encoding="utf-8")), None)
    except (OSError, yaml.YAMLError) as error:
        raise InvalidRequestError(f"{pipeline.path} cannot be read: {error}") from error
    if isinstance(pipeline, KfpSpec):
        graph, provider = compiled_graph(content, parameters or {}), "vertex"
    else:
        graph, provider = azureml_graph(content, parameters or {}, file=path.name), "azureml"
    return graph, {
        "compiled": json.dumps(content, default=str),
        "written_for": provider,
        "written_in": str(path.parent),
    }


def _fresh_id(pipeline: str) -> str:
    # Inside an event handler the same event again means the same run.
    return f"{pipeline[:30]}-{effect_key('pipelines.run') or secrets.token_hex(6)}"


def _announced(context: ServiceContext, record: RunRecord) -> RunRecord:
    """Publish the run's end if that has not been done; twice is once, for the event has the same meaning.

    Who may only read is told of the run all the same: whoever looks next, and may, publishes it.
    """
    if record.announced or (event := _event(context, record)) is None:
        return record
    try:
        context.publish(event)
        context.backends.pipelines.announced(record.id)
    except PermissionDeniedError:
        return record
    return replace(record, announced=True)


def _event(context: ServiceContext, record: RunRecord) -> Event | None:
    platform, at = context.backends.address, record.ended_at or record.created_at
    if record.state is RunState.SUCCEEDED:
        return RunCompleted(platform=platform, time=at, pipeline=record.pipeline, run=record.id)
    if record.state is RunState.FAILED and (step := record.failed_step) is not None:
        return RunFailed(
            platform=platform,
            time=at,
            pipeline=record.pipeline,
            run=record.id,
            step=step.name,
            error=step.error,
            attempt=record.attempt,
        )
    return None


def _failure(record: RunRecord) -> str:
    what = f"run {record.id!r} of pipeline {record.pipeline!r}"
    if (step := record.failed_step) is not None:
        return f"{what} failed in step {step.name!r}: {step.error}"
    return f"{what} was {record.state}" + (f": {record.error}" if record.error else "")


def _hint(record: RunRecord) -> str:
    if (step := record.failed_step) is not None:
        return (
            f"Read its log: cloudmlops logs {record.id} {step.name}. "
            f"What succeeded is kept: cloudmlops runs resume {record.id}."
        )
    return f"What succeeded is kept: cloudmlops runs resume {record.id}."
