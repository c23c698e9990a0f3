"""The IR of a pipeline (kfp's PipelineSpec, schema 2), read and checked."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Any, Final

from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.google.aiplatform.pipelines.values import Json, typed

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,127}")
_EXECUTORS: Final = ("container", "importer", "customJob")
EVEN_AFTER_FAILURE: Final = "ALL_UPSTREAM_TASKS_COMPLETED"


class PipelineSpec:
    """One pipeline."""

    def __init__(self, content: Json) -> None:
        """Read a pipeline.

        Raises:
            Refused: It is not well formed.
        """
        version = str(content.get("schemaVersion", ""))
        if not version.startswith("2."):
            raise Refused("INVALID_ARGUMENT", f"The pipeline's schemaVersion is {version!r}; 2.x is supported.")
        self.name: str = content.get("pipelineInfo", {}).get("name", "")
        if not _NAME.fullmatch(self.name):
            raise Refused(
                "INVALID_ARGUMENT",
                f"pipelineInfo.name is {self.name!r}; it must match the regular expression {_NAME.pattern}.",
            )
        self.root: Json = content.get("root", {})
        self.components: Mapping[str, Json] = content.get("components", {})
        self.executors: Mapping[str, Json] = content.get("deploymentSpec", {}).get("executors", {})
        if not self.root.get("dag", {}).get("tasks"):
            raise Refused("INVALID_ARGUMENT", "The pipeline's root has no tasks.")
        self._check(self.root["dag"], "root")
        for name, component in self.components.items():
            if "dag" in component:
                self._check(component["dag"], name)

    def component(self, task: Json) -> Json:
        """Return the component that a task runs."""
        return self.components[task["componentRef"]["name"]]

    def executor(self, component: Json) -> Json:
        """Return how a component that is no DAG is run."""
        return self.executors[component["executorLabel"]]

    def _check(self, dag: Json, where: str) -> None:
        tasks = dag.get("tasks", {})
        for name, task in tasks.items():
            label = f"Task {name!r} of {where!r}"
            reference = task.get("componentRef", {}).get("name")
            if reference not in self.components:
                raise Refused("INVALID_ARGUMENT", f"{label} refers to the component {reference!r}, which is not there.")
            component = self.components[reference]
            if "dag" not in component:
                self._check_executor(component, label)
            for producer in upstream(task):
                if producer not in tasks:
                    raise Refused("INVALID_ARGUMENT", f"{label} depends on {producer!r}, which is not there.")
        try:
            TopologicalSorter({name: upstream(task) for name, task in tasks.items()}).prepare()
        except CycleError as error:
            raise Refused("INVALID_ARGUMENT", f"The tasks of {where!r} form a cycle: {error.args[1]}.") from error

    def _check_executor(self, component: Json, label: str) -> None:
        executor = self.executors.get(component.get("executorLabel", ""))
        if executor is None:
            raise Refused("INVALID_ARGUMENT", f"{label} has the executor {component.get('executorLabel')!r}: no such.")
        if not any(kind in executor for kind in _EXECUTORS):
            raise Refused("UNIMPLEMENTED", f"{label} has an executor of kind {[*executor]}, which is not emulated.")


def upstream(task: Json) -> frozenset[str]:
    """Return the tasks that must have ended before a task begins."""
    return frozenset(task.get("dependentTasks", ())) | frozenset(_producers(task))


def _producers(task: Json) -> Iterator[str]:
    inputs = task.get("inputs", {})
    for given in inputs.get("parameters", {}).values():
        for kind in ("taskOutputParameter", "taskFinalStatus"):
            if kind in given:
                yield given[kind]["producerTask"]
    for given in inputs.get("artifacts", {}).values():
        if "taskOutputArtifact" in given:
            yield given["taskOutputArtifact"]["producerTask"]


def parameter_types(definitions: Json) -> dict[str, str]:
    """Return the types of a component's parameters by name."""
    return {
        name: str(definition.get("parameterType", "STRING"))
        for name, definition in definitions.get("parameters", {}).items()
    }


def with_defaults(component: Json, given: Mapping[str, Any], what: str) -> dict[str, Any]:
    """Return the parameters of a component, those that are not given by their defaults, each by its type.

    Raises:
        Refused: One is missing, unknown or of another type.
    """
    definitions = component.get("inputDefinitions", {}).get("parameters", {})
    types = parameter_types(component.get("inputDefinitions", {}))
    if unknown := sorted(given.keys() - definitions.keys()):
        raise Refused("INVALID_ARGUMENT", f"{what} has no input parameter {unknown[0]!r}.")
    found: dict[str, Any] = {}
    for name, definition in definitions.items():
        if name in given:
            found[name] = typed(given[name], types[name], name)
        elif "defaultValue" in definition:
            found[name] = typed(definition["defaultValue"], types[name], name)
        elif not definition.get("isOptional"):
            raise Refused("INVALID_ARGUMENT", f"{what} misses its input parameter {name!r}.")
    return found
