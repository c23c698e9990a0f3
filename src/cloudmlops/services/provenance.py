"""Where a run comes from: its source as a snapshot, its git commit, its packages."""

from __future__ import annotations

import ast
import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final, NamedTuple

from cloudmlops.domain.actors import Actor
from cloudmlops.domain.installed import packages, python
from cloudmlops.domain.lineage import Lineage
from cloudmlops.domain.loose_code import loose_digest
from cloudmlops.domain.runs import SourceRoot, SourceSnapshot
from cloudmlops.domain.source import ModuleSource, module_source
from cloudmlops.materializers.snapshots import pack, snapshot_key, source_digest
from cloudmlops.ports.objects import ObjectStore

_LARGEST: Final = 1 << 20
"""Bytes; larger files of a package are data and do not belong into its source."""
_OURS: Final = Path(__file__).parent.parent
"""This package counts as installed; its version is among the packages."""
_STANDARD_LIBRARY: Final = Path(os.__file__).parent
_SKIPPED_FOLDERS: Final = frozenset({"__pycache__", "node_modules", "site-packages", "venv", "env", "build", "dist"})
_SECRET: Final = re.compile(
    r"(^\.|^id_|secret|credential|password|token|\.(pem|key|p12|pfx|jks|keystore)$)", re.IGNORECASE
)
_SOURCE_SUFFIXES: Final = frozenset(
    {".py", ".pyi", ".sql", ".json", ".yaml", ".yml", ".toml", ".txt", ".md", ".html", ".j2"}
)


def source_snapshot(functions: Iterable[Callable[..., object]]) -> SourceSnapshot:
    """Find the first-party modules that these functions need, and digest them.

    First party are the functions' own modules, whole packages at once, and what they import from any folder of the
    import path that is the user's. What is installed counts as a package and not as source.
    """
    functions = tuple(functions)
    names = dict.fromkeys(function.__module__ for function in functions)
    found = [source for name in names if (source := module_source(name)) is not None]
    if not found:
        return SourceSnapshot(digest=_interactive_digest(functions), roots=())
    own = [source for source in found if not _is_installed(source.root)]
    files = _Closure([source.root for source in own]).files(own)
    roots = tuple(
        SourceRoot(path=str(root), files=tuple(sorted(file.as_posix() for file in below)))
        for root, below in files.items()
        if below
    )
    return SourceSnapshot(digest=source_digest(roots), roots=roots)


def keep_snapshot(objects: ObjectStore, source: SourceSnapshot) -> None:
    """Leave the source in the object store, once for each content."""
    key = snapshot_key(source.digest)
    if source.roots and not objects.exists(key):
        objects.create(key, pack(source.roots))


def lineage(
    source: SourceSnapshot, parameters: Mapping[str, object], *, actor: Actor, at: datetime, image: str | None = None
) -> Lineage:
    """Describe what a run that starts now is made from."""
    checkouts = [git_state(Path(root.path), root.files) for root in source.roots] or [git_state(Path.cwd())]
    return Lineage(
        git_commit=checkouts[0][0],
        git_dirty=any(dirty for _, dirty in checkouts),
        source_digest=source.digest,
        parameters=dict(parameters),
        python=python(),
        packages=packages(),
        actor=actor,
        started_at=at,
        image=image,
    )


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


class _Closure:
    """What modules need, themselves included, in every root that is the user's."""

    def __init__(self, roots: Iterable[Path]) -> None:
        on_path = (Path(entry or ".").absolute() for entry in sys.path)
        own = [root for root in on_path if root.is_dir() and not _is_installed(root)]
        self._roots = tuple(dict.fromkeys((*(root for root in roots if root not in own), *own)))
        self._known: dict[str, list[_Place]] = {}

    def files(self, start: Iterable[ModuleSource]) -> dict[Path, set[Path]]:
        """Return the files below each root, relative to it."""
        found: dict[Path, set[Path]] = {root: set() for root in self._roots}
        pending = {_Place(source.root, _unit(source.file, source.root)) for source in start}
        seen: set[_Place] = set()
        while pending:
            place = pending.pop()
            seen.add(place)
            for file in _unit_files(place.path):
                if not file.is_relative_to(place.root):
                    continue
                found[place.root].add(file.relative_to(place.root))
                if file.suffix == ".py":
                    pending |= {one for one in self._imported(file, place.root) if one not in seen}
        return found

    def _imported(self, file: Path, root: Path) -> Iterator[_Place]:
        known = file.stat()
        for module in _imports(file, known.st_mtime_ns, known.st_size):
            if module.partition(".")[0] == "cloudmlops":
                continue
            if module.startswith("."):
                name = module.lstrip(".")
                found = _find(name, file.parents[len(module) - len(name) - 1], relative=True)
                places = [_Place(root, found[0])] if found and found[0] != root else []
            else:
                if module not in self._known:
                    self._known[module] = list(self._absolute(module))
                places = self._known[module]
            for place in places:
                yield _Place(place.root, _unit(place.path, place.root))

    def _absolute(self, module: str) -> Iterator[_Place]:
        # A module anywhere on the path comes before a namespace, and a namespace is all its folders.
        found = [(root, *one) for root in self._roots if (one := _find(module, root)) is not None]
        modules = [_Place(root, path) for root, path, is_module in found if is_module]
        yield from modules[:1] or [_Place(root, path) for root, path, _ in found]


class _Place(NamedTuple):
    root: Path
    path: Path


def _is_installed(root: Path) -> bool:
    return root.name in ("site-packages", "dist-packages") or root.is_relative_to(_STANDARD_LIBRARY)


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


@lru_cache(maxsize=4096)
def _imports(file: Path, _changed: int, _size: int) -> tuple[str, ...]:
    """Return the modules that a file imports anywhere in it, as it names them; relative ones begin with dots."""
    text = file.read_bytes()
    if b"import" not in text:
        return ()
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):  # a template, or of another Python: nothing that a run could import
        return ()
    names: dict[str, None] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= dict.fromkeys(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names["." * node.level + (node.module or "")] = None
    return tuple(names)


def _find(name: str, start: Path, *, relative: bool = False) -> tuple[Path, bool] | None:
    """Return the file of the module `name` below `start`, or its folder in a namespace; and whether it is a file."""
    # The longest part of the name that is a module counts: `a.b.c` may name an attribute c of the module a.b.
    parts = name.split(".") if name else []
    for count in range(len(parts), -1 if relative else 0, -1):
        path = start.joinpath(*parts[:count])
        for file in (path.with_name(f"{path.name}.py"), path / "__init__.py"):
            if file.is_file():
                return file, True
        if path.is_dir() and (relative or _is_namespace(parts[0])):
            return path, False
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
