"""Synthetic features and entities: `python -m benchmarks.data FOLDER FEATURE_ROWS KEYS ENTITY_ROWS`.

Made in a process of its own, so that the benchmark itself stays small.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

FEATURES: Final = tuple(f"f{i}" for i in range(10))
VERSIONS_A_KEY: Final = 100
DAYS: Final = 90
_FIRST_US: Final = 1_700_000_000_000_000


@dataclass(frozen=True, kw_only=True)
class Data:
    """`features`: user_id, event_timestamp (UTC, microseconds), f0 to f9 (float64), in order of time.

    `entities`: user_id, event_timestamp, in no order. Both Parquet files.
    """

    features: Path
    entities: Path
    raw_bytes: int
    """Of both tables, decoded."""


def versions(folder: Path, *, feature_rows: int, entity_rows: int) -> Data:
    """A hundred versions a key at random times, and entities at others."""
    return _made(folder, feature_rows, max(1, feature_rows // VERSIONS_A_KEY), entity_rows)


def latest(folder: Path, *, keys: int) -> Path:
    """One row a key."""
    return _made(folder, keys, keys, 1).features


def _made(folder: Path, feature_rows: int, keys: int, entity_rows: int) -> Data:
    data = _data(folder, feature_rows, keys, entity_rows)
    if not (data.features.exists() and data.entities.exists()):
        arguments = [str(folder), str(feature_rows), str(keys), str(entity_rows)]
        subprocess.run([sys.executable, "-m", __name__, *arguments], check=True, cwd=Path(__file__).parents[1])
    return data


def _data(folder: Path, feature_rows: int, keys: int, entity_rows: int) -> Data:
    return Data(
        features=folder / f"features-{feature_rows}-{keys}.parquet",
        entities=folder / f"entities-{feature_rows}-{keys}-{entity_rows}.parquet",
        raw_bytes=8 * (feature_rows * (2 + len(FEATURES)) + entity_rows * 2),
    )


def _make(folder: Path, feature_rows: int, keys: int, entity_rows: int) -> None:
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    random = np.random.default_rng(7)

    def table(users: np.ndarray, *, in_order: bool, features: tuple[str, ...]) -> pa.Table:
        times = _FIRST_US + random.integers(0, DAYS * 86_400_000_000, len(users))
        if in_order:
            times.sort()
        columns = {"user_id": users, "event_timestamp": pa.array(times, pa.timestamp("us", "UTC"))}
        return pa.table({**columns, **{name: random.standard_normal(len(users)) for name in features}})

    folder.mkdir(parents=True, exist_ok=True)
    data = _data(folder, feature_rows, keys, entity_rows)
    if not data.features.exists():
        users = random.permutation(keys) if keys == feature_rows else random.integers(0, keys, feature_rows)
        pq.write_table(table(users, in_order=True, features=FEATURES), data.features, row_group_size=1_000_000)
    pq.write_table(table(random.integers(0, keys, entity_rows), in_order=False, features=()), data.entities)


if __name__ == "__main__":
    _make(Path(sys.argv[1]), *map(int, sys.argv[2:]))
