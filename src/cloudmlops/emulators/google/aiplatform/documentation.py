"""What the SDK's documentation says of the fields of messages: who sets them, and how long they may be."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from cloudmlops.emulators.google.aiplatform.catalogue import types_of

_FIELD: Final = re.compile(r"^    (\w+) \([^\n]*\):\n((?: {8}[^\n]*\n|\n)*)", re.MULTILINE)
_BEHAVIOUR: Final = re.compile(r"(?:[A-Z][a-z]+(?: only)?\.(?: |$))+")
_LONGEST: Final = re.compile(r"up to (\d+) (?:Unicode )?characters")


@cache
def documentation(descriptor_name: str) -> Mapping[str, str]:
    """Return by field of a message what its documentation says, each in one line; empty for what is not Vertex AI's."""
    package, _, name = descriptor_name.rpartition(".")
    version, _, outer = package.removeprefix("google.cloud.aiplatform.").partition(".")
    if version not in ("v1", "v1beta1"):
        return {}
    found: Any = types_of("v1" if version == "v1" else "v1beta1")
    for part in [*filter(None, outer.split(".")), name]:
        found = getattr(found, part, None)
        if found is None:
            return {}
    text = inspect.cleandoc(found.__doc__ or "") + "\n"
    return {field: " ".join(words.split()) for field, words in _FIELD.findall(text)}


@cache
def behaviours(descriptor_name: str) -> Mapping[str, frozenset[str]]:
    """Return what is said first of a message's fields: `Required`, `Output only`, `Immutable`, …."""
    return {
        field: frozenset(part.strip() for part in begun[0].split(".") if part.strip())
        for field, text in documentation(descriptor_name).items()
        if (begun := _BEHAVIOUR.match(text)) is not None
    }


@cache
def longest(descriptor_name: str) -> Mapping[str, int]:
    """Return how many characters the display names of a message may have."""
    return {
        field: int(found[1])
        for field, text in documentation(descriptor_name).items()
        if field == "display_name" and (found := _LONGEST.search(text)) is not None
    }
