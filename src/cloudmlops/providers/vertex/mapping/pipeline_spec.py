"""A graph as PipelineSpec IR (schema 2.1): what Vertex AI Pipelines runs.

A parameter that a step leaves is text, the value as JSON: numbers in a PipelineSpec are doubles, which would change a
large integer on its way. The values that are known beforehand are part of one hidden parameter, which is also what the
service's cache tells steps apart by: the static part of a step's key.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from cloudmlops.domain.graph import OutputRef, StepSpec
from cloudmlops.domain.runs import OutputRecord, RunRequest, step_content
from cloudmlops.domain.value_types import Kind, ValueType
from cloudmlops.errors import InvalidPipelineError
from cloudmlops.providers.vertex.mapping.job_names import encoded
from cloudmlops.providers.vertex.mapping.machines import machine_for
from cloudmlops.runtime.contained import inert

CONTENT: Final = "cloudmlops-step"
"""The hidden parameter; no step has an input of that name."""
RECORD: Final = "cloudmlops-record"
"""The hidden output: what is to be known of a success."""
_SCHEMAS: Final[Mapping[Kind, str]] = {
    Kind.DATASET: "system.Dataset",
    Kind.MODEL: "system.Model",
    Kind.METRICS: "system.Metrics",
}
_ANY: Final = "system.Artifact"
_LARGEST: Final = 2**53
"""Integers up to here are the same as doubles."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """What a run is written for, beside its request."""

    bucket: str
    """With the prefix in it, without a scheme, such as `my-bucket/cloudmlops`."""
    image: str
    """Of steps that name none."""
    target: str
    """Connects a step to the platform."""
    cache: str
    """Folder of keys below the prefix."""
    kept: Mapping[str, Mapping[str, OutputRecord]] = field(default_factory=dict)
    """Outputs of the steps that do not run again."""


def pipeline_spec(request: RunRequest, place: Place) -> dict[str, Any]:
    """Return the IR of a run."""
    if request.compiled:
        return _as_compiled(request)
    graph = request.graph
    emitted = _Emitted()
    for step in graph.steps:
        if step.name not in place.kept:
            _emit(emitted, step, request, place)
    root = {"dag": {"tasks": emitted.tasks}, **_inputs(_shown_parameters(graph.parameters))}
    return {
        "pipelineInfo": {"name": encoded(graph.name)},
        "schemaVersion": "2.1.0",
        "sdkVersion": "kfp-2.17.0",
        "root": root,
        "components": emitted.components,
        "deploymentSpec": {"executors": emitted.executors},
    }


def _as_compiled(request: RunRequest) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(request.compiled)
    if not request.cache:
        dags = [content["root"], *content["components"].values()]
        for task in [task for dag in dags if "dag" in dag for task in dag["dag"]["tasks"].values()]:
            task["cachingOptions"] = {}
    return content


def shown_parameters(parameters: Mapping[str, object]) -> dict[str, object]:
    """Return the pipeline's parameters that a console can show; nothing depends on them."""
    return {name: value for name, (_, value) in _shown_parameters(parameters).items()}


def faults(request: RunRequest, image: str) -> list[str]:
    """List why a run cannot be written for Vertex AI, in words."""
    found: list[str] = []
    for step in request.graph.steps if not request.compiled else ():
        found += step.import_faults
        if not (step.options.image or image):
            found.append(
                f"step {step.name!r} has no image: name one at the step, or for all with ?image=… in the target"
            )
        if isinstance(why := machine_for(step.options.resources), str):
            found.append(f"step {step.name!r}: {why}")
    return found


@dataclass(kw_only=True)
class _Emitted:
    tasks: dict[str, Any] = field(default_factory=dict)
    components: dict[str, Any] = field(default_factory=dict)
    executors: dict[str, Any] = field(default_factory=dict)


