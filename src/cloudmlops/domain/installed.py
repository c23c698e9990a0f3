"""The packages that this interpreter can import."""

from __future__ import annotations

import hashlib
import os
import platform as machine
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path


def python() -> str:
    """Return the version of this interpreter."""
    return machine.python_version()


def packages() -> Mapping[str, str]:
    """Return installed distributions and their versions, read from the names of their metadata folders alone."""
    found: dict[str, str] = {}
    for entry in reversed(sys.path):
        folder = Path(entry or ".")
        if folder.is_dir():
            found |= _distributions(str(folder), folder.stat().st_mtime_ns)
    return dict(sorted(found.items()))


def packages_digest() -> str:
    """Return the SHA-256 of the Python version and the installed packages."""
    listed = "\n".join(f"{name}=={version}" for name, version in packages().items())
    return hashlib.sha256(f"{python()}\n{listed}".encode()).hexdigest()


@cache
def _distributions(folder: str, _changed: int) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for name in os.listdir(folder):  # noqa: PTH208 a name is all that is needed of thousands of entries
        if name.endswith((".dist-info", ".egg-info")):
            distribution, _, version = name.rpartition(".")[0].partition("-")
            found[distribution.replace("_", "-").lower()] = version.partition("-")[0]
    return found
