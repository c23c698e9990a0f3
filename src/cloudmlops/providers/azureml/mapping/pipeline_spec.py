"""A graph as a pipeline job of Azure ML, in the words of its YAML schema (`az ml job create --file`).

Only artifacts and folders pass from step to step there, so that a value which a step leaves is a folder with its JSON.
The values that are known beforehand are part of one hidden input, which is also what the service's reuse tells steps
apart by: the static part of a step's key.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from shlex import quote
from typing import Any, Final

from cloudmlops.domain.graph import StepSpec
from cloudmlops.domain.runs import OutputRecord, RunRequest, step_content
from cloudmlops.providers.azureml.mapping.computes import Compute
from cloudmlops.providers.azureml.mapping.job_names import nodes, run_faults
from cloudmlops.providers.azureml.mapping.machines import Machine, known, lacks, machine_for
from cloudmlops.runtime.contained import inert

CONTENT: Final = "cloudmlops_step"
"""The hidden input."""
RECORD: Final = "cloudmlops_record"
"""The hidden output: what is to be known of a success or a failure."""
CACHE: Final = "cloudmlops_cache"
"""The hidden output that all runs have in common: what steps have left, by their keys."""
_OURS: Final = "cloudmlops_"
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_FOLDER: Final[Mapping[str, str]] = {"type": "uri_folder"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """What a run is written for, beside its request."""

    datastore: str
    """Holds all that steps leave."""
    root: str
    """Address of the folder in which each step's run has one with its outputs."""
    environment: str
    """Of steps that name no image."""
    compute: Compute
    target: str
    """Connects a step to the platform."""
    cache: str
    """Azure ML's address of the folder of what steps have left, by their keys."""
    code: str = ""
    """Folder of this machine with the source."""
    kept: Mapping[str, Mapping[str, OutputRecord]] = field(default_factory=dict)
    """Outputs of the steps that do not run again; artifacts with Azure ML's addresses."""


def pipeline_job(request: RunRequest, place: Place) -> dict[str, Any]:
    """Return the definition of a run's job, without what names the job."""
    graph, names = request.graph, nodes(request.graph)
    inputs = _shown(graph.parameters)
    return {
        "type": "pipeline",
        "experiment_name": graph.name,
        "settings": {
            "default_compute": f"azureml:{place.compute.name or 'serverless'}",
            "default_datastore": f"azureml:{place.datastore}",
            # What does not need a step that failed goes on, as on every platform.
            "continue_on_step_failure": True,
            "force_rerun": not request.cache,
        },
        **({"inputs": inputs} if inputs else {}),
        "jobs": {
            names[step.name]: _node(step, request, place, names) for step in graph.steps if step.name not in place.kept
        },
    }


def faults(request: RunRequest, environment: str) -> list[str]:
    """List why a run cannot be written for Azure ML, in words; what depends on the compute is `machine_faults`."""
    found = run_faults(request.id)
    for step in request.graph.steps:
        about = f"step {step.name!r}"
        found += step.import_faults
        if step.options.resources.distribution and step.options.retries:
            found.append(f"{about} has several processes, which cannot be tried again one by one: leave out retries")
        if not (step.options.image or environment):
            found.append(
                f"{about} has no image: name one at the step, or an environment for all with "
                "?environment=azureml:NAME:VERSION in the target"
            )
        found += [
            f"{about}: Azure ML takes no {what} {name!r}: write it in ASCII letters, digits and underscores, "
            f"without {_OURS!r} before it"
            for what, names in (("input", step.inputs), ("output", step.outputs))
            for name in names
            if not _NAME.fullmatch(name) or name.startswith(_OURS)
        ]
    return found


def machine_faults(request: RunRequest, compute: Compute) -> list[str]:
    """List which steps ask for what no machine, or not that of the compute, has."""
    found: list[str] = []
    for step in request.graph.steps:
        wanted = step.options.resources
        machine = known(compute.machine)
        # Of a machine that is in no table only the cluster's owner knows what it has.
        why = lacks(machine, wanted) if machine else "" if compute.name else machine_for(wanted)
        if isinstance(why, str) and why:
            found.append(f"step {step.name!r}: {why}")
        if compute.name and wanted.spot and not compute.low_priority:
            found.append(
                f"step {step.name!r} asks for a machine that may be taken away, and compute {compute.name!r} has none: "
                "make it with tier low_priority, or name no compute, for serverless compute"
            )
    return found


