"""Macros of several types, as GoogleSQL's functions are."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

OVERLOADS: Final[dict[str, list[tuple[str, ...]]]] = {}
"""The types that each macro of several types takes; its n-th form is also a macro of its own, `NAME__n`."""


def variant(name: str, number: int) -> str:
    """The name of one form of a macro."""
    return f"{name}__{number}"


def overloaded(name: str, bodies: Mapping[str, str]) -> str:
    """Return what makes a macro of several types, and one of each form."""
    OVERLOADS[name] = [
        tuple(re.sub(r"^\w+ ?", "", part.strip()) for part in re.split(r",(?![^(]*\))", types)) for types in bodies
    ]
    forms = [
        f"CREATE MACRO {variant(name, number)}({types}) AS {body}"
        for number, (types, body) in enumerate(bodies.items())
    ]
    whole = f"CREATE MACRO {name} " + ", ".join(f"({types}) AS {body}" for types, body in bodies.items())
    return "; ".join([*forms, whole])
