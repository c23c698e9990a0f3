"""A feature view's Parquet files may lie in an object store."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import cloudmlops as cm
from cloudmlops.errors import InvalidEntitiesError
from cloudmlops.storage.opening import open_store

T = datetime(2026, 1, 1, tzinfo=UTC)


def parquet(hour: int, wind: float) -> bytes:
    written = io.BytesIO()
    at = pa.array([T + timedelta(hours=hour)], pa.timestamp("us", "UTC"))
    pq.write_table(pa.table({"origin": ["JFK"], "at": at, "wind": [wind]}), written)
    return written.getvalue()


def view(uri: str) -> cm.FeatureView:
    return cm.FeatureView(
        "weather",
        entity=cm.Entity("airport", keys={"origin": str}),
        source=cm.ParquetSource(uri),
        timestamp="at",
        features={"wind": float},
    )


def test_files_folders_and_globs_of_an_object_store_are_read(remote: str, platform: cm.Platform) -> None:
    store = open_store(remote)
    for hour, key in enumerate(["weather/day=1/a.parquet", "weather/b.parquet"]):
        store.put(key, parquet(hour, float(hour)))
    store.put("weather/notes.txt", b"no data")
    asked = [{"origin": "JFK", "event_time": T + timedelta(hours=hours)} for hours in (0, 1)]

    def winds(uri: str) -> list[float | None]:
        return platform.features.training_table(view(uri), asked)["wind"].to_pylist()

    assert winds(f"{remote}/weather/") == winds(f"{remote}/weather") == [0.0, 1.0]
    assert winds(f"{remote}/weather/*.parquet") == [None, 1.0]
    assert winds(f"{remote}/weather/day=1/a.parquet") == [0.0, 0.0]
    with pytest.raises(InvalidEntitiesError, match=f"there is no Parquet file at {remote}"):
        platform.features.apply([view(f"{remote}/nothing/")])
