"""Online stores: fill one from a Parquet file, and read the ten features of one and of a hundred entities.

An engine's module has `open_store(folder, features) -> Store`.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

from benchmarks.measuring import WARM_UP, latencies, peak_mib


class Store(Protocol):
    """An online store of one view."""

    def fill(self) -> None:
        """Take the latest row of each key over from the Parquet file."""

    def read(self, keys: Sequence[int]) -> Sequence[object]:
        """Return what is known of each key, in a form that a model's caller can use."""


def drive(
    engine: ModuleType, *, folder: str, features: str, warm_up: str, keys: int, reads: dict[str, int] | None
) -> dict[str, Any]:
    """Fill the store, then take the latencies of `reads["one"]` and `reads["hundred"]` calls.

    Another store is filled from the tiny `warm_up` before, so that first-use costs are not counted.
    """
    engine.open_store(_made(Path(folder) / "warm-up"), warm_up).fill()
    home = _made(Path(folder) / "store")
    store: Store = engine.open_store(home, features)
    begun, cpu = time.perf_counter(), time.process_time()
    store.fill()
    answer: dict[str, Any] = {
        "fill_s": time.perf_counter() - begun,
        "fill_cpu_s": time.process_time() - cpu,
        "peak_mib": peak_mib(),
    }
    if reads:
        answer["one"] = _read(store, 1, keys, reads["one"])
        answer["hundred"] = _read(store, 100, keys, reads["hundred"])
    answer["bytes"] = sum(file.stat().st_size for file in home.rglob("*") if file.is_file())
    return answer


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _read(store: Store, size: int, keys: int, count: int) -> dict[str, float]:
    chance = random.Random(5)
    asked = [chance.choices(range(keys), k=size) for _ in range(WARM_UP + count)]
    found = store.read(asked[0])
    if len(found) != size or any(row is None for row in found):
        raise AssertionError(f"{len(found)} rows were found for {size} keys: {found[:2]}")
    return latencies(lambda index: store.read(asked[index]), count)
