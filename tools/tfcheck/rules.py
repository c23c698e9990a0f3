"""What the real provider refuses in its code, and what we refuse in ours: read from `rules.json`.

A rule of a type of resource names a place, `at`, attributes joined by dots, and what may stand there: `one_of`, a
`pattern`, a `range`, `never` (a pattern); whether it is `required` or must be `absent`; what a block there `needs`.
Or it counts: `exactly_one_of`, `at_least_one_of`, `at_most_one_of`. `policy` in `why` marks our own rules, for what
Google or Azure would take. What Terraform does not know yet is not judged.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tools.tfcheck.schemas import Block
from tools.tfcheck.values import UNKNOWN

FILE: Final = Path(__file__).with_name("rules.json")
Step = str | int
Fault = tuple[Sequence[Step], str]
"""Where, and what is wrong."""
COUNTS: Final = {"exactly_one_of": (1, 1), "at_least_one_of": (1, None), "at_most_one_of": (0, 1)}


def read() -> Mapping[str, Sequence[Mapping[str, Any]]]:
    """Return the rules of each type; a data source's name begins with `data.`."""
    rules: Mapping[str, Sequence[Mapping[str, Any]]] = json.loads(FILE.read_text(encoding="utf-8"))
    return rules


def faults(rules: Sequence[Mapping[str, Any]], block: Block, config: Mapping[str, Any]) -> Iterator[Fault]:
    """Yield what a configuration gets wrong, by the rules and by the values that the schema lists."""
    yield from _unlisted(block, config, ())
    for rule in rules:
        why = f": {rule['why']}" if "why" in rule else ""
        told = _of_count(rule, config) if "at" not in rule else _of_place(rule, config)
        yield from ((where, f"{what}{why}") for where, what in told)


def _of_place(rule: Mapping[str, Any], config: Mapping[str, Any]) -> Iterator[Fault]:
    place = rule["at"]
    for where, found in _found(config, place.split("."), ()):
        if rule.get("required") and found in (None, [], {}):
            yield where, f"{place} must be given"
        if rule.get("absent") and _given(found):
            yield where, f"{place} must not be given"
        for name in rule.get("needs", ()):
            if isinstance(found, dict) and not _given(found.get(name)):
                yield where, f"{place} needs {name}"
        for value in found if isinstance(found, list) else [found]:
            if value is None or value is UNKNOWN or isinstance(value, dict):
                continue
            text = value if isinstance(value, str) else json.dumps(value)
            if "one_of" in rule and value not in rule["one_of"]:
                yield where, f"{text!r} is none of {', '.join(map(json.dumps, rule['one_of']))}"
            if "pattern" in rule and not re.fullmatch(rule["pattern"], text):
                yield where, f"{text!r} does not match {rule['pattern']}"
            if "never" in rule and re.fullmatch(rule["never"], text):
                yield where, f"{text!r} is not allowed"
            if "range" in rule and not rule["range"][0] <= value <= rule["range"][1]:
                yield where, f"{text} is not from {rule['range'][0]} to {rule['range'][1]}"


def _of_count(rule: Mapping[str, Any], config: Mapping[str, Any]) -> Iterator[Fault]:
    for kind, (least, most) in COUNTS.items():
        if names := rule.get(kind):
            values = {name: [value for _, value in _found(config, name.split("."), ())] for name in names}
            if any(value is UNKNOWN for found in values.values() for value in found):
                continue
            given = [name for name, found in values.items() if any(map(_given, found))]
            if len(given) < least or (most is not None and len(given) > most):
                what = f"{kind.replace('_', ' ')} {', '.join(names)} must be given, not {' and '.join(given) or 'none'}"
                yield (names[0].split(".")[0],), what


def _given(value: Any) -> bool:
    return value is UNKNOWN or value not in (None, [], {}, "")


def _found(value: Any, names: Sequence[str], where: tuple[Step, ...]) -> Iterator[tuple[tuple[Step, ...], Any]]:
    if not names:
        if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
            yield from (((*where, number), item) for number, item in enumerate(value))
        else:
            yield where, value
        return
    for number, item in enumerate(value) if isinstance(value, list) else [(None, value)]:
        if isinstance(item, dict):
            here = where if number is None else (*where, number)
            yield from _found(item.get(names[0]), names[1:], (*here, names[0]))


def _unlisted(block: Block, config: Mapping[str, Any], where: tuple[Step, ...]) -> Iterator[Fault]:
    for name, attribute in block.get("attributes", {}).items():
        value = config.get(name)
        listed = attribute.get("listed")
        if listed and isinstance(value, str) and value and value not in listed:
            yield (*where, name), f"{value!r} is none of {', '.join(map(json.dumps, listed))}"
    for name, nested in block.get("block_types", {}).items():
        inner = config.get(name)
        for number, item in enumerate(inner) if isinstance(inner, list) else [(None, inner)]:
            if isinstance(item, dict):
                # No path can name an element of a set: the block is pointed at.
                step = () if number is None or nested["nesting_mode"] == "set" else (number,)
                yield from _unlisted(nested["block"], item, (*where, name, *step))
