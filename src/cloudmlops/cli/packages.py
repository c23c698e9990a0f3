"""Which packages an extra asks for, and which of them are missing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version

_NAME = re.compile(r"[A-Za-z0-9._-]+")


def missing_packages(extra: str) -> Iterator[str]:
    """Yield what the core or an extra of cloudmlops asks for and the environment lacks, with the reason."""
    for wanted in requires("cloudmlops") or ():
        requirement, _, marker = wanted.partition(";")
        if "extra" in marker and not re.search(rf"extra\s*==\s*['\"]{re.escape(extra)}['\"]", marker):
            continue
        name = _NAME.match(requirement).group()  # type: ignore[union-attr] # a requirement begins with a name
        try:
            installed = version(name)
        except PackageNotFoundError:
            yield f"{name} (not installed)"
        else:
            if not _satisfies(installed, requirement):
                yield f"{requirement.strip()} ({installed} is installed)"


def _satisfies(installed: str, requirement: str) -> bool:
    try:
        from packaging.requirements import Requirement
    except ModuleNotFoundError:
        return True  # it comes with the extras; without them, more than a version is missing
    return Requirement(requirement).specifier.contains(installed, prereleases=True)
