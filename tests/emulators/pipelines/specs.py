"""PipelineSpec IR in few words: shell commands as containers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Json = dict[str, Any]


class Spec:
    """Collects tasks of one pipeline."""

    def __init__(self, name: str = "of-tests", parameters: Mapping[str, Json] | None = None) -> None:
        self.components: Json = {}
        self.executors: Json = {}
        self.tasks: Json = {}
        self.name = name
        self.parameters = dict(parameters or {})

    def shell(
        self,
        name: str,
        script: str,
        *,
        inputs: Mapping[str, str] | None = None,
        artifacts: Sequence[str] = (),
        outputs: Mapping[str, str] | None = None,
        left: Sequence[str] = (),
        arguments: Sequence[str] = (),
        **container: Any,
    ) -> None:
        """Add a component; its arguments are `$0`, `$1` and so on in the script.

        Args:
            name: Of the component.
            script: For `sh -ec`.
            inputs: Types of the input parameters.
            artifacts: Names of the input artifacts.
            outputs: Types of the output parameters.
            left: Names of the output artifacts.
            arguments: With placeholders.
            container: More of the container, such as `env`.
        """
        kind = {"artifactType": {"schemaTitle": "system.Dataset", "schemaVersion": "0.0.1"}}
        self.components[name] = {
            "executorLabel": name,
            "inputDefinitions": {
                "parameters": {key: {"parameterType": value} for key, value in (inputs or {}).items()},
                "artifacts": dict.fromkeys(artifacts, kind),
            },
            "outputDefinitions": {
                "parameters": {key: {"parameterType": value} for key, value in (outputs or {}).items()},
                "artifacts": dict.fromkeys(left, kind),
            },
        }
        self.executors[name] = {
            "container": {
                "image": "any",
                "command": ["sh", "-ec", script],
                "args": list(arguments) or ["nothing"],
                **container,
            }
        }

    def dag(self, name: str, tasks: Json, **definitions: Json) -> None:
        """Add a component that is a DAG."""
        outputs = definitions.pop("outputs", {})
        self.components[name] = {"dag": {"tasks": tasks, "outputs": outputs}, **definitions}

    def task(self, name: str, component: str = "", **fields: Any) -> None:
        """Add a task to the root."""
        self.tasks[name] = task(component or name, **fields)

    def content(self) -> Json:
        """Return the IR."""
        return {
            "pipelineInfo": {"name": self.name},
            "schemaVersion": "2.1.0",
            "sdkVersion": "kfp-2.17.0",
            "root": {"dag": {"tasks": self.tasks}, "inputDefinitions": {"parameters": self.parameters}},
            "components": self.components,
            "deploymentSpec": {"executors": self.executors},
        }


def task(
    component: str,
    *,
    after: Sequence[str] = (),
    parameters: Mapping[str, Any] | None = None,
    artifacts: Mapping[str, Any] | None = None,
    **fields: Any,
) -> Json:
    """Return a task; a parameter is a constant, or a source as the IR has it."""
    given = {
        name: value if isinstance(value, dict) else {"runtimeValue": {"constant": value}}
        for name, value in (parameters or {}).items()
    }
    return {
        "componentRef": {"name": component},
        "taskInfo": {"name": component},
        "inputs": {"parameters": given, "artifacts": dict(artifacts or {})},
        "dependentTasks": list(after),
        **fields,
    }


def output(producer: str, key: str) -> Json:
    """Return the source of another task's output parameter."""
    return {"taskOutputParameter": {"producerTask": producer, "outputParameterKey": key}}


def artifact(producer: str, key: str) -> Json:
    """Return the source of another task's artifact."""
    return {"taskOutputArtifact": {"producerTask": producer, "outputArtifactKey": key}}


def given(name: str) -> Json:
    """Return the source of an input of the DAG itself."""
    return {"componentInputParameter": name}