def _emit(emitted: _Emitted, step: StepSpec, request: RunRequest, place: Place) -> None:
    name = encoded(step.name)
    known_content = step_content(step, source=request.source.digest, packages=request.packages_digest)
    content = inert(json.dumps(known_content, sort_keys=True))
    known = {
        key: (kind, value)
        for key, (kind, value) in _shown_parameters(step.parameters).items()
        if key not in step.inputs
    }
    parameters: dict[str, Any] = {
        key: {"runtimeValue": {"constant": value}}
        for key, (_, value) in {CONTENT: ("STRING", content), **known}.items()
    }
    artifacts: dict[str, Any] = {}
    needed = {encoded(before) for before in step.upstream if before not in place.kept}
    for key, ref in step.inputs.items():
        if ref.step in place.kept:
            record = place.kept[ref.step][ref.output]
            if record.kind.is_artifact:
                importer = _import(emitted, ref, record)
                needed.add(importer)
                artifacts[key] = {"taskOutputArtifact": {"producerTask": importer, "outputArtifactKey": "artifact"}}
            else:
                parameters[key] = {"runtimeValue": {"constant": inert(json.dumps(record.value))}}
        elif request.graph.type_of(ref).kind.is_artifact:
            artifacts[key] = {
                "taskOutputArtifact": {"producerTask": encoded(ref.step), "outputArtifactKey": ref.output}
            }
        else:
            parameters[key] = {
                "taskOutputParameter": {"producerTask": encoded(ref.step), "outputParameterKey": ref.output}
            }
    emitted.components[f"comp-{name}"] = _component(step, request, known)
    emitted.executors[f"exec-{name}"] = _executor(step, request, place)
    emitted.tasks[name] = {
        "componentRef": {"name": f"comp-{name}"},
        "taskInfo": {"name": name},
        "inputs": {"parameters": parameters, **({"artifacts": artifacts} if artifacts else {})},
        **({"dependentTasks": sorted(needed)} if needed else {}),
        **({"cachingOptions": {"enableCache": True}} if _caches(step, request) else {}),
        **({"retryPolicy": _retries(step)} if step.options.retries else {}),
    }


def _component(step: StepSpec, request: RunRequest, known: Mapping[str, tuple[str, object]]) -> dict[str, Any]:
    supplied = {key: request.graph.type_of(ref) for key, ref in step.inputs.items()}
    parameters = {
        CONTENT: {"parameterType": "STRING"},
        **{key: {"parameterType": kind} for key, (kind, _) in known.items()},
        **{key: {"parameterType": "STRING"} for key, kind in supplied.items() if not kind.kind.is_artifact},
    }
    artifacts = {key: _artifact_type(kind) for key, kind in supplied.items() if kind.kind.is_artifact}
    left = {key: _artifact_type(kind) for key, kind in step.outputs.items() if kind.kind.is_artifact}
    values = {key: {"parameterType": "STRING"} for key, kind in step.outputs.items() if not kind.kind.is_artifact}
    return {
        "executorLabel": f"exec-{encoded(step.name)}",
        "inputDefinitions": {"parameters": parameters, **({"artifacts": artifacts} if artifacts else {})},
        "outputDefinitions": {
            "artifacts": {**left, RECORD: {"artifactType": {"schemaTitle": _ANY, "schemaVersion": "0.0.1"}}},
            **({"parameters": values} if values else {}),
        },
    }


def _executor(step: StepSpec, request: RunRequest, place: Place) -> dict[str, Any]:
    options, mounted = step.options, f"/gcs/{place.bucket}"
    words = [
        step.function,
        "--job={{$.pipeline_job_resource_name}}",
        f"--pipeline={request.graph.name}",
        f"--step={step.name}",
        f"--content={{{{$.inputs.parameters['{CONTENT}']}}}}",
        f"--record={{{{$.outputs.artifacts['{RECORD}'].path}}}}",
        f"--errors={mounted}/failures",
    ]
    if request.source.roots:
        words.append(f"--source={mounted}/snapshots/{request.source.digest}.zip")
    if _caches(step, request):
        words.append(f"--cache={mounted}/{place.cache}")
    if options.timeout is not None:
        words.append(f"--timeout={options.timeout.total_seconds():g}")
    for key, ref in step.inputs.items():
        if request.graph.type_of(ref).kind.is_artifact:
            words.append(f"--input={key}={{{{$.inputs.artifacts['{key}'].path}}}}")
            words.append(f"--address={key}={{{{$.inputs.artifacts['{key}'].uri}}}}")
        else:
            words.append(f"--value={key}={{{{$.inputs.parameters['{key}']}}}}")
    for key, kind in step.outputs.items():
        if kind.kind.is_artifact:
            words.append(f"--output={key}={{{{$.outputs.artifacts['{key}'].path}}}}")
            words.append(f"--uri={key}={{{{$.outputs.artifacts['{key}'].uri}}}}")
        else:
            words.append(f"--parameter={key}={{{{$.outputs.parameters['{key}'].output_file}}}}")
    environment = {**options.environment, "CLOUDMLOPS_TARGET": place.target}
    container: dict[str, Any] = {
        "command": ["python", "-m", "cloudmlops.providers.vertex.running"],
        "args": words,
        "env": [{"name": name, "value": value} for name, value in environment.items()],
    }
    image = options.image or place.image
    if options.resources.spot:
        return _spot(step, {"imageUri": image, **container})
    return {"container": {"image": image, **container, **_resources(step)}}


