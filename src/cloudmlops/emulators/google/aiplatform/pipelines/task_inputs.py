"""What a task takes: constants, the inputs of its DAG, outputs and final states of other tasks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.google.aiplatform.pipelines.expressions import evaluate
from cloudmlops.emulators.google.aiplatform.pipelines.placeholders import Filling, filled
from cloudmlops.emulators.google.aiplatform.pipelines.values import Json, Values, whole, written

Producers = Mapping[str, tuple[str, str, Values]]
"""State, error and outputs of the tasks that have ended."""
_ALONE: Final = re.compile(r"\{\{\$\.inputs\.parameters\['([^']+)'\]\}\}")
_ABSENT: Final = object()


def resolved_inputs(task: Json, scope: Values, done: Producers, facts: Mapping[str, str]) -> Values:
    """Return the inputs of a task; optional ones that nobody supplies are left out.

    Args:
        task: Of the IR.
        scope: The inputs of the DAG that it is in.
        done: What it may depend on.
        facts: Of the job, for placeholders in constants.

    Raises:
        Refused: One is not there.
    """
    given = task.get("inputs", {})
    parameters: dict[str, Any] = {}
    for name, source in given.get("parameters", {}).items():
        value = _parameter(source, scope, done, facts)
        if value is _ABSENT:
            continue
        if selector := source.get("parameterExpressionSelector"):
            value = evaluate(selector, {"string_value": written(value)})
        parameters[name] = value
    artifacts: dict[str, list[Any]] = {}
    for name, source in given.get("artifacts", {}).items():
        if "taskOutputArtifact" in source:
            wanted = source["taskOutputArtifact"]
            listed = done[wanted["producerTask"]][2].artifacts.get(wanted["outputArtifactKey"])
            if listed is None:
                raise Refused("INVALID_ARGUMENT", f"{wanted['producerTask']} left no {wanted['outputArtifactKey']!r}.")
            artifacts[name] = listed
        elif source.get("componentInputArtifact") in scope.artifacts:
            artifacts[name] = scope.artifacts[source["componentInputArtifact"]]
    filling = Filling(
        inputs=Values(parameters=parameters, artifacts=artifacts),
        outputs={},
        output_files={},
        output_file=Path(),
        local=str,
        facts=facts,
    )
    for name, source in given.get("parameters", {}).items():
        if "runtimeValue" in source and isinstance(value := parameters.get(name), str) and "{{$" in value:
            alone = _ALONE.fullmatch(value)
            parameters[name] = parameters[alone[1]] if alone else filled(value, filling)
    return Values(parameters=parameters, artifacts=artifacts)


def _parameter(source: Json, scope: Values, done: Producers, facts: Mapping[str, str]) -> Any:
    if "runtimeValue" in source:
        return whole(source["runtimeValue"].get("constant", _ABSENT))
    if "componentInputParameter" in source:
        return scope.parameters.get(source["componentInputParameter"], _ABSENT)
    if "taskOutputParameter" in source:
        wanted = source["taskOutputParameter"]
        found = done[wanted["producerTask"]][2].parameters
        if wanted["outputParameterKey"] not in found:
            raise Refused("INVALID_ARGUMENT", f"{wanted['producerTask']} left no {wanted['outputParameterKey']!r}.")
        return found[wanted["outputParameterKey"]]
    if "taskFinalStatus" in source:
        producer = source["taskFinalStatus"]["producerTask"]
        state, error, _ = done[producer]
        return {
            "state": "SUCCEEDED" if state == "SKIPPED" else state,
            "error": {"code": 9, "message": error} if error else {},
            "pipelineJobResourceName": facts["pipeline_job_resource_name"],
            "pipelineTaskName": producer,
        }
    return _ABSENT
