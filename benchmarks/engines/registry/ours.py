"""cloudmlops' models on a durable local platform; every promotion archives the version that it displaces."""

from __future__ import annotations

from pathlib import Path

import cloudmlops as cm

_MODEL = "bench"


class Ours:
    def __init__(self, folder: Path, versions: int) -> None:
        artifact = folder / "artifact"
        artifact.mkdir()
        (artifact / "MLmodel").write_text("flavors: {}\n")
        self._models = cm.connect(f"local://{folder / 'platform'}").models
        self._versions = [self._models.register(_MODEL, artifact).version for _ in range(versions)]
        for version in self._versions:
            self._models.promote(_MODEL, version, to=cm.Stage.CANDIDATE)
            self._models.promote(_MODEL, version, to=cm.Stage.STAGING)

    def promote(self, index: int) -> object:
        return self._models.promote(_MODEL, self._versions[index], to=cm.Stage.PRODUCTION, reason="benchmark")

    def production(self) -> object:
        return self._models.get(_MODEL, stage=cm.Stage.PRODUCTION)


def open_registry(folder: Path, versions: int) -> Ours:
    return Ours(folder, versions)
