"""Pipelines in a cloud's own words, as far as a run of them is to be described."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cloudmlops.domain.graph import Graph, OutputRef, StepSpec
from cloudmlops.domain.value_types import Kind, ValueType
from cloudmlops.errors import InvalidPipelineError


@dataclass(frozen=True, slots=True)
class KfpSpec:
    """A pipeline as `kfp.compiler` wrote it: PipelineSpec IR of schema 2, as YAML or JSON."""

    path: Path | str


@dataclass(frozen=True, slots=True)
class AzureMLSpec:
    """A pipeline job of Azure ML as YAML, as `az ml job create --file` takes it."""

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


_BINDING: Final = re.compile(r"\$\{\{\s*parent\.jobs\.([A-Za-z_]\w*)\.outputs\.\w+\s*\}\}")
_OF_PIPELINE: Final = re.compile(r"\$\{\{\s*parent\.outputs\.([A-Za-z_]\w*)\s*\}\}")


def azureml_graph(content: Any, parameters: Mapping[str, object], *, file: str) -> Graph:
    """Describe a pipeline job of Azure ML: its jobs as steps, with what each leaves and what it waits for.

    Args:
        content: Of the YAML.
        parameters: Of the run, by name.
        file: The YAML's name, which names the pipeline when nothing else does.

    Raises:
        InvalidPipelineError: It is no pipeline job, or the parameters are not its own.
    """
    jobs = content.get("jobs") if isinstance(content, Mapping) else None
    if not isinstance(jobs, Mapping) or not jobs or content.get("type", "pipeline") != "pipeline":
        raise InvalidPipelineError(
            f"{file} is no pipeline job of Azure ML: it has no jobs",
            hint="Give the YAML that `az ml job create --file` takes, with `type: pipeline` and `jobs`.",
        )
    name = str(content.get("experiment_name") or content.get("display_name") or content.get("name") or Path(file).stem)
    name = re.sub(r"[^a-z0-9_-]+", "-", name.lower()).strip("-_") or "pipeline"
    name = name if name[0].isalpha() else f"p-{name}"
    declared: Mapping[str, Any] = content.get("inputs") or {}
    faults = [f"pipeline {name!r} has no parameter {given!r}" for given in parameters if given not in declared]
    faults += [
        f"pipeline {name!r} misses its parameter {wanted!r}"
        for wanted, given in declared.items()
        if wanted not in parameters and (given is None or _is_open(given))
    ]
    if faults:
        raise InvalidPipelineError(f"pipeline {name!r} cannot run", faults=faults)
    steps, outputs = [], {}
    for job, fields in jobs.items():
        left = fields.get("outputs") or {}
        steps.append(
            StepSpec(
                name=job,
                function="",
                outputs={output: ValueType(kind=Kind.PATH) for output in left},
                after=tuple(sorted(_needed(fields) & jobs.keys())),
            )
        )
        for output, given in left.items():
            target = given.get("path", "") if isinstance(given, Mapping) else given
            if found := _OF_PIPELINE.fullmatch(str(target).strip()):
                outputs[found[1]] = OutputRef(step=job, output=output)
    return Graph(name=name[:63], steps=tuple(steps), outputs=outputs, parameters=dict(parameters))


def _is_open(given: Any) -> bool:
    if not isinstance(given, Mapping):
        return False
    return not given.get("optional") and all(given.get(key) is None for key in ("path", "value", "default"))


def _needed(fields: Mapping[str, Any]) -> set[str]:
    """Return the jobs whose outputs a job takes, in any of its fields."""
    return set(_BINDING.findall(str(fields)))