def _resources(step: StepSpec) -> dict[str, Any]:
    """Say what a container needs; the service takes the smallest machine type that has it."""
    wanted = step.options.resources
    machine = machine_for(wanted)
    limits: dict[str, Any] = {}
    if wanted.cpu is not None:
        limits |= {"cpuLimit": wanted.cpu, "resourceCpuLimit": f"{wanted.cpu:g}"}
    if wanted.memory_gib is not None:
        # In units of 10^9 bytes, as the IR has it.
        limits |= {"memoryLimit": wanted.memory_gib * 1.073741824, "resourceMemoryLimit": f"{wanted.memory_gib:g}Gi"}
    if not isinstance(machine, str) and machine.accelerator:
        limits["accelerator"] = {
            "type": machine.accelerator,
            "count": str(machine.count),
            "resourceType": machine.accelerator,
            "resourceCount": str(machine.count),
        }
    return {"resources": limits} if limits else {}


def _spot(step: StepSpec, container: dict[str, Any]) -> dict[str, Any]:
    """Write a step as a custom job of its own: only those can be told to take machines that may be taken away."""
    machine = machine_for(step.options.resources)
    if isinstance(machine, str):
        raise InvalidPipelineError(f"step {step.name!r}: {machine}")
    spec: dict[str, Any] = {"machineType": machine.name}
    if machine.accelerator:
        spec |= {"acceleratorType": machine.accelerator, "acceleratorCount": machine.count}
    pool = {"machineSpec": spec, "replicaCount": 1, "containerSpec": container}
    job = {"workerPoolSpecs": [pool], "scheduling": {"strategy": "SPOT"}}
    return {"customJob": {"customJob": {"jobSpec": job}}}


def _import(emitted: _Emitted, ref: OutputRef, record: OutputRecord) -> str:
    """Add what brings in an artifact that an earlier attempt has left; return its task."""
    name = f"{encoded(ref.step)}-o---{encoded(ref.output)}"
    kind = {"schemaTitle": _SCHEMAS.get(record.kind, _ANY), "schemaVersion": "0.0.1"}
    emitted.tasks[name] = {"componentRef": {"name": f"comp-{name}"}, "taskInfo": {"name": name}}
    emitted.components[f"comp-{name}"] = {
        "executorLabel": f"exec-{name}",
        "outputDefinitions": {"artifacts": {"artifact": {"artifactType": kind}}},
    }
    emitted.executors[f"exec-{name}"] = {"importer": {"artifactUri": {"constant": record.uri}, "typeSchema": kind}}
    return name


def _retries(step: StepSpec) -> dict[str, Any]:
    return {
        "maxRetryCount": step.options.retries,
        "backoffDuration": f"{step.options.retry_delay.total_seconds():g}s",
        "backoffFactor": 2.0,
        "backoffMaxDuration": "60s",
    }


def _caches(step: StepSpec, request: RunRequest) -> bool:
    return request.cache and step.options.cache


def _inputs(known: Mapping[str, tuple[str, object]]) -> dict[str, Any]:
    if not known:
        return {}
    parameters = {name: {"parameterType": kind, "isOptional": True} for name, (kind, _) in known.items()}
    return {"inputDefinitions": {"parameters": parameters}}


def _shown_parameters(parameters: Mapping[str, object]) -> dict[str, tuple[str, object]]:
    found: dict[str, tuple[str, object]] = {}
    for name, value in parameters.items():
        match value:
            case bool():
                found[name] = ("BOOLEAN", value)
            case int() if abs(value) <= _LARGEST:
                found[name] = ("NUMBER_INTEGER", value)
            case float() if math.isfinite(value):
                found[name] = ("NUMBER_DOUBLE", value)
            # A text with a placeholder in it would be filled in.
            case str() if "{{" not in value:
                found[name] = ("STRING", value)
    return found


def _artifact_type(kind: ValueType) -> dict[str, Any]:
    return {"artifactType": {"schemaTitle": _SCHEMAS.get(kind.kind, _ANY), "schemaVersion": "0.0.1"}}
