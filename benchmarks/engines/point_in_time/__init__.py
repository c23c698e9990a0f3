"""Point-in-time joins: two Parquet files in, one table in memory out, with one row an entity row.

An engine's module has `prepare(folder, features, ttl_s) -> Join`: definitions, which are timed apart.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from benchmarks.measuring import peak_mib

Join = Callable[[str], Any]
"""From the path of the entities to an Arrow, polars or pandas table."""


def drive(
    engine: ModuleType, *, folder: str, features: str, entities: str, ttl_s: int, warm_up: dict[str, str]
) -> dict[str, Any]:
    """Join once, after one join of the tiny data `warm_up`, so that first-use costs are not counted."""
    home = Path(folder)
    small: Join = engine.prepare(home / "warm-up", warm_up["features"], ttl_s)
    small(warm_up["entities"])
    begun = time.perf_counter()
    join: Join = engine.prepare(home / "join", features, ttl_s)
    prepare_s = time.perf_counter() - begun
    begun, cpu = time.perf_counter(), time.process_time()
    table = join(entities)
    answer = {"s": time.perf_counter() - begun, "cpu_s": time.process_time() - cpu, "peak_mib": peak_mib()}
    return {**answer, "prepare_s": prepare_s, **_checked(table)}


def _checked(table: Any) -> dict[str, float]:
    """Rows, rows with a value and their sum: by these the engines' answers are compared."""
    import numpy as np

    values = table["f0"].to_numpy()
    return {"rows": len(values), "hits": int((~np.isnan(values)).sum()), "sum": round(float(np.nansum(values)), 2)}
