"""What runs for a container image: no container engine is assumed, so an image stands for a command of this machine."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

from cloudmlops.emulators.core.faults import Refused


@dataclass(frozen=True, kw_only=True, slots=True)
class ServingImage:
    """What stands for an image."""

    command: Sequence[str]
    """`{port}` in it is where the container is to answer, whatever port the environment's routes name."""
    health_route: str = "/"
    """Where none is given by the environment."""
    scoring_route: str = "/score"
    """Where none is given by the environment."""


_SERVER: Final = ("-P", "-m", "cloudmlops.serving", "--host", "127.0.0.1", "--port", "{port}")
MODEL_SERVER: Final = ServingImage(command=(sys.executable, *_SERVER), health_route="/healthz")
"""Our serving image, which finds the model by `AZUREML_MODEL_DIR`; it stands for the one of MLflow models too."""


class ServingImages:
    """Patterns of images, with `*`, and what they stand for; the latest that fits counts."""

    def __init__(self) -> None:
        self._table: list[tuple[str, ServingImage]] = [
            ("*/cloudmlops/serving*", MODEL_SERVER),
            ("*cloudmlops-serving*", MODEL_SERVER),
        ]

    def let(self, pattern: str, image: ServingImage) -> None:
        """Say what stands for the images of a pattern."""
        self._table.append((pattern, image))

    def of(self, image: str) -> ServingImage:
        """Return what stands for an image.

        Raises:
            Refused: Nothing does.
        """
        for pattern, known in reversed(self._table):
            if fnmatchcase(image, pattern):
                return known
        known_ones = ", ".join(pattern for pattern, _ in self._table)
        raise Refused(
            "UNIMPLEMENTED",
            f"the image {image} is not emulated: no command stands for it, only for {known_ones or 'none'}; "
            "say one with cloudmlops emulate azureml --image PATTERN=COMMAND",
        )
