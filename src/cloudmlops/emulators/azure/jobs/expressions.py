"""The expressions of commands and bindings: `${{inputs.x}}`, `${{parent.jobs.a.outputs.y}}`, `$[[ … ]]`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from cloudmlops.emulators.core.faults import Refused

EXPRESSION: Final = re.compile(r"\$\{\{\s*([\w.\-]+)\s*\}\}")
_OPTIONAL: Final = re.compile(r"\$\[\[(.*?)\]\]", re.DOTALL)


def filled(command: str, inputs: Mapping[str, str | None], outputs: Mapping[str, str]) -> str:
    """Return a command with values for its expressions.

    Args:
        command: As it was submitted.
        inputs: By name; None is an optional one that was not given: what `$[[ … ]]` encloses goes with it.
        outputs: Paths by name.

    Raises:
        Refused: It names what there is not.
    """

    def value(found: re.Match[str]) -> str:
        kind, _, name = found[1].partition(".")
        known: Mapping[str, str | None] = {"inputs": inputs, "outputs": outputs}.get(kind, {})
        given = known.get(name)
        if given is None:
            raise Refused("INVALID_ARGUMENT", f"The command names {found[0]}, which is not given.")
        return given

    def optional(found: re.Match[str]) -> str:
        names = [one[1].partition(".")[2] for one in EXPRESSION.finditer(found[1])]
        return found[1] if all(inputs.get(name) is not None or name in outputs for name in names) else ""

    return EXPRESSION.sub(value, _OPTIONAL.sub(optional, command))


def names_in(text: str) -> list[str]:
    """Return the dotted names of all expressions in a text."""
    return [found[1] for found in EXPRESSION.finditer(text)]


def only_name(text: str) -> str | None:
    """Return the dotted name of a text that is one expression; None of any other."""
    found = EXPRESSION.fullmatch(text.strip())
    return found[1] if found else None


def substituted(text: str, value: Callable[[str], str]) -> str:
    """Return a text with what stands for its expressions."""
    return EXPRESSION.sub(lambda found: value(found[1]), text)