def _node(step: StepSpec, request: RunRequest, place: Place, names: Mapping[str, str]) -> dict[str, Any]:
    content = step_content(step, source=request.source.digest, packages=request.packages_digest)
    declared: dict[str, Any] = {CONTENT: {"type": "string"}}
    given: dict[str, Any] = {CONTENT: _quotable(content)}
    words: list[str] = []
    for key, ref in step.inputs.items():
        is_artifact = request.graph.type_of(ref).kind.is_artifact
        if ref.step in place.kept and not is_artifact:
            declared[key], given[key] = {"type": "string"}, _quotable(place.kept[ref.step][ref.output].value)
            words.append(f"--value {key}='${{{{inputs.{key}}}}}'")
            continue
        declared[key] = _FOLDER
        if ref.step in place.kept:
            given[key] = {**_FOLDER, "path": place.kept[ref.step][ref.output].uri}
        else:
            given[key] = f"${{{{parent.jobs.{names[ref.step]}.outputs.{ref.output}}}}}"
        words.append(f"--{'input' if is_artifact else 'read'} {key}=${{{{inputs.{key}}}}}")
    supplied = {ref.step for ref in step.inputs.values()}
    waited = [name for name in step.after if name not in supplied and name not in place.kept]
    for number, name in enumerate(waited):
        # There is no order without data.
        declared[f"{_OURS}after_{number}"] = _FOLDER
        given[f"{_OURS}after_{number}"] = f"${{{{parent.jobs.{names[name]}.outputs.{RECORD}}}}}"
    outputs: dict[str, Any] = {RECORD: _written()}
    for key, kind in step.outputs.items():
        outputs[key] = _written()
        words.append(f"--{'output' if kind.kind.is_artifact else 'parameter'} {key}=${{{{outputs.{key}}}}}")
    if caches := request.cache and step.options.cache:
        outputs[CACHE] = {**_written(), "path": place.cache}
        words.append(f"--cache ${{{{outputs.{CACHE}}}}}")
    component: dict[str, Any] = {
        "type": "command",
        "display_name": names[step.name],
        "command": " ".join([*_command(step, request, place), *words]),
        "environment": _environment(step.options.image or place.environment),
        "inputs": declared,
        "outputs": dict.fromkeys(outputs, _FOLDER),
        "is_deterministic": caches,
        **_distribution(step),
        **({"code": place.code} if place.code else {}),
    }
    return {
        "type": "command",
        "display_name": names[step.name],
        "component": component,
        "inputs": given,
        "outputs": outputs,
        "environment_variables": {**step.options.environment, "CLOUDMLOPS_TARGET": place.target},
        **_machine(step, place.compute),
    }


def _machine(step: StepSpec, compute: Compute) -> dict[str, Any]:
    """Say how many machines, and for serverless compute which; a cluster has its own."""
    wanted = step.options.resources
    resources: dict[str, Any] = {}
    asks = wanted.cpu or wanted.memory_gib or wanted.accelerator
    if asks and not compute.name and isinstance(found := machine_for(wanted), Machine):
        resources["instance_type"] = found.name
    if resources or wanted.nodes > 1:
        resources["instance_count"] = wanted.nodes
    return {
        **({"resources": resources} if resources else {}),
        **({"queue_settings": {"job_tier": "spot"}} if wanted.spot and not compute.name else {}),
    }


def _distribution(step: StepSpec) -> dict[str, Any]:
    wanted = step.options.resources
    if wanted.distribution is None:
        return {}
    return {"distribution": {"type": wanted.distribution, "process_count_per_instance": wanted.processes}}


def _command(step: StepSpec, request: RunRequest, place: Place) -> list[str]:
    options = step.options
    words = [
        "python -m cloudmlops.providers.azureml.running",
        step.function,
        f"--pipeline {request.graph.name} --step {step.name}",
        f"--content '${{{{inputs.{CONTENT}}}}}'",
        f"--root {quote(place.root)}",
        f"--record ${{{{outputs.{RECORD}}}}}",
    ]
    if place.code:
        words.append("--source")
    if options.timeout is not None:
        words.append(f"--timeout {options.timeout.total_seconds():g}")
    if options.retries:
        words.append(f"--retries {options.retries} --retry-delay {options.retry_delay.total_seconds():g}")
    return words


def _environment(image: str) -> str | dict[str, str]:
    return image if image.startswith("azureml:") else {"image": image}


def _written() -> dict[str, str]:
    """Return an output that is there while it is written, and also after a failure."""
    return {**_FOLDER, "mode": "rw_mount"}


def _quotable(value: object) -> str:
    """Write JSON that stays whole within single quotes in a command of Azure ML's."""
    return inert(json.dumps(value, sort_keys=True)).replace("'", "\\u0027").replace("$", "\\u0024")


def _shown(parameters: Mapping[str, object]) -> dict[str, object]:
    """Return the pipeline's parameters that Studio can show; nothing depends on them."""
    found: dict[str, object] = {}
    for name, value in parameters.items():
        if not _NAME.fullmatch(name):
            continue
        match value:
            case bool() | int():
                found[name] = value
            case float() if math.isfinite(value):
                found[name] = value
            # A text with a placeholder in it would be filled in, and one that names data would be looked for.
            case str() if value and "{{" not in value and ":" not in value:
                found[name] = value
    return found
