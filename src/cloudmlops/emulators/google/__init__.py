"""Google's services: Vertex AI, BigQuery, Bigtable, Cloud Storage, and the small ones beside them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cloudmlops.emulators.core.emulator import Emulator
    from cloudmlops.emulators.google.cloud import GoogleCloud


def vertex_cloud(images: Mapping[str, Sequence[str]] = MappingProxyType({})) -> GoogleCloud:
    """Return Google's services for an `Emulator`; each emulator takes one of its own.

    Args:
        images: Commands of this machine that run for container images, by patterns such as `*/trainer:*`.

    Raises:
        Refused: There is no such command.
    """
    from cloudmlops.emulators.google.aiplatform.images import Image  # here, because these load Google's packages
    from cloudmlops.emulators.google.cloud import GoogleCloud

    return GoogleCloud(images={pattern: Image.running(command) for pattern, command in images.items()})


@contextmanager
def vertex_emulator(*, state: Path | None = None, port: int = 0) -> Iterator[Emulator]:
    """Run Vertex AI and all that belongs to it on loopback.

    Args:
        state: A folder that keeps what the services hold; None forgets all at the end.
        port: Where to answer; 0 lets the system choose.
    """
    from cloudmlops.emulators.core.emulator import Emulator

    with Emulator([vertex_cloud()], state=state, port=port) as emulator:
        yield emulator
