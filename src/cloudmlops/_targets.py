"""Which platform is meant, when the caller did not say it in full."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cloudmlops.errors import ConfigurationError

VARIABLE = "CLOUDMLOPS_TARGET"


def resolve(target: str | None, *, folder: Path | None = None) -> str:
    """Return a target's URL.

    Args:
        target: A URL; the name of a target in the configuration; or None for `CLOUDMLOPS_TARGET`, else the default one.
        folder: Where the search for the configuration begins, upwards; the working folder by default.

    Raises:
        ConfigurationError: No target was given, or the configuration has none of that name.
    """
    wanted = target or os.environ.get(VARIABLE)
    if wanted and "://" in wanted:
        return wanted
    path, table = configuration(folder or Path.cwd())
    targets: Mapping[str, Any] = table.get("targets", {})
    name = wanted or table.get("target")
    if name is None:
        raise ConfigurationError(
            "no platform was named",
            hint=f'Call connect("local://.cloudmlops"), set {VARIABLE}, or put `target = "local://.cloudmlops"` into '
            "cloudmlops.toml or the [tool.cloudmlops] table of pyproject.toml.",
        )
    if "://" in name:
        return str(name)
    if name not in targets:
        raise ConfigurationError(
            f"no target is named {name!r}" + (f" in {path}" if path else ""),
            hint=f"Named targets: {', '.join(sorted(targets)) or 'none'}. A URL such as local://.cloudmlops works too.",
        )
    return str(targets[name])


def configuration(folder: Path) -> tuple[Path | None, Mapping[str, Any]]:
    """Find the nearest `cloudmlops.toml`, or `[tool.cloudmlops]` of a `pyproject.toml`, from `folder` upwards."""
    for path, keys in _candidates(folder):
        if not path.is_file():
            continue
        try:
            table: Any = tomllib.loads(path.read_text(encoding="utf-8"))
        except tomllib.TOMLDecodeError as error:
            raise ConfigurationError(f"{path} is not valid TOML: {error}") from error
        for key in keys:
            table = table.get(key, {})
        if table:
            return path, table
    return None, {}


def _candidates(folder: Path) -> Iterator[tuple[Path, tuple[str, ...]]]:
    for parent in (folder, *folder.parents):
        yield parent / "cloudmlops.toml", ()
        yield parent / "pyproject.toml", ("tool", "cloudmlops")
