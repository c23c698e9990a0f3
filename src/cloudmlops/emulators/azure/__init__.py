"""Azure's services: Azure Machine Learning, Entra, role-based access, Blob storage and Event Grid."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cloudmlops.emulators.azure.cloud import AzureCloud
    from cloudmlops.emulators.core.emulator import Emulator


def azure_cloud(principals: Path | None = None) -> AzureCloud:
    """Return Azure's services for an `Emulator`; each emulator takes one of its own.

    Args:
        principals: A file of who there is and who may do what (`entra.principals`); without it one owner.
    """
    from cloudmlops.emulators.azure.cloud import AzureCloud

    return AzureCloud(principals)


@contextmanager
def azureml_emulator(*, state: Path | None = None, port: int = 0, principals: Path | None = None) -> Iterator[Emulator]:
    """Run Azure Machine Learning and all that belongs to it on loopback.

    Azure's SDKs speak TLS only: they reach it behind the redirect, with the variables of `Emulator.environment`.

    Args:
        state: A folder that keeps what the services hold; None forgets all at the end.
        port: Where to answer; 0 lets the system choose.
        principals: A file of who there is and who may do what; without it one owner.
    """
    from cloudmlops.emulators.core.emulator import Emulator

    with Emulator([azure_cloud(principals)], state=state, port=port) as emulator:
        yield emulator
