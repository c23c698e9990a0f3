"""Container images: no container engine is assumed, so a program on this machine stands for each image."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from shutil import which
from threading import Lock
from typing import Final, Self
from weakref import WeakKeyDictionary

from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.core.state import State

_PYTHONS: Final = ("python", "python3")
_PYTHON_OF_A_VERSION: Final = re.compile(r"python[0-9.]*")
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
    entrypoint: tuple[str, ...] = ()
    """The command of a container that names none."""

    @classmethod
    def running(cls, command: Sequence[str]) -> Self:
        """Return one whose entry point is a command of this machine; an interpreter that it begins with is its own.

        Raises:
            Refused: The command is empty, or there is no such program.
        """
        if not command or (program := which(command[0])) is None:
            raise Refused("INVALID_ARGUMENT", f"There is no program {command[0] if command else ''!r} on this machine.")
        if _PYTHON_OF_A_VERSION.fullmatch(Path(program).name):
            return cls(entrypoint=("python", *command[1:]), python=program)
        return cls(entrypoint=tuple(command))


_SERVING: Final = Image(entrypoint=("python", "-P", "-m", "cloudmlops.serving"))
_OURS: Final = {"*/cloudmlops/serving*": _SERVING, "*cloudmlops-serving*": _SERVING}
"""Images that we build ourselves."""


class Images:
    """A table that can be extended: patterns such as `europe-docker.pkg.dev/*/trainer:*`, the last one that fits wins.

    It is one for the containers of jobs and of endpoints. An image in no pattern is this interpreter, which is right
    for images that were built from this environment.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._given: dict[str, Image | None] = dict(_OURS)
        self._table = dict(self._given)
        self._writing = Lock()

    def begin_with(self, given: Mapping[str, Image]) -> None:
        """Have these in the table from the start, beside our own."""
        self._given = {**_OURS, **given}
        self.reset()

    def reset(self) -> None:
        """Forget all that was said since the start."""
        self._table = dict(self._given)

    def all(self) -> dict[str, Image | None]:
        """Return the table in its order; None stands for images that nobody has built."""
        return dict(self._table)

    def let(self, pattern: str, image: Image) -> None:
        """Say what stands for the images of a pattern."""
        self._table.pop(pattern, None)
        self._table[pattern] = image

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
                "INVALID_ARGUMENT",
                f"Failed to read the container uri [{image}]. Please make sure that the image exists.",
            )
        return found

    def command(self, image: str, command: Sequence[str], arguments: Sequence[str]) -> list[str]:
        """Return the command of a container on this machine.

        Raises:
            Refused: It has none, and it is not known which the image has.
        """
        known = self.of(image)
        words = [*(command or known.entrypoint), *arguments]
        if not command and not known.entrypoint:
            raise Refused(
                "UNIMPLEMENTED",
                f"The entry point of the image {image} is not emulated: name it in the emulator's table of images "
                f"(known: {', '.join(self._table)}).",
            )
        if Path(words[0]).name in _PYTHONS:
            words[0] = str(self._programs(known) / "python3") if words[1:3] == ["-m", "pip"] else known.python
        return words

    def environment(self, image: str, base: Mapping[str, str]) -> dict[str, str]:
        """Return an environment in which the image's interpreter is found first."""
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
                for name in _PYTHONS:
                    _program(folder / name, text)
        return folder


_known: WeakKeyDictionary[State, Images] = WeakKeyDictionary()
_finding: Final = Lock()


def images_of(state: State) -> Images:
    """Return the one table of an emulator."""
    with _finding:
        if (found := _known.get(state)) is None:
            found = _known[state] = Images(state.folder / "images")
        return found


def _program(file: Path, text: str) -> None:
    new = file.with_name(f".{file.name}.new")
    new.write_text(text)
    new.chmod(0o755)
    new.replace(file)
