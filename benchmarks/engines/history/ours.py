"""cloudmlops' ledger of one model, on disk; most entries are about tags, which are the cheapest to write."""

from __future__ import annotations

from pathlib import Path

import cloudmlops as cm

_MODEL = "bench"


class Ours:
    def __init__(self, folder: Path) -> None:
        self._artifact = folder / "artifact"
        self._artifact.mkdir()
        (self._artifact / "MLmodel").write_text("flavors: {}\n")
        self._target = f"local://{folder / 'platform'}"

    def write(self, entries: int) -> None:
        models = cm.connect(self._target).models
        version = models.register(_MODEL, self._artifact).version
        for number in range(entries - len(models.history(_MODEL))):
            models.tag(_MODEL, version, {"number": str(number)})

    def read(self) -> int:
        with cm.connect(self._target) as platform:  # a new one has not read any entry
            return len(platform.models.history(_MODEL))


def open_history(folder: Path) -> Ours:
    return Ours(folder)
