"""Partial responses: what `fields` asks for, such as `items(name,size),nextPageToken`."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.google.storage.wire import Answer, Asked

_Tree = dict[str, "_Tree"]


def reduced(asked: Asked, answer: Answer) -> Answer:
    """Leave in a JSON answer what was asked for."""
    fields = asked.query.get("fields")
    if not fields or not answer.body or not answer.headers.get("content-type", "").startswith("application/json"):
        return answer
    return replace(answer, body=json.dumps(_picked(json.loads(answer.body), parsed(fields))).encode())


def parsed(fields: str) -> _Tree:
    """Read a selection; an empty tree is everything."""
    tokens = re.findall(r"[^,()/\s]+|[,()/]", fields)
    tree: _Tree = {}
    end = _read(tokens, 0, tree)
    if end != len(tokens):
        raise _malformed(fields)
    return tree


def _read(tokens: list[str], at: int, tree: _Tree) -> int:
    while at < len(tokens):
        if tokens[at] in ",()/":
            raise _malformed("".join(tokens))
        here = tree.setdefault(tokens[at], {})
        at += 1
        while at + 1 < len(tokens) and tokens[at] == "/":
            here = here.setdefault(tokens[at + 1], {})
            at += 2
        if at < len(tokens) and tokens[at] == "(":
            at = _read(tokens, at + 1, here)
            if at >= len(tokens) or tokens[at] != ")":
                raise _malformed("".join(tokens))
            at += 1
        if at < len(tokens) and tokens[at] == ",":
            at += 1
            continue
        return at
    return at


def _picked(content: Any, tree: _Tree) -> Any:
    if not tree or "*" in tree:
        return content
    if isinstance(content, list):
        return [_picked(item, tree) for item in content]
    if not isinstance(content, dict):
        return content
    return {name: _picked(value, tree[name]) for name, value in content.items() if name in tree}


def _malformed(fields: str) -> Refused:
    return Refused("INVALID_ARGUMENT", f"Invalid field selection {fields}", reason="invalidParameter")
