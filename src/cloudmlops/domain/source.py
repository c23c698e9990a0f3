"""Which file a function's module is, and by which name another process imports it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True, slots=True)
class ModuleSource:
    """A module as another process can import it."""

    name: str
    root: Path
    """The folder to put on `sys.path`; absolute."""
    file: Path


_importing: ContextVar[bool] = ContextVar("cloudmlops_importing", default=False)


@contextmanager
def importing_steps() -> Iterator[None]:
    """Modules are imported for their steps; a run that one of them starts then would import it again, without end."""
    token = _importing.set(True)
    try:
        yield
    finally:
        _importing.reset(token)


def is_importing_steps() -> bool:
    """Say whether a module is being imported for its steps."""
    return _importing.get()


def module_source(name: str) -> ModuleSource | None:
    """Find a loaded module's source; None when it has no file, as in an interactive session.

    A script that runs as `__main__` is imported under its file's name, so that its `if __name__ == "__main__"` block
    does not run again.
    """
    module = sys.modules.get(name)
    path = getattr(module, "__file__", None)
    if path is None:
        return None
    file = Path(path).absolute()
    if name == "__main__" and (spec := getattr(module, "__spec__", None)) is not None:
        name = spec.name
    inside = file.parent if file.name == "__init__.py" else file.with_suffix("")
    parts = name.split(".")
    if inside.parts[-len(parts) :] == tuple(parts):
        return ModuleSource(name=name, root=inside.parents[len(parts) - 1], file=file)
    return ModuleSource(name=file.stem, root=file.parent, file=file)
