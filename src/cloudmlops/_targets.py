"""Which platform is meant, when the caller did not say it in full."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from cloudmlops.errors import ConfigurationError

VARIABLE = "CLOUDMLOPS_TARGET"


@dataclass(frozen=True, kw_only=True, slots=True)
class Configuration:
    """The nearest `cloudmlops.toml`, or `[tool.cloudmlops]` of a `pyproject.toml`."""

    path: Path | None = None
    """None when there is no such file."""
    target: str | None = None
    """The URL or the name of the default target."""
    targets: Mapping[str, str] = field(default_factory=dict)
    policies: Mapping[str, object] = field(default_factory=dict)
    """What promotions must satisfy, as it is written there."""


def resolve(target: str | None, known: Configuration) -> str:
    """Return a target's URL.

    Args:
        target: A URL; the name of a target in the configuration; or None for `CLOUDMLOPS_TARGET`, else the default one.
        known: The configuration.

    Raises:
        ConfigurationError: No target was given, or the configuration has none of that name.
    """
    wanted = target or os.environ.get(VARIABLE)
    if wanted and "://" in wanted:
        return wanted
    path, targets = known.path, known.targets
    name = wanted or known.target
    if name is None:
        raise ConfigurationError(
            "no platform was named",
            hint=f'Call connect("local://.cloudmlops"), set {VARIABLE}, or put `target = "local://.cloudmlops"` into '
            "cloudmlops.toml or the [tool.cloudmlops] table of pyproject.toml.",
        )
    if "://" in name:
        return _beside(path, name)
    if name not in targets:
        raise ConfigurationError(
            f"no target is named {name!r}" + (f" in {path}" if path else ""),
            hint=f"Named targets: {', '.join(sorted(targets)) or 'none'}. A URL such as local://.cloudmlops works too.",
        )
    return _beside(path, targets[name])


def _beside(file: Path | None, url: str) -> str:
    """A relative folder in a configuration file lies beside that file, wherever one works."""
    folder = url.removeprefix("local://")
    if file is None or folder == url or folder.startswith(("/", "~", ":")):
        return url
    return f"local://{quote(str(file.parent))}/{folder}"


def configuration(folder: Path) -> Configuration:
    """Find the nearest `cloudmlops.toml`, or `[tool.cloudmlops]` of a `pyproject.toml`, from `folder` upwards.

    Raises:
        ConfigurationError: It is not TOML, or holds what this library does not know: a misspelt rule must not be none.
    """
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
            return _checked(path, table)
    return Configuration()


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _are_texts(value: object) -> bool:
    return isinstance(value, dict) and all(map(_is_text, value.values()))


def _is_table(value: object) -> bool:
    return isinstance(value, dict)


_KNOWN: Final[Mapping[str, tuple[Callable[[object], bool], str]]] = {
    "target": (_is_text, "a text"),
    "targets": (_are_texts, "a table of texts"),
    "policies": (_is_table, "a table"),
}


def _checked(path: Path, table: object) -> Configuration:
    if not isinstance(table, dict):
        raise ConfigurationError(f"the configuration in {path} is not a table")
    faults = [f"it has an unknown {name!r}" for name in table if name not in _KNOWN]
    faults += [
        f"{name} is not {what}" for name, (fits, what) in _KNOWN.items() if name in table and not fits(table[name])
    ]
    if faults:
        raise ConfigurationError(
            f"the configuration in {path} is not understood: {'; '.join(faults)}",
            hint=f"It has: {', '.join(f'{name}, {what}' for name, (_, what) in _KNOWN.items())}.",
        )
    return Configuration(path=path, **table)


def _candidates(folder: Path) -> Iterator[tuple[Path, tuple[str, ...]]]:
    for parent in (folder, *folder.parents):
        yield parent / "cloudmlops.toml", ()
        yield parent / "pyproject.toml", ("tool", "cloudmlops")
