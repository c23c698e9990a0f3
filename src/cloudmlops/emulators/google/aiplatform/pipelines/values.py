"""What tasks take and leave: parameters by their type, artifacts as lists of resources."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cloudmlops.emulators.core.faults import Refused

Json = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Values:
    """Inputs or outputs of a task, by name."""

    parameters: Mapping[str, Any] = field(default_factory=dict)
    artifacts: Mapping[str, list[Any]] = field(default_factory=dict)
    """`Artifact` messages."""


def typed(value: Any, kind: str, name: str) -> Any:
    """Return a parameter's value as its type has it: in a Struct, all numbers are doubles.

    Raises:
        Refused: It is not of that type.
    """
    try:
        match kind:
            case "NUMBER_INTEGER":
                if isinstance(value, bool) or float(value) != int(value):
                    raise ValueError
                return int(value)
            case "NUMBER_DOUBLE":
                return float(value)
            case "BOOLEAN" if isinstance(value, bool):
                return value
            case "STRING" if isinstance(value, str):
                return value
            case "LIST" if isinstance(value, list):
                return whole(value)
            case "STRUCT" | "TASK_FINAL_STATUS" if isinstance(value, dict):
                return whole(value)
    except (TypeError, ValueError):
        pass
    raise Refused("INVALID_ARGUMENT", f"The parameter {name!r} is {value!r}, which is no {kind}.")


def whole(value: Any) -> Any:
    """Write the numbers in a JSON value without a fraction as integers, as the service writes them."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [whole(item) for item in value]
    if isinstance(value, dict):
        return {key: whole(item) for key, item in value.items()}
    return value


def read(text: str, kind: str, name: str) -> Any:
    """Read an output parameter from what a container left in its file.

    Raises:
        Refused: It is not of its type.
    """
    if kind == "STRING":
        return text
    try:
        value = json.loads(text.strip().lower() if kind == "BOOLEAN" else text)
    except ValueError:
        raise Refused("INVALID_ARGUMENT", f"The output {name!r} is {text[:60]!r}, which is no {kind}.") from None
    return typed(value, kind, name)


def written(value: Any) -> str:
    """Write a parameter as it stands in a command line."""
    return value if isinstance(value, str) else json.dumps(value)
