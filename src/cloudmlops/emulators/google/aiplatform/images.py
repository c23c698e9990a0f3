"""Container images: which program on this machine stands for which image."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from shutil import which
from threading import Lock
from typing import Final, Self
from weakref import WeakKeyDictionary

from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.core.images import PYTHONS, ImageTable
from cloudmlops.emulators.core.state import State

_PYTHON_OF_A_VERSION: Final = re.compile(r"python[0-9.]*")


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


class Images(ImageTable[Image]):
    """The images of jobs and of endpoints, by patterns such as `europe-docker.pkg.dev/*/trainer:*`."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, otherwise=Image(), unbuilt=_cannot_be_read)
        self._given: dict[str, Image | None] = dict(_OURS)
        self.reset()

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
        if Path(words[0]).name in PYTHONS:
            words[0] = str(self.programs(image) / "python3") if words[1:3] == ["-m", "pip"] else known.python
        return words


_known: WeakKeyDictionary[State, Images] = WeakKeyDictionary()
_finding: Final = Lock()


def images_of(state: State) -> Images:
    """Return the one table of an emulator."""
    with _finding:
        if (found := _known.get(state)) is None:
            found = _known[state] = Images(state.folder / "images")
        return found


def _cannot_be_read(image: str) -> Refused:
    return Refused(
        "INVALID_ARGUMENT", f"Failed to read the container uri [{image}]. Please make sure that the image exists."
    )
