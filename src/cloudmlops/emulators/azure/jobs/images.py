"""Container images: which interpreter on this machine stands for which image."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from threading import Lock
from typing import Final

from cloudmlops.emulators.core.faults import Refused

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


@dataclass(frozen=True, kw_only=True, slots=True)
class Image:
    """What stands for an image."""

    python: str = sys.executable
    """Its interpreter."""


class Images:
    """A table that can be extended: patterns such as `contoso.azurecr.io/trainer:*`, the last one that fits wins.

    An image in no pattern is this interpreter, which is right for images that were built from this environment.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._table: dict[str, Image | None] = {}
        self._writing = Lock()

    def let(self, pattern: str, image: Image) -> None:
        """Say what stands for the images of a pattern."""
        self._table.pop(pattern, None)
        self._table[pattern] = image

    def forget(self, pattern: str) -> None:
        """Take back what was said of a pattern."""
        self._table.pop(pattern, None)

    def lack(self, pattern: str) -> None:
        """Say that the images of a pattern are in no registry: nobody has built them."""
        self._table.pop(pattern, None)
        self._table[pattern] = None

    def of(self, image: str) -> Image:
        """Return what stands for an image.

        Raises:
            Refused: There is none.
        """
        fitting = [known for pattern, known in self._table.items() if fnmatchcase(image, pattern)]
        found = fitting[-1] if fitting else Image()
        if found is None:
            raise Refused(
                "NOT_FOUND",
                f"Failed to pull Docker image {image}. The image may not exist, or the compute may not read the "
                "registry.",
            )
        return found

    def lets(self, image: str) -> bool:
        """Say whether it was said what stands for an image."""
        return any(fnmatchcase(image, pattern) for pattern in self._table)

    def environment(self, image: str, base: Mapping[str, str]) -> dict[str, str]:
        """Return an environment in which the image's interpreter is found first.

        Raises:
            Refused: There is no such image.
        """
        programs = self._programs(self.of(image))
        return {**base, "PATH": f"{programs}{os.pathsep}{base.get('PATH', os.defpath)}"}

    def _programs(self, image: Image) -> Path:
        folder = self._folder / image.python.strip("/").replace("/", "_")
        with self._writing:
            if not (folder / "python3").exists():
                folder.mkdir(parents=True, exist_ok=True)
                for name in ("pip", "pip3"):
                    _program(folder / name, _INSTALLING)
                text = _PYTHON.format(pip=shlex.quote(str(folder / "pip")), python=shlex.quote(image.python))
                for name in ("python", "python3"):
                    _program(folder / name, text)
        return folder


def _program(file: Path, text: str) -> None:
    new = file.with_name(f".{file.name}.new")
    new.write_text(text)
    new.chmod(0o755)
    new.replace(file)
