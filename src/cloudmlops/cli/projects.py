"""Projects that come with the package, and copies of them."""

from __future__ import annotations

import shutil
from pathlib import Path

from cloudmlops.errors import ConfigurationError, ConflictError

_PACKAGE = Path(__file__).parents[1]


def example(name: str) -> Path:
    """Return an example's folder: inside the installed package, or in the repository that is installed as editable."""
    for folder in (_PACKAGE / "examples" / name, _PACKAGE.parents[1] / "examples" / name):
        if folder.is_dir():
            return folder
    raise ConfigurationError(
        f"the example {name!r} is missing from the installation of cloudmlops",
        hint="Install the package again: pip install --force-reinstall cloudmlops.",
    )


def copy_example(name: str, to: Path, *, overwrite: bool = False) -> list[Path]:
    """Copy an example's files into a folder; return those that were written.

    A copy that is there already is kept, with what its owner changed in it; files that it misses are added.

    Args:
        name: The example.
        to: The folder, made when missing.
        overwrite: Write into a folder that holds something else, and over changed files.

    Raises:
        ConflictError: `to` is not a folder, or holds something that is no copy of the example.
    """
    source = example(name)
    names = sorted(
        path.relative_to(source)
        for path in source.rglob("*")
        if path.is_file() and not {part for part in path.parts if part.startswith((".", "__pycache__"))}
    )
    if to.exists() and not to.is_dir():
        raise ConflictError(f"{to} is a file", hint="Name a new folder.")
    held = [path.name for path in to.iterdir() if not path.name.startswith(".")] if to.exists() else []
    if held and not overwrite and not all((to / file).is_file() for file in names):
        raise ConflictError(
            f"{to} is not empty and is no copy of the example: it holds {', '.join(sorted(held)[:5])}",
            hint="Name a new folder, or write into this one with --force.",
        )
    written = []
    for file in names:
        if overwrite or not (to / file).exists():
            (to / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / file, to / file)
            written.append(to / file)
    return written
