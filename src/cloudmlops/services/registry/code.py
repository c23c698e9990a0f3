"""First-party source that travels with a model, under MLflow's `code/` folder, for a serving process to import."""

from __future__ import annotations

import sysconfig
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cloudmlops.domain.source import module_source

if TYPE_CHECKING:
    from cloudmlops.domain.features import FeatureService

CODE: Final = "code"
_INSTALLED: Final = tuple({Path(sysconfig.get_path(name)) for name in ("purelib", "platlib", "stdlib")})


def code_faults(features: FeatureService | None, code: Sequence[Path]) -> list[str]:
    """List what keeps the code from travelling, in words."""
    faults = [f"the code path {path} does not exist" for path in code if not path.exists()]
    return faults + [
        f"on-demand feature {feature.name!r} is not a top-level function of a module: no server could import it"
        for feature in (features.on_demand if features else ())
        if feature.reference is None
    ]


def code_files(features: FeatureService | None, code: Sequence[Path]) -> dict[str, Path | bytes]:
    """Return the files to put beside the model: `code`, and the modules of the service's on-demand functions."""
    found: dict[str, Path | bytes] = {}
    for path in (given.resolve() for given in code):
        found |= _below(path, path.parent)
    for feature in features.on_demand if features else ():
        module = (feature.reference or "").partition(":")[0]
        import_module(module)
        source = module_source(module)
        if source is None or any(source.file.is_relative_to(installed) for installed in _INSTALLED):
            continue
        # Of a package the whole: a part of it would hide the rest from the server.
        top = source.root / source.name.partition(".")[0]
        found |= _below(top if top.is_dir() else source.file, source.root)
    return found


def _below(path: Path, root: Path) -> dict[str, Path | bytes]:
    return {f"{CODE}/{file.relative_to(root).as_posix()}": file for file in _sources(path)}


def _sources(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
        return
    for file in sorted(path.rglob("*")):
        if file.is_file() and "__pycache__" not in file.parts and not any(part.startswith(".") for part in file.parts):
            yield file
