"""cloudmlops' online store on a durable local platform."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cloudmlops as cm
from benchmarks.data import FEATURES


class Ours:
    def __init__(self, folder: Path, features: str) -> None:
        self._platform = cm.connect(f"local://{folder}")
        self._view = cm.FeatureView(
            "view",
            entity=cm.Entity("user", keys={"user_id": int}),
            source=cm.ParquetSource(features),
            timestamp="event_timestamp",
            features=dict.fromkeys(FEATURES, float),
        )
        self._platform.features.apply([self._view])

    def fill(self) -> None:
        self._platform.features.materialize(self._view)

    def read(self, keys: Sequence[int]) -> list[dict[str, Any]]:
        return self._platform.features.online(self._view, [{"user_id": key} for key in keys]).values()


def open_store(folder: Path, features: str) -> Ours:
    return Ours(folder, features)
