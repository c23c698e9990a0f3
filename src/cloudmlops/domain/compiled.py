"""Pipelines that Kubeflow's compiler wrote, as far as a run of them is to be described."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cloudmlops.domain.graph import Graph, StepSpec
from cloudmlops.domain.value_types import Kind, ValueType
from cloudmlops.errors import InvalidPipelineError


@dataclass(frozen=True, slots=True)
class KfpSpec:
    """A pipeline as `kfp.compiler` wrote it: PipelineSpec IR of schema 2, as YAML or JSON."""

    path: Path | str


_KINDS: Final[Mapping[str, Kind]] = {
    "STRING": Kind.STR,
    "NUMBER_INTEGER": Kind.INT,
    "NUMBER_DOUBLE": Kind.FLOAT,
    "BOOLEAN": Kind.BOOL,
    "LIST": Kind.LIST,
    "STRUCT": Kind.DICT,
}


def compiled_graph(content: Mapping[str, Any], parameters: Mapping[str, object]) -> Graph:
    """Describe a compiled pipeline: its outermost tasks as steps, with what each leaves and what it waits for.

    Raises:
        InvalidPipelineError: It is no PipelineSpec, or the parameters are not its own.
    """
    try:
        tasks, components = content["root"]["dag"]["tasks"], content["components"]
        name = str(content["pipelineInfo"]["name"])
        steps = tuple(
            StepSpec(
                name=task,
                function="",
                outputs=dict(_outputs(components[fields["componentRef"]["name"]])),
                after=tuple(sorted(_upstream(fields))),
            )
            for task, fields in tasks.items()
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise InvalidPipelineError(
            f"this is no compiled pipeline: it has no {error}",
            hint="Compile it with kfp.compiler.Compiler().compile(pipeline, 'p.yaml'), of kfp 2.",
        ) from error
    declared = content["root"].get("inputDefinitions", {}).get("parameters", {})
    faults = [f"pipeline {name!r} has no parameter {given!r}" for given in parameters if given not in declared]
    faults += [
        f"pipeline {name!r} misses its parameter {wanted!r}"
        for wanted, definition in declared.items()
        if wanted not in parameters and not definition.get("isOptional") and "defaultValue" not in definition
    ]
    if faults:
        raise InvalidPipelineError(f"pipeline {name!r} cannot run", faults=faults)
    return Graph(name=name, steps=steps, parameters=dict(parameters))


def _outputs(component: Mapping[str, Any]) -> Iterator[tuple[str, ValueType]]:
    definitions = component.get("outputDefinitions", {})
    for name, definition in definitions.get("parameters", {}).items():
        yield name, ValueType(kind=_KINDS.get(definition.get("parameterType", ""), Kind.STR))
    for name in definitions.get("artifacts", {}):
        yield name, ValueType(kind=Kind.PATH)


def _upstream(task: Mapping[str, Any]) -> set[str]:
    return set(task.get("dependentTasks", ()))
