"""Pipelines: steps side by side as soon as what they need is there, and results that are used again.

Fields of steps' runs follow recorded traffic of the real service (azure-sdk-assets, azure-ai-ml 1.32, 2026-02): a
pipeline goes on when a step fails unless it says otherwise, and its steps are runs that no job stands for.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any, Final
from uuid import uuid4

from cloudmlops.emulators.azure.arm.world import World
from cloudmlops.emulators.azure.jobs.execution import Executor
from cloudmlops.emulators.azure.jobs.graphs import Graph, Step, bound_task, graph_of
from cloudmlops.emulators.azure.jobs.runs import TERMINAL, Run, Runs
from cloudmlops.emulators.azure.jobs.stopping import Stop
from cloudmlops.emulators.azure.jobs.sweeps import Sweeps
from cloudmlops.emulators.azure.jobs.tasks import Task, Value
from cloudmlops.emulators.azure.ml.default_datastores import BLOB_STORE
from cloudmlops.emulators.core.faults import Refused

STEP: Final = "azureml.StepRun"
PIPELINE: Final = "azureml.PipelineRun"
LOG_NAME: Final = "logs/azureml/executionlogs.txt"
"""Of a pipeline: which steps have begun and ended."""


class Pipelines:
    """Carries pipelines out."""

    def __init__(self, world: World, runs: Runs, executor: Executor, sweeps: Sweeps) -> None:
        self._world = world
        self._runs = runs
        self._executor = executor
        self._sweeps = sweeps
        self._known = world.surroundings.state.table("ml_reusable_steps")

    def read(self, workspace: str, job: Mapping[str, Any]) -> Graph:  # noqa: ARG002 ids of components are whole
        """Read a pipeline job.

        Raises:
            Refused: It is malformed, or wants what is not emulated.
        """
        return graph_of(job, self._world.resources, self._executor.images)

    def carry_out(self, run: Run, graph: Graph, stop: Stop) -> None:
        """Carry a pipeline out to its end, and tell of it in its run."""
        self._runs.move(run, "Running", properties={**run.properties, **_properties(run, graph)})
        going = _Going(graph)
        threads = []
        with going.changed:
            while (ready := going.ready(stopped=stop.asked.is_set())) or going.running:
                for name in ready:
                    going.running.add(name)
                    thread = threading.Thread(
                        target=self._step, args=(run, graph.steps[name], going, stop), name=f"step-{name}", daemon=True
                    )
                    threads.append(thread)
                    thread.start()
                going.changed.wait()
        for thread in threads:
            thread.join()
        self._end(run, graph, going, stop)

    def _step(self, pipeline: Run, step: Step, going: _Going, stop: Stop) -> None:
        status, name = "Failed", str(uuid4())
        outputs: Mapping[str, Mapping[str, str]] = {}
        try:
            self._executor.say(pipeline, LOG_NAME, f"Submitting 1 runs, first five are: {step.name}:{name}")
            status, outputs = self._carried(pipeline, self._child(pipeline, step, name), step, going, stop)
            self._executor.say(pipeline, LOG_NAME, f"Completing processing run id {name}.")
        finally:
            with going.changed:
                going.ended(step.name, status, outputs)
                going.changed.notify_all()
            if status == "Failed" and not going.graph.goes_on:
                stop.ask()

    def _carried(
        self, pipeline: Run, run: Run, step: Step, going: _Going, stop: Stop
    ) -> tuple[str, Mapping[str, Mapping[str, str]]]:
        try:
            with going.changed:
                task = bound_task(step, going.graph, going.results)
            if step.graph is not None:
                return self._nested(run, step.graph, task, going.graph, stop.below())
            digest = self._digest(pipeline.workspace, step, task)
            reused = (
                self._reusable(pipeline.workspace, digest) if step.deterministic and not going.graph.rerun else None
            )
        except Refused as refused:
            self._runs.create(run)
            self._runs.move(run, "Failed", error=refused.message)
            return "Failed", {}
        if reused is not None:
            self._runs.create(replace(run, properties={**run.properties, **_reuse(reused)}))
            self._runs.move(run, "Completed", outputs=reused.outputs, started=reused.started)
            return "Completed", reused.outputs
        self._runs.create(run)
        self._execute(run, step, _placed(run, task, going.graph.datastore), stop.below())
        ended = self._runs.get(run.workspace, run.name) or run
        status = ended.status
        if status == "Completed" and not self._world.surroundings.clock.stopped:
            self._known.put(digest, run.name.encode())
        return status, ended.outputs

    def _execute(self, run: Run, step: Step, task: Task, stop: Stop) -> None:
        if step.sweep is not None:
            self._sweeps.carry_out(run, replace(step.sweep, task=replace(task, timeout=step.sweep.task.timeout)), stop)
        else:
            self._executor.execute(run, task, stop)

    def _nested(
        self, run: Run, graph: Graph, task: Task, within: Graph, stop: Stop
    ) -> tuple[str, Mapping[str, Mapping[str, str]]]:
        """Carry out a step that is a pipeline, in the way of the pipeline that it is in."""
        self._runs.create(run)
        inner = replace(
            graph,
            inputs={name: value for name, value in task.inputs.items() if value is not None},
            outputs=task.outputs,
            goes_on=within.goes_on,
            rerun=within.rerun,
            datastore=within.datastore,
        )
        self.carry_out(run, inner, stop)
        ended = self._runs.get(run.workspace, run.name) or run
        return ended.status, ended.outputs

    def _child(self, pipeline: Run, step: Step, name: str) -> Run:
        node = hashlib.sha256(f"{pipeline.name}/{step.name}".encode()).hexdigest()[:8]
        compute = step.compute or pipeline.compute
        return Run(
            workspace=pipeline.workspace,
            name=name,
            experiment=pipeline.experiment,
            display_name=step.name,
            created=self._runs.now(),
            by=pipeline.by,
            status="NotStarted",
            job=None,
            number=self._runs.next_number(),
            run_type=PIPELINE if step.graph is not None else STEP,
            parent=pipeline.name,
            root=pipeline.root or pipeline.name,
            tags={"azureml.nodeid": node, "azureml.pipeline": pipeline.name},
            properties={
                "azureml.DevPlatv2": "true",
                "azureml.DatasetAccessMode": "Asset",
                "StepType": "PythonScriptStep",
                "ComputeTargetType": "AmlCompute",
                "azureml.moduleid": step.component.rpartition("/")[2],
                "azureml.moduleFamilyId": "0",
                "azureml.moduleName": step.component_name,
                "azureml.moduleVersion": "1",
                "azureml.runsource": STEP,
                "azureml.nodeid": node,
                "azureml.pipelinerunid": pipeline.name,
                "azureml.pipeline": pipeline.name,
                "azureml.rootpipelinerunid": pipeline.root or pipeline.name,
                "azureml.pipelineComponent": "masterescloud",
                "_azureml.ComputeTargetType": "amlctrain",
                "_azureml.ClusterName": compute,
            },
            component=step.component_name,
            compute=compute,
        )

    def _digest(self, workspace: str, step: Step, task: Task) -> str:
        inputs = {name: asdict(value) if value else None for name, value in task.inputs.items()}
        content = {"component": step.content, "inputs": inputs, "variables": dict(task.variables)}
        text = json.dumps(content, sort_keys=True)
        return f"{workspace.lower()}/{hashlib.sha256(text.encode()).hexdigest()}"

    def _reusable(self, workspace: str, digest: str) -> Run | None:
        name = self._known.get(digest)
        found = self._runs.get(workspace, name.decode()) if name is not None else None
        return found if found is not None and found.status == "Completed" else None

    def _end(self, run: Run, graph: Graph, going: _Going, stop: Stop) -> None:
        failed = sorted(name for name, status in going.statuses.items() if status == "Failed")
        outputs = {
            target: going.outputs[name][key]
            for name, step in graph.steps.items()
            for key, target in step.bound.items()
            if key in going.outputs.get(name, {})
        }
        if failed:
            nodes = ", ".join(f"/{name}" for name in failed)
            self._runs.move(
                run,
                "Failed",
                outputs=outputs,
                error=f"Pipeline has failed child jobs. Failed nodes: {nodes}. For more details and logs, please go to "
                "the job detail page and check the child jobs.",
            )
        elif stop.asked.is_set() or any(status not in TERMINAL[:1] for status in going.statuses.values()):
            self._runs.move(run, "Canceled", outputs=outputs)
        else:
            self._runs.move(run, "Completed", outputs=outputs)


class _Going:
    """How far a pipeline is."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.changed = threading.Condition()
        self.running: set[str] = set()
        self.statuses: dict[str, str] = {}
        self.outputs: dict[str, Mapping[str, Mapping[str, str]]] = {}
        self.results: dict[str, dict[str, Value]] = {}

    def ready(self, *, stopped: bool) -> list[str]:
        """Return the steps that can go now."""
        if stopped or (not self.graph.goes_on and "Failed" in self.statuses.values()):
            return []
        return [
            name
            for name, step in self.graph.steps.items()
            if name not in self.running
            and name not in self.statuses
            and all(self.statuses.get(needed) == "Completed" for needed in step.needs)
        ]

    def ended(self, name: str, status: str, outputs: Mapping[str, Mapping[str, str]]) -> None:
        """Note how a step ended."""
        self.running.discard(name)
        self.statuses[name] = status
        self.outputs[name] = outputs
        self.results[name] = {key: Value(kind=one["type"], text=one["uri"]) for key, one in outputs.items()}


