"""Names of topics and subscriptions, and the durations of their settings."""

from __future__ import annotations

import re
from typing import Any, Final

from cloudmlops.emulators.core.faults import Refused

_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9\-_.~+%]{2,254}")


def checked_name(kind: str, project: str, identity: str) -> str:
    """Return the whole name.

    Raises:
        Refused: Pub/Sub would not take it.
    """
    name = f"projects/{project}/{kind}/{identity}"
    if not _NAME.fullmatch(identity) or identity.lower().startswith("goog"):
        raise Refused("INVALID_ARGUMENT", f"Invalid [{kind}] name: (name={name})")
    return name


def not_found(name: str) -> Refused:
    """Return what is answered where there is nothing of a name."""
    return Refused("NOT_FOUND", f"Resource not found (resource={name.rpartition('/')[2]}).")


def seconds(value: Any, *, fault: str) -> float:
    """Read a duration of JSON, such as `600s`.

    Raises:
        Refused: It is none.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)s", str(value))
    if found is None:
        raise Refused("INVALID_ARGUMENT", f"Invalid {fault}: {value!r}")
    return float(found[1])


def changed(known: dict[str, Any], sent: dict[str, Any], mask: str, *, may_change: frozenset[str]) -> dict[str, Any]:
    """Return a resource with the fields of a mask as they were sent.

    Raises:
        Refused: The mask is empty, or names what cannot be changed.
    """
    fields = [re.sub(r"_(\w)", lambda found: found[1].upper(), field) for field in mask.split(",") if field]
    if not fields:
        raise Refused("INVALID_ARGUMENT", "The update_mask in the request cannot be empty.")
    if fixed := [field for field in fields if field not in may_change]:
        raise Refused("INVALID_ARGUMENT", f"Invalid update_mask provided in the request: {fixed[0]} cannot be changed.")
    kept = {name: value for name, value in known.items() if name not in fields}
    return {**kept, **{field: sent[field] for field in fields if field in sent}}
