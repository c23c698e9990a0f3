"""Earlier successes that stand for a task.

The key is what the documentation of Vertex AI Pipelines names: the pipeline's name, the task's inputs (parameters by
value, artifacts by identity), its output definitions, and its container's image, command, arguments and environment as
they are written, before placeholders are filled in.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from cloudmlops.emulators.google.aiplatform.catalogue import message
from cloudmlops.emulators.google.aiplatform.handling import Vertex
from cloudmlops.emulators.google.aiplatform.names import location_of
from cloudmlops.emulators.google.aiplatform.pipelines.values import Json, Values


def fingerprint(pipeline: str, component: Json, executor: Json, inputs: Values) -> str:
    """Return the key of a task."""
    content = {
        "pipeline": pipeline,
        "executor": executor,
        "outputs": component.get("outputDefinitions", {}),
        "parameters": dict(inputs.parameters),
        "artifacts": {name: [artifact.name for artifact in found] for name, found in inputs.artifacts.items()},
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


class Cache:
    """The successes of one project and location."""

    def __init__(self, vertex: Vertex, job: str) -> None:
        self._vertex = vertex
        self._table = vertex.surroundings.state.table("aiplatform_pipeline_cache")
        self._scope = location_of(job)

    def find(self, key: str) -> Values | None:
        """Return what an earlier success left; None when there is none, or an artifact of it was deleted."""
        data = self._table.get(f"{self._scope}/{key}")
        if data is None:
            return None
        kept = json.loads(data)
        artifacts: dict[str, list[Any]] = {}
        for name, listed in kept["artifacts"].items():
            found = [self._vertex.resources.find(artifact, message("Artifact")) for artifact in listed]
            if None in found:
                return None
            artifacts[name] = found
        return Values(parameters=kept["parameters"], artifacts=artifacts)

    def keep(self, key: str, outputs: Values) -> None:
        """Remember a success."""
        artifacts = {name: [artifact.name for artifact in found] for name, found in outputs.artifacts.items()}
        content = {"parameters": dict(outputs.parameters), "artifacts": artifacts}
        self._table.put(f"{self._scope}/{key}", json.dumps(content).encode())
