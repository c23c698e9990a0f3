"""DuckDB's ASOF JOIN of whole rows."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pyarrow as pa

from benchmarks.data import FEATURES
from benchmarks.engines.point_in_time import Join


def prepare(_: Path, features: str, ttl_s: int) -> Join:
    fresh = f"f.event_timestamp >= e.event_timestamp - INTERVAL {ttl_s} SECOND"
    columns = ", ".join(f"CASE WHEN {fresh} THEN f.{name} END AS {name}" for name in FEATURES)

    def join(entities: str) -> pa.Table:
        connection = duckdb.connect()
        connection.execute("SET timezone = 'UTC'")
        return connection.execute(
            f"""
            SELECT e.*, {columns}
            FROM read_parquet('{entities}') e ASOF LEFT JOIN read_parquet('{features}') f
            ON e.user_id = f.user_id AND e.event_timestamp >= f.event_timestamp
            """
        ).to_arrow_table()

    return join
