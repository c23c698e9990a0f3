"""DuckDB with a range join and ROW_NUMBER: the shape of the SQL that feature stores send to warehouses."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pyarrow as pa

from benchmarks.data import FEATURES
from benchmarks.engines.point_in_time import Join


def prepare(_: Path, features: str, ttl_s: int) -> Join:
    names = ", ".join(FEATURES)

    def join(entities: str) -> pa.Table:
        connection = duckdb.connect()
        connection.execute("SET timezone = 'UTC'")
        return connection.execute(
            f"""
            WITH e AS (SELECT *, row_number() OVER () AS entity FROM read_parquet('{entities}')),
            candidates AS (
                SELECT f.*, e.entity FROM read_parquet('{features}') f JOIN e
                ON f.user_id = e.user_id AND f.event_timestamp <= e.event_timestamp
                AND f.event_timestamp >= e.event_timestamp - INTERVAL {ttl_s} SECOND),
            latest AS (
                SELECT entity, {names} FROM candidates
                QUALIFY row_number() OVER (PARTITION BY entity ORDER BY event_timestamp DESC) = 1)
            SELECT e.user_id, e.event_timestamp, {names} FROM e LEFT JOIN latest USING (entity)
            """
        ).to_arrow_table()

    return join