def _placed(run: Run, task: Task, datastore: str) -> Task:
    """Return a task whose outputs have places: in a pipeline's own datastore, if it has one."""
    if not datastore or datastore == BLOB_STORE:
        return task
    outputs = {}
    for name, output in task.outputs.items():
        end = name if output.kind == "uri_file" else f"{name}/"
        uri = output.uri or f"azureml://datastores/{datastore}/paths/azureml/{run.name}/{end}"
        outputs[name] = replace(output, uri=uri)
    return replace(task, outputs=outputs)


def _reuse(reused: Run) -> dict[str, str]:
    return {
        "azureml.isreused": "true",
        "azureml.reusedrunid": reused.name,
        "azureml.reusednodeid": str(reused.properties["azureml.nodeid"]),
        "azureml.reusedpipeline": str(reused.properties["azureml.pipeline"]),
        "azureml.reusedpipelinerunid": str(reused.properties["azureml.pipelinerunid"]),
    }


def _properties(run: Run, graph: Graph) -> dict[str, str]:
    literals = {name: value.text for name, value in graph.inputs.items() if value.literal}
    return {
        "azureml.DevPlatv2": "true",
        "azureml.DatasetAccessMode": "Asset",
        "azureml.runsource": PIPELINE,
        "runSource": "MFE",
        "runType": "HTTP",
        "azureml.parameters": json.dumps(literals),
        "azureml.continue_on_step_failure": str(graph.goes_on),
        "azureml.continue_on_failed_optional_input": "True",
        "azureml.enforceRerun": str(graph.rerun),
        "azureml.defaultComputeName": run.compute,
        "azureml.defaultDataStoreName": graph.datastore or BLOB_STORE,
        "azureml.pipelineComponent": "pipelinerun",
    }
