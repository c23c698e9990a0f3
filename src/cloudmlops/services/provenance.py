"""Where a run comes from: its source as a snapshot, its git commit, its packages."""

from __future__ import annotations

import hashlib
import os
import platform as machine
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from cloudmlops.domain.actors import Actor
from cloudmlops.domain.graph import Graph
from cloudmlops.domain.lineage import Lineage
from cloudmlops.domain.loose_code import loose_digest
from cloudmlops.domain.runs import SourceSnapshot
from cloudmlops.domain.source import ModuleSource, module_source
from cloudmlops.materializers.snapshots import pack, snapshot_key, source_digest
from cloudmlops.ports.objects import ObjectStore

_IMPORT: Final = re.compile(rb"^[ \t]*(?:from[ \t]*([\w.]+)[ \t]+import|import[ \t]+([\w., \t]+))", re.MULTILINE)
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
    functions = tuple(functions)
    names = dict.fromkeys(function.__module__ for function in functions)
    found = [source for name in names if (source := module_source(name)) is not None]
    if not found:
        return SourceSnapshot(digest=_interactive_digest(functions), root=str(Path.cwd()), files=())
    root = next((source.root for source in found if not _is_installed(source.root)), found[0].root)
    found = [source for source in found if source.root == root]
    files = tuple(sorted(file.as_posix() for file in _closure(found, root)))
    return SourceSnapshot(digest=source_digest(root, files), root=str(root), files=files)


def cacheable(graph: Graph, source: SourceSnapshot) -> Graph:
    """Return the graph, in which steps whose source is neither in the snapshot nor installed are never cached."""
    outside = {
        name
        for name, function in graph.functions.items()
        if (found := module_source(function.__module__)) is not None
        and str(found.root) != source.root
        and not _is_installed(found.root)
    }
    if not outside:
        return graph
    steps = tuple(
        replace(step, options=replace(step.options, cache=False)) if step.name in outside else step
        for step in graph.steps
    )
    return replace(graph, steps=steps)


def keep_snapshot(objects: ObjectStore, source: SourceSnapshot) -> None:
    """Leave the source in the object store, once for each content."""
    key = snapshot_key(source.digest)
    if source.files and not objects.exists(key):
        objects.create(key, pack(Path(source.root), source.files))


def lineage(
    source: SourceSnapshot, parameters: Mapping[str, object], *, actor: Actor, at: datetime, image: str | None = None
) -> Lineage:
    """Describe what a run that starts now is made from."""
    commit, dirty = git_state(Path(source.root), source.files)
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


def git_state(folder: Path, files: Iterable[str] = ()) -> tuple[str | None, bool]:
    """Return the commit that is checked out in `folder`, and whether files differ from it or are not in it."""
    if not any((parent / ".git").exists() for parent in (folder, *folder.parents)):
        return None, False
    try:
        answer = _git(folder, "status", "--porcelain=v2", "--branch", "--untracked-files=no", "--", ".").splitlines()
        tracked = set(_git(folder, "ls-files", "-z", "--", ".").split("\0"))
    except (OSError, subprocess.CalledProcessError):
        return None, False
    commit = next((line.removeprefix("# branch.oid ") for line in answer if line.startswith("# branch.oid ")), None)
    dirty = any(not line.startswith("#") for line in answer) or not tracked.issuperset(files)
    return (None if commit == "(initial)" else commit), dirty


def _git(folder: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments],  # noqa: S607 the user's git
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
    ).stdout


def _closure(start: Iterable[ModuleSource], root: Path) -> set[Path]:
    files: set[Path] = set()
    pending = {_unit(source.file, root) for source in start}
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


def _is_installed(root: Path) -> bool:
    return root.name in ("site-packages", "dist-packages")


def _unit(file: Path, root: Path) -> Path:
    """Return the outermost package that holds a module, or its folder in a namespace, or the module itself."""
    unit = file
    if file.is_relative_to(_OURS):  # also a module of ours
        return unit
    folder = file.parent
    while (folder / "__init__.py").exists():
        unit = folder
        folder = folder.parent
    return folder if unit == file and file.is_file() and folder != root else unit


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
            if not module or module.partition(".")[0] == "cloudmlops":
                continue
            if (found := _find(module, file, root)) is not None:
                yield _unit(found, root)


def _find(module: str, importer: Path, root: Path) -> Path | None:
    # The longest part of the name that is a module counts: `a.b.c` may name an attribute c of the module a.b.
    name = module.lstrip(".")
    start = importer.parents[len(module) - len(name) - 1] if name != module else root
    parts = name.split(".") if name else []
    for count in range(len(parts), -1 if name != module else 0, -1):
        path = start.joinpath(*parts[:count])
        for file in (path.with_name(f"{path.name}.py"), path / "__init__.py"):
            if file.is_file():
                return file
        if path != root and path.is_dir() and (name != module or _is_namespace(parts[0])):
            return path
    return None


def _is_namespace(name: str) -> bool:
    # A folder is only a namespace when no module of its name is anywhere on the path.
    try:
        found = find_spec(name)
    except ValueError:
        return False
    return found is None or found.origin is None


def _interactive_digest(functions: Iterable[Callable[..., object]]) -> str:
    told = "\0".join(loose_digest(function) or function.__qualname__ for function in functions)
    return hashlib.sha256(told.encode()).hexdigest()


@cache
def _distributions(folder: str, _changed: int) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for name in os.listdir(folder):  # noqa: PTH208 a name is all that is needed of thousands of entries
        if name.endswith((".dist-info", ".egg-info")):
            distribution, _, version = name.rpartition(".")[0].partition("-")
            found[distribution.replace("_", "-").lower()] = version.partition("-")[0]
    return found
