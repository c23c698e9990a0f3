"""Where a run comes from: its source as a snapshot, its git commit, its packages."""

from __future__ import annotations

import hashlib
import os
import platform as machine
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Final

from cloudmlops.domain.actors import Actor
from cloudmlops.domain.lineage import Lineage
from cloudmlops.domain.runs import SourceSnapshot
from cloudmlops.domain.source import ModuleSource, module_source
from cloudmlops.materializers.snapshots import pack, snapshot_key, source_digest
from cloudmlops.ports.objects import ObjectStore

_IMPORT: Final = re.compile(rb"^[ \t]*(?:from[ \t]+([\w.]+)[ \t]+import|import[ \t]+([\w., \t]+))", re.MULTILINE)
_LARGEST: Final = 1 << 20
"""Bytes; larger files of a package are data and do not belong into its source."""
_OURS: Final = Path(__file__).parent.parent
"""This package counts as installed; its version is among the packages."""
_SKIPPED_FOLDERS: Final = frozenset({"__pycache__", "node_modules", "site-packages", "venv", "env", "build", "dist"})
_SECRET: Final = re.compile(
    r"(^\.|^id_|secret|credential|password|token|\.(pem|key|p12|pfx|jks|keystore)$)", re.IGNORECASE
)
_SOURCE_SUFFIXES: Final = frozenset(
    {".py", ".pyi", ".sql", ".json", ".yaml", ".yml", ".toml", ".txt", ".md", ".html", ".j2"}
)


def source_snapshot(functions: Iterable[Callable[..., object]]) -> SourceSnapshot:
    """Find the first-party modules that these functions need, and digest them.

    First party are the functions' own modules, whole packages at once, and what they import from the same root. What is
    installed counts as a package and not as source.
    """
    modules = {function.__module__: function for function in functions}
    found = [source for name in modules if (source := module_source(name)) is not None]
    if not found:
        return SourceSnapshot(digest=_interactive_digest(modules.values()), root=str(Path.cwd()), files=())
    root = found[0].root
    files = tuple(sorted(file.as_posix() for file in _closure(found, root)))
    return SourceSnapshot(digest=source_digest(root, files), root=str(root), files=files)


def keep_snapshot(objects: ObjectStore, source: SourceSnapshot) -> None:
    """Leave the source in the object store, once for each content."""
    key = snapshot_key(source.digest)
    if source.files and not objects.exists(key):
        objects.create(key, pack(Path(source.root), source.files))


def lineage(
    source: SourceSnapshot, parameters: Mapping[str, object], *, actor: Actor, at: datetime, image: str | None = None
) -> Lineage:
    """Describe what a run that starts now is made from."""
    commit, dirty = git_state(Path(source.root))
    return Lineage(
        git_commit=commit,
        git_dirty=dirty,
        source_digest=source.digest,
        parameters=dict(parameters),
        python=machine.python_version(),
        packages=packages(),
        actor=actor,
        started_at=at,
        image=image,
    )


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
    return hashlib.sha256(f"{machine.python_version()}\n{listed}".encode()).hexdigest()


def git_state(folder: Path) -> tuple[str | None, bool]:
    """Return the commit that is checked out in `folder`, and whether its files differ from it."""
    if not any((parent / ".git").exists() for parent in (folder, *folder.parents)):
        return None, False
    try:
        answer = subprocess.run(
            ["git", "status", "--porcelain=v2", "--branch", "--untracked-files=no", "--", "."],  # noqa: S607 the user's git
            cwd=folder,
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
        ).stdout.splitlines()
    except (OSError, subprocess.CalledProcessError):
        return None, False
    commit = next((line.removeprefix("# branch.oid ") for line in answer if line.startswith("# branch.oid ")), None)
    return (None if commit == "(initial)" else commit), any(not line.startswith("#") for line in answer)


def _closure(start: Iterable[ModuleSource], root: Path) -> set[Path]:
    files: set[Path] = set()
    pending = {_unit(source.file) for source in start}
    seen: set[Path] = set()
    while pending:
        unit = pending.pop()
        seen.add(unit)
        for file in _unit_files(unit):
            if not file.is_relative_to(root):
                continue
            files.add(file.relative_to(root))
            if file.suffix == ".py":
                pending |= {found for found in _imported(file, root) if found not in seen}
    return files


def _unit(file: Path) -> Path:
    """Return the outermost package that holds a module, or the module itself; also for a module of ours."""
    unit = file
    if file.is_relative_to(_OURS):
        return unit
    folder = file.parent
    while (folder / "__init__.py").exists():
        unit = folder
        folder = folder.parent
    return unit


def _unit_files(unit: Path) -> Iterator[Path]:
    if unit.is_file():
        yield unit
        return
    for parent, folders, names in os.walk(unit):
        folders[:] = sorted(name for name in folders if name not in _SKIPPED_FOLDERS and not name.startswith("."))
        for name in sorted(names):
            file = Path(parent, name)
            if file.suffix in _SOURCE_SUFFIXES and not _SECRET.search(name) and file.stat().st_size <= _LARGEST:
                yield file


def _imported(file: Path, root: Path) -> Iterator[Path]:
    for one, several in _IMPORT.findall(file.read_bytes()):
        for name in (one or several).decode().split(","):
            module = name.strip().split(" ")[0]
            if not module or module.startswith(".") or module.partition(".")[0] == "cloudmlops":
                continue
            if (found := _find(module.split("."), root)) is not None:
                yield _unit(found)


def _find(parts: list[str], root: Path) -> Path | None:
    # The longest part of the name that is a module counts: `a.b.c` may name an attribute c of the module a.b.
    for count in range(len(parts), 0, -1):
        path = root.joinpath(*parts[:count])
        for file in (path.with_suffix(".py"), path / "__init__.py"):
            if file.is_file():
                return file
    return None


def _interactive_digest(functions: Iterable[Callable[..., object]]) -> str:
    return hashlib.sha256(b"\0".join(function.__code__.co_code for function in functions)).hexdigest()


@cache
def _distributions(folder: str, _changed: int) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for name in os.listdir(folder):  # noqa: PTH208 a name is all that is needed of thousands of entries
        if name.endswith((".dist-info", ".egg-info")):
            distribution, _, version = name.rpartition(".")[0].partition("-")
            found[distribution.replace("_", "-").lower()] = version.partition("-")[0]
    return found
