"""Tasks in their order: conditions, loops, exit handlers, nested DAGs, failure policies."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any, Final

from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.google.aiplatform.pipelines.containers import Cancelled, Failed, Stop
from cloudmlops.emulators.google.aiplatform.pipelines.expressions import evaluate
from cloudmlops.emulators.google.aiplatform.pipelines.progress import Progress
from cloudmlops.emulators.google.aiplatform.pipelines.spec import (
    EVEN_AFTER_FAILURE,
    PipelineSpec,
    upstream,
    with_defaults,
)
from cloudmlops.emulators.google.aiplatform.pipelines.task_inputs import resolved_inputs
from cloudmlops.emulators.google.aiplatform.pipelines.values import Json, Values

_log: Final = logging.getLogger("cloudmlops.emulators")


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a task ended."""

    state: str
    """`SUCCEEDED`, `SKIPPED` (the cache knew it), `FAILED`, `CANCELLED` or `NOT_TRIGGERED`."""
    outputs: Values = field(default_factory=Values)
    error: str = ""

    @property
    def succeeded(self) -> bool:
        """Whether its outputs are there."""
        return self.state in ("SUCCEEDED", "SKIPPED")


Leaf = Callable[[str, Json, Json, Values, int], Ended]
"""Runs a task that is no DAG: name, task, component, inputs, id in the job's details."""


@dataclass(kw_only=True)
class Course:
    """What all DAGs of one job share."""

    spec: PipelineSpec
    progress: Progress
    stop: Stop
    leaf: Leaf
    facts: Mapping[str, str]
    fail_fast: bool
    failed: bool = False


