"""Container images: no container engine is assumed, so an interpreter of this machine stands for each image."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from threading import Lock
from typing import Final, Generic, Protocol, TypeVar

from cloudmlops.emulators.core.faults import Refused

PYTHONS: Final = ("python", "python3")
"""What containers call their interpreter."""
_INSTALLING: Final = """#!/bin/sh
# What is installed on this machine stands for what an image would hold: nothing is installed at run time.
echo "the emulator installs nothing: pip $*" >&2
exit 0
"""
_PYTHON: Final = """#!/bin/sh
if [ "$1" = "-m" ] && {{ [ "$2" = "pip" ] || [ "$2" = "ensurepip" ]; }}; then
    shift 2
    exec {pip} "$@"
fi
exec {python} "$@"
"""


class StandsForImage(Protocol):
    """What a table says of an image."""

    @property
    def python(self) -> str:
        """Its interpreter."""


Known = TypeVar("Known", bound=StandsForImage)


class ImageTable(Generic[Known]):
    """A table that can be extended: patterns such as `*/trainer:*`, the last one that fits wins.

    An image in no pattern is this interpreter, which is right for images that were built from this environment.
    """

    def __init__(self, folder: Path, *, otherwise: Known, unbuilt: Callable[[str], Refused]) -> None:
        """Begin with an empty table.

        Args:
            folder: Where programs that stand for the images' own are written.
            otherwise: Stands for what is in no pattern.
            unbuilt: Says how the cloud refuses an image that nobody has built.
        """
        self._folder = folder
        self._otherwise = otherwise
        self._unbuilt = unbuilt
        self._table: dict[str, Known | None] = {}
        self._writing = Lock()

    def let(self, pattern: str, image: Known) -> None:
        """Say what stands for the images of a pattern."""
        self._table.pop(pattern, None)
        self._table[pattern] = image

    def lack(self, pattern: str) -> None:
        """Say that the images of a pattern are in no registry: nobody has built them."""
        self._table.pop(pattern, None)
        self._table[pattern] = None

    def forget(self, pattern: str) -> None:
        """Take back what was said of a pattern."""
        self._table.pop(pattern, None)

    def lets(self, image: str) -> bool:
        """Say whether it was said what stands for an image."""
        return any(fnmatchcase(image, pattern) for pattern in self._table)

    def of(self, image: str) -> Known:
        """Return what stands for an image.

        Raises:
            Refused: There is none.
        """
        fitting = [known for pattern, known in self._table.items() if fnmatchcase(image, pattern)]
        found = fitting[-1] if fitting else self._otherwise
        if found is None:
            raise self._unbuilt(image)
        return found

    def environment(self, image: str, base: Mapping[str, str]) -> dict[str, str]:
        """Return an environment in which the image's interpreter is found first.

        Raises:
            Refused: There is no such image.
        """
        return {**base, "PATH": f"{self.programs(image)}{os.pathsep}{base.get('PATH', os.defpath)}"}

    def programs(self, image: str) -> Path:
        """Return a folder with the image's interpreter, and a `pip` that installs nothing.

        Raises:
            Refused: There is no such image.
        """
        python = self.of(image).python
        folder = self._folder / python.strip("/").replace("/", "_")
        with self._writing:
            if not (folder / "python3").exists():
                folder.mkdir(parents=True, exist_ok=True)
                for name in ("pip", "pip3"):
                    _write_program(folder / name, _INSTALLING)
                text = _PYTHON.format(pip=shlex.quote(str(folder / "pip")), python=shlex.quote(python))
                for name in PYTHONS:
                    _write_program(folder / name, text)
        return folder


def _write_program(file: Path, text: str) -> None:
    new = file.with_name(f".{file.name}.new")
    new.write_text(text)
    new.chmod(0o755)
    new.replace(file)
