"""How what settings name is looked at, on every cloud: all that is wrong is told, and nothing is raised."""

from __future__ import annotations

from collections.abc import Callable

from cloudmlops.domain.surroundings import Named
from cloudmlops.errors import CloudMLOpsError, NotFoundError

Seen = tuple[str, str, str]
"""What was found, what is wrong with it, and what to do about that."""


def looked_at(setting: str, name: str, ask: Callable[[], Seen]) -> Named:
    """Return what a setting names, as asking for it told."""
    try:
        found, fault, fix = ask()
    except NotFoundError as error:
        return Named(setting=setting, name=name, fault="it is not there", fix=error.hint or _made(setting))
    except CloudMLOpsError as error:
        return Named(setting=setting, name=name, fault=error.message, fix=error.hint or _made(setting))
    return Named(setting=setting, name=name, found=found, fault=fault, fix=fix)


def _made(setting: str) -> str:
    return f"Make it, or correct the setting {setting}; terraform/README.md tells of stacks that make all of it."