class Dag:
    """One DAG with its inputs."""

    def __init__(self, course: Course, name: str, dag: Json, inputs: Values, place: int) -> None:
        self._course = course
        self._name = name
        self._tasks: Mapping[str, Json] = dag["tasks"]
        self._outputs: Json = dag.get("outputs", {})
        self._inputs = inputs
        self._place = place
        self._done: dict[str, Ended] = {}

    def run(self) -> Ended:
        """Run all tasks that can be; return when the last has ended."""
        waiting = dict(self._tasks)
        running: set[str] = set()
        ended: SimpleQueue[tuple[str, Ended]] = SimpleQueue()
        while waiting or running:
            for name in [name for name, task in waiting.items() if upstream(task) <= self._done.keys()]:
                task = waiting.pop(name)
                running.add(name)
                if self._blocked(task):
                    ended.put((name, self._not_triggered(name)))
                    continue
                act = threading.Thread(
                    target=lambda name=name, task=task: ended.put((name, self._task(name, task))),
                    name=f"pipeline-{name}",
                    daemon=True,
                )
                act.start()
            name, result = ended.get()
            running.discard(name)
            self._done[name] = result
            if result.state == "FAILED":
                self._course.failed = True
        return self._result()

    def _result(self) -> Ended:
        states = {ended.state for ended in self._done.values()}
        if "CANCELLED" in states or self._course.stop.asked.is_set():
            return Ended(state="CANCELLED")
        if failed := [name for name, ended in self._done.items() if ended.state == "FAILED"]:
            listed = ", ".join(failed)
            return Ended(
                state="FAILED",
                error=f"The DAG failed because some tasks failed. The failed tasks are: [{listed}].",
            )
        try:
            return Ended(state="SUCCEEDED", outputs=self._left())
        except Refused as refused:
            return Ended(state="FAILED", error=refused.message)

    def _blocked(self, task: Json) -> bool:
        if self._course.stop.asked.is_set():
            return True
        if task.get("triggerPolicy", {}).get("strategy") == EVEN_AFTER_FAILURE:
            return False
        if self._course.fail_fast and self._course.failed:
            return True
        return any(not self._done[name].succeeded for name in upstream(task))

    def _not_triggered(self, name: str) -> Ended:
        self._course.progress.put(self._course.progress.task(name, self._place), state := self._untouched())
        return Ended(state=state)

    def _untouched(self) -> str:
        return "CANCELLED" if self._course.stop.asked.is_set() else "NOT_TRIGGERED"

    def _task(self, name: str, task: Json) -> Ended:
        place = self._course.progress.task(name, self._place)
        try:
            result = self._act(name, task, place)
        except Refused as refused:
            result = Ended(state="FAILED", error=refused.message)
        except Failed as failure:
            result = Ended(state="FAILED", error=str(failure))
        except Cancelled:
            result = Ended(state="CANCELLED")
        except Exception as error:  # noqa: BLE001 a mistake of the emulator's fails the task, not the emulator
            if not self._course.progress.closed:
                _log.exception("the emulated task %s failed", name)
            result = Ended(state="FAILED", error=f"Internal error: {type(error).__name__}: {error}")
        self._course.progress.put(place, result.state, error=result.error)
        return result

    def _act(self, name: str, task: Json, place: int) -> Ended:
        component = self._course.spec.component(task)
        done = {producer: (ended.state, ended.error, ended.outputs) for producer, ended in self._done.items()}
        inputs = resolved_inputs(task, self._inputs, done, self._course.facts)
        condition = task.get("triggerPolicy", {}).get("condition")
        if condition and not evaluate(condition, {"inputs": {"parameter_values": dict(inputs.parameters)}}):
            return Ended(state="NOT_TRIGGERED")
        iterator = task.get("parameterIterator") or task.get("artifactIterator")
        if iterator is None:
            return self._once(name, task, component, inputs, place)
        self._course.progress.put(place, "RUNNING")
        items = self._items(task, inputs)
        limit = int(task.get("iteratorPolicy", {}).get("parallelismLimit", 0)) or len(items) or 1
        return self._loop(name, task, component, [(item, place) for item in items], limit)

    def _once(self, name: str, task: Json, component: Json, inputs: Values, place: int) -> Ended:
        # kfp's compiler gives a task more than its component takes, where its constants refer to it.
        known = component.get("inputDefinitions", {}).get("parameters", {})
        given = {key: value for key, value in inputs.parameters.items() if key in known}
        parameters = with_defaults(component, given, f"The task {name!r}")
        inputs = Values(parameters=parameters, artifacts=inputs.artifacts)
        self._course.progress.took(place, inputs)
        if "dag" not in component:
            return self._course.leaf(name, task, component, inputs, place)
        self._course.progress.put(place, "RUNNING")
        result = Dag(self._course, name, component["dag"], inputs, place).run()
        self._course.progress.left(place, result.outputs)
        return result

    def _items(self, task: Json, inputs: Values) -> list[Values]:
        if (iterator := task.get("artifactIterator")) is not None:
            listed: list[Any] = list(inputs.artifacts.get(iterator["items"]["inputArtifact"], ()))
            name = iterator["itemInput"]
            return [
                Values(parameters=inputs.parameters, artifacts={**inputs.artifacts, name: [artifact]})
                for artifact in listed
            ]
        iterator = task["parameterIterator"]
        if "raw" in iterator["items"]:
            listed = json.loads(iterator["items"]["raw"])
        else:
            listed = inputs.parameters[iterator["items"]["inputParameter"]]
        if isinstance(listed, str):
            listed = json.loads(listed)
        if not isinstance(listed, list):
            raise Refused("INVALID_ARGUMENT", f"A loop goes over {listed!r}, which is no list.")
        name = iterator["itemInput"]
        return [Values(parameters={**inputs.parameters, name: item}, artifacts=inputs.artifacts) for item in listed]

    def _loop(self, name: str, task: Json, component: Json, items: list[tuple[Values, int]], limit: int) -> Ended:
        results: list[Ended] = [Ended(state="NOT_TRIGGERED") for _ in items]
        free = threading.Semaphore(limit)

        def one(number: int, inputs: Values, parent: int) -> None:
            with free:
                place = self._course.progress.task(f"{name}-{number}", parent)
                try:
                    if self._course.stop.asked.is_set():
                        raise Cancelled
                    results[number] = self._once(f"{name}-{number}", task, component, inputs, place)
                except (Refused, Failed) as failure:
                    results[number] = Ended(state="FAILED", error=str(failure))
                except Cancelled:
                    results[number] = Ended(state="CANCELLED")
                self._course.progress.put(place, results[number].state, error=results[number].error)

        threads = [
            threading.Thread(target=one, args=(number, inputs, parent), name=f"pipeline-{name}-{number}", daemon=True)
            for number, (inputs, parent) in enumerate(items)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        states = {result.state for result in results}
        if "CANCELLED" in states:
            return Ended(state="CANCELLED")
        if "FAILED" in states:
            return Ended(state="FAILED", error=next(result.error for result in results if result.state == "FAILED"))
        return Ended(state="SUCCEEDED", outputs=_collected(component, results))

    def _left(self) -> Values:
        parameters: dict[str, Any] = {}
        for name, chosen in self._outputs.get("parameters", {}).items():
            for place in _selected(chosen):
                found = self._done[place["producerSubtask"]].outputs.parameters
                if place["outputParameterKey"] in found:
                    parameters[name] = found[place["outputParameterKey"]]
                    break
        artifacts: dict[str, list[Any]] = {}
        for name, chosen in self._outputs.get("artifacts", {}).items():
            for place in chosen["artifactSelectors"]:
                listed = self._done[place["producerSubtask"]].outputs.artifacts
                if place["outputArtifactKey"] in listed:
                    artifacts[name] = listed[place["outputArtifactKey"]]
                    break
        return Values(parameters=parameters, artifacts=artifacts)


def _selected(chosen: Json) -> Iterator[Json]:
    if "valueFromParameter" in chosen:
        yield chosen["valueFromParameter"]
    yield from chosen.get("valueFromOneof", {}).get("parameterSelectors", ())


def _collected(component: Json, results: list[Ended]) -> Values:
    """Return each output as the list over all iterations."""
    outputs = component.get("outputDefinitions", {})
    return Values(
        parameters={
            name: [result.outputs.parameters.get(name) for result in results] for name in outputs.get("parameters", {})
        },
        artifacts={
            name: [artifact for result in results for artifact in result.outputs.artifacts.get(name, ())]
            for name in outputs.get("artifacts", {})
        },
    )
