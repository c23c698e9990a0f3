"""Which file a function's module is, and by which name another process imports it."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True, slots=True)
class ModuleSource:
    """A module as another process can import it."""

    name: str
    root: Path
    """The folder to put on `sys.path`; absolute."""
    file: Path


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
        name = spec.name.removesuffix(".__main__")
    inside = file.parent if file.name == "__init__.py" else file.with_suffix("")
    parts = name.split(".")
    if inside.parts[-len(parts) :] == tuple(parts):
        return ModuleSource(name=name, root=inside.parents[len(parts) - 1], file=file)
    return ModuleSource(name=file.stem, root=file.parent, file=file)
