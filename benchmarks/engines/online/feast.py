"""Feast's sqlite online store."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.engines.feast_store import REFERENCES, applied


class Feast:
    def __init__(self, folder: Path, features: str) -> None:
        self._store = applied(folder, features, ttl_s=0)

    def fill(self) -> None:
        self._store.materialize(
            datetime(2023, 1, 1, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC), disable_event_timestamp=False
        )

    def read(self, keys: Sequence[int]) -> list[float | None]:
        rows = [{"user_id": key} for key in keys]
        values: list[float | None] = self._store.get_online_features(features=REFERENCES, entity_rows=rows).to_dict()[
            "f0"
        ]
        return values


def open_store(folder: Path, features: str) -> Feast:
    return Feast(folder, features)
