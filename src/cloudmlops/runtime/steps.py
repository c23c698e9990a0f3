"""Run one step: read its inputs, call its function, write its outputs. The same code everywhere."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from cloudmlops.domain.artifacts import workspace
from cloudmlops.domain.pipelines import SINGLE_OUTPUT, Step
from cloudmlops.domain.runs import OutputRecord
from cloudmlops.domain.source import importing_steps
from cloudmlops.domain.value_types import ValueType, decode, encode
from cloudmlops.errors import CloudMLOpsError, InvalidPipelineError
from cloudmlops.materializers.artifacts import load, store


def find_step(reference: str) -> Step[..., Any]:
    """Import the step that `module:name` means.

    Raises:
        InvalidPipelineError: There is no such module or no such step.
    """
    module, _, name = reference.partition(":")
    try:
        with importing_steps():
            found: Any = import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise InvalidPipelineError(
            f"the step {reference!r} cannot be imported: {error}",
            hint=f"Python looked in: {', '.join(sys.path[:3])}, and the installed packages.",
        ) from error
    if not isinstance(found, Step):
        raise InvalidPipelineError(f"{reference!r} is not a step", hint="Decorate the function with @step.")
    return found


def run_step(
    called: Step[..., Any],
    *,
    name: str,
    parameters: Mapping[str, object],
    inputs: Mapping[str, Path],
    outputs: Mapping[str, Path],
    work: Path,
    addresses: Mapping[str, str] | None = None,
) -> dict[str, OutputRecord]:
    """Call a step's function with values read from files and leave what it returns in files.

    Args:
        called: The step.
        name: Its name in the run, for messages.
        parameters: JSON values of parameters; those that have a default may be missing.
        inputs: Where each input artifact lies.
        outputs: Where each output goes: a folder for an artifact, a file for a parameter; one whose parameter has no
            place here is only returned.
        work: A folder for the step's new files.
        addresses: Where input artifacts lie in the platform's object store, when that is elsewhere.

    Raises:
        InvalidPipelineError: The result is not what the step's annotation says; without one nothing is returned.
        UnexpectedReplyError: An input file is damaged.
    """
    signature = called.signature
    arguments = {key: decode(value, signature.inputs[key]) for key, value in parameters.items()}
    known = addresses or {}
    arguments |= {
        key: _read(name, key, path, signature.inputs[key], known.get(key, "")) for key, path in inputs.items()
    }
    token = workspace.set(work)
    try:
        result = called.function(**arguments)
        return {
            output: _write(name, output, value, kind, outputs.get(output), work)
            for output, value, kind in _results(name, called, result)
        }
    finally:
        workspace.reset(token)


def _results(name: str, called: Step[..., Any], result: object) -> list[tuple[str, object, ValueType]]:
    signature = called.signature
    if not signature.outputs and result is not None:
        raise InvalidPipelineError(
            f"step {name!r} returned a value of type {type(result).__name__}, but its annotation says nothing of it",
            hint="Annotate what it returns, as in `-> int`, so that the value is kept; or return nothing.",
        )
    if signature.named_tuple is None:
        return [(SINGLE_OUTPUT, result, kind) for kind in signature.outputs.values()]
    if not isinstance(result, tuple) or len(result) != len(signature.outputs):
        raise InvalidPipelineError(
            f"step {name!r} returned a value of type {type(result).__name__} for its {len(signature.outputs)} outputs",
            hint=f"Return {signature.named_tuple.__name__}({', '.join(f'{key}=…' for key in signature.outputs)}).",
        )
    return [(key, value, kind) for (key, kind), value in zip(signature.outputs.items(), result, strict=True)]


def _read(name: str, key: str, path: Path, kind: ValueType, uri: str) -> object:
    try:
        return load(path, kind, uri=uri)
    except CloudMLOpsError as error:
        error.message = f"step {name!r} cannot read its input {key!r}: {error.message}"
        raise


def _write(name: str, key: str, value: object, kind: ValueType, target: Path | None, work: Path) -> OutputRecord:
    try:
        if kind.kind.is_artifact:
            return store(value, kind, target or work / "outputs" / key, within=work)
        return _write_parameter(value, kind, target)
    except TypeError as error:
        raise InvalidPipelineError(
            f"step {name!r} returned the wrong value for its output {key!r}: {error}",
            hint=f"The step's annotation says {kind}: return that, or change the annotation.",
        ) from error
    except OSError as error:
        error.add_note(f"while writing the output {key!r} of step {name!r} to {target}")
        raise


def _write_parameter(value: object, kind: ValueType, target: Path | None) -> OutputRecord:
    encoded = encode(value, kind)
    text = json.dumps(encoded)
    if target is not None:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    found = hashlib.sha256(text.encode()).hexdigest()
    return OutputRecord(kind=kind.kind, digest=found, size_bytes=len(text), value=encoded)
