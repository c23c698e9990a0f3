"""Values as Terraform sends them, and what a provider without a cloud plans and applies."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

import msgpack
from tools.tfcheck.messages import MESSAGES
from tools.tfcheck.schemas import Block

_DIGITS: Final = "123456789012"
"""A number as text, such as that of a project."""


class Unknown:
    """Stands for a value that Terraform does not know yet."""

    def __repr__(self) -> str:
        return "(unknown)"


UNKNOWN: Final = Unknown()


def decoded(value: Any) -> Any:
    """Return a value of the protocol as Python's."""
    if value.msgpack:
        return msgpack.unpackb(value.msgpack, ext_hook=lambda _code, _data: UNKNOWN, strict_map_key=False)
    return json.loads(value.json) if value.json else None


def encoded(value: Any) -> Any:
    """Return Python's value as the protocol's."""
    packed = msgpack.packb(value, default=lambda _unknown: msgpack.ExtType(0, b"\0"))
    return MESSAGES["DynamicValue"](msgpack=packed)


def planned(block: Block, proposed: dict[str, Any], *, new: bool) -> dict[str, Any]:
    """Return a plan: what only the cloud could say is unknown, and what is never kept is left out."""
    plan = dict(proposed)
    for name, attribute in block.get("attributes", {}).items():
        if attribute.get("write_only"):
            plan[name] = None
        elif new and attribute.get("computed") and plan.get(name) is None:
            plan[name] = UNKNOWN
    return _within(block, plan, lambda inner, item: planned(inner, item, new=new))


def applied(block: Block, plan: dict[str, Any], label: str) -> dict[str, Any]:
    """Return the state after a plan: what was unknown is made up."""
    state = dict(plan)
    for name, attribute in block.get("attributes", {}).items():
        if state.get(name) is UNKNOWN:
            state[name] = _made_up(attribute["type"], f"{label}.{name}")
    return _within(block, state, lambda inner, item: applied(inner, item, label))


def empty(block: Block) -> dict[str, Any]:
    """Return a state in which nothing is said."""
    nested = block.get("block_types", {})
    alone = {name: None for name, inner in nested.items() if inner["nesting_mode"] in ("single", "group")}
    return dict.fromkeys(block.get("attributes", {})) | {name: [] for name in nested} | alone


def _within(block: Block, value: dict[str, Any], change: Callable[[Block, dict[str, Any]], Any]) -> dict[str, Any]:
    for name, nested in block.get("block_types", {}).items():
        inner = value.get(name)
        if isinstance(inner, list):
            value[name] = [change(nested["block"], item) if isinstance(item, dict) else item for item in inner]
        elif isinstance(inner, dict):
            value[name] = change(nested["block"], inner)
    return value


def _made_up(kind: Any, label: str) -> Any:
    match kind:
        case "string":
            return _DIGITS if label.endswith(".number") else f"made-up-{label}"
        case "number":
            return 0
        case "bool":
            return False
        case ["object", fields]:
            return {name: _made_up(inner, f"{label}.{name}") for name, inner in fields.items()}
        case ["list", [_, _] as inner]:
            return [_made_up(inner, label)]  # one, so that `x.list[0].attribute` is something
        case ["map", _]:
            return {}
        case ["list" | "set", _]:
            return []
        case _:
            return None
