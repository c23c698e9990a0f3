"""Container images: which interpreter on this machine stands for which image."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.core.images import ImageTable


@dataclass(frozen=True, kw_only=True, slots=True)
class Image:
    """What stands for an image."""

    python: str = sys.executable
    """Its interpreter."""


class Images(ImageTable[Image]):
    """The images of jobs, by patterns such as `contoso.azurecr.io/trainer:*`."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, otherwise=Image(), unbuilt=_cannot_be_pulled)


def _cannot_be_pulled(image: str) -> Refused:
    return Refused(
        "NOT_FOUND",
        f"Failed to pull Docker image {image}. The image may not exist, or the compute may not read the registry.",
    )
