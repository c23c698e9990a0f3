"""Placeholders in commands, arguments and parameters: `{{$.inputs.parameters['x']}}` and its like."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.google.aiplatform.pipelines.values import Values, written

_PLACEHOLDER: Final = re.compile(r"\{\{\$(?:\.(?P<path>.*?))?\}\}")
_PART: Final = re.compile(r"\[\s*(?:'([^']*)'|\"([^\"]*)\"|(\d+))\s*\]|\.?([A-Za-z_]\w*)")


@dataclass(frozen=True, kw_only=True)
class Filling:
    """What placeholders of one attempt stand for."""

    inputs: Values
    outputs: Mapping[str, Any]
    """`Artifact` messages."""
    output_files: Mapping[str, Path]
    output_file: Path
    """Where a container may describe its outputs itself."""
    local: Callable[[str], str]
    """Turns an artifact's address into where the container finds it."""
    facts: Mapping[str, str]
    """`pipeline_job_name`, `pipeline_task_uuid` and so on."""

    def executor_input(self) -> dict[str, Any]:
        """Return `{{$}}`. Addresses are local: kfp's executor knows only /gcs as the place of `gs://`."""
        return {
            "inputs": {
                "parameterValues": dict(self.inputs.parameters),
                "artifacts": {name: self._listed(found) for name, found in self.inputs.artifacts.items()},
            },
            "outputs": {
                "parameters": {name: {"outputFile": str(file)} for name, file in self.output_files.items()},
                "artifacts": {name: self._listed([artifact]) for name, artifact in self.outputs.items()},
                "outputFile": str(self.output_file),
            },
        }

    def _listed(self, artifacts: Sequence[Any]) -> dict[str, Any]:
        return {
            "artifacts": [
                {
                    "name": artifact.name,
                    "uri": self.local(artifact.uri),
                    "type": {"schemaTitle": artifact.schema_title, "schemaVersion": artifact.schema_version},
                    "metadata": dict(artifact.metadata),
                }
                for artifact in artifacts
            ]
        }


def filled_command(words: Sequence[str], filling: Filling) -> list[str]:
    """Return a command with its placeholders filled in; words that stand for nothing are left out."""
    found: list[str] = []
    for word in words:
        chosen = _chosen(word, filling)
        found += [filled(part, filling) for part in chosen]
    return found


def filled(text: str, filling: Filling) -> str:
    """Fill in the placeholders of a text.

    Raises:
        Refused: One stands for nothing.
    """
    return _PLACEHOLDER.sub(lambda found: _filled(found["path"], filling), text)


def _filled(path: str | None, filling: Filling) -> str:
    if path is None:
        return json.dumps(filling.executor_input())
    if path in filling.facts:
        return filling.facts[path]
    parts = [next((part for part in match if part), "") for match in _PART.findall(path)]
    depth = int(parts[-1]) if parts[-2:-1] == ["json_escape"] and parts[-1].isdecimal() else 0
    if depth:
        parts = parts[:-2]
    value = written(_value(parts, filling, path) if parts or not depth else filling.executor_input())
    for _ in range(depth):
        value = json.dumps(value)[1:-1]
    return value


def _value(parts: Sequence[str], filling: Filling, path: str) -> Any:
    match parts:
        case ["inputs", "parameters", name] if name in filling.inputs.parameters:
            return filling.inputs.parameters[name]
        case ["inputs", "artifacts", name, *rest] if filling.inputs.artifacts.get(name):
            return _of_artifact(filling.inputs.artifacts[name], rest, filling, path)
        case ["outputs", "artifacts", name, *rest] if name in filling.outputs:
            return _of_artifact([filling.outputs[name]], rest, filling, path)
        case ["outputs", "parameters", name, "output_file"] if name in filling.output_files:
            return str(filling.output_files[name])
        case ["outputs", "output_file"] | ["outputs", "output_metadata_uri"] | ["outputMetadataUri"]:
            return str(filling.output_file)
    raise Refused("INVALID_ARGUMENT", f"The placeholder {{{{$.{path}}}}} stands for nothing here.")


def _of_artifact(artifacts: Sequence[Any], rest: Sequence[str], filling: Filling, path: str) -> Any:
    match rest:
        case ["uri"]:
            return artifacts[0].uri
        case ["path"]:
            return filling.local(artifacts[0].uri)
        case ["name"]:
            return artifacts[0].name
        case ["metadata"]:
            return dict(artifacts[0].metadata)
        case ["metadata", key] if key in artifacts[0].metadata:
            return artifacts[0].metadata[key]
    raise Refused("INVALID_ARGUMENT", f"The placeholder {{{{$.{path}}}}} stands for nothing here.")


def _chosen(word: str, filling: Filling) -> list[str]:
    """Resolve kfp's `{"IfPresent": …}` and `{"Concat": […]}`, which are written as text."""
    if not word.startswith(('{"IfPresent"', '{"Concat"')):
        return [word]
    return _resolved(json.loads(word), filling)


def _resolved(part: Any, filling: Filling) -> list[str]:
    if isinstance(part, str):
        return [part]
    if isinstance(part, list):
        return [word for inner in part for word in _resolved(inner, filling)]
    if "Concat" in part:
        return ["".join(_resolved(part["Concat"], filling))]
    asked = part["IfPresent"]
    present = {*filling.inputs.parameters, *filling.inputs.artifacts}
    branch = asked.get("Then") if asked["InputName"] in present else asked.get("Else")
    return [] if branch is None else _resolved(branch, filling)
