"""Polars' join_asof of whole rows."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from benchmarks.engines.point_in_time import Join


def prepare(_: Path, features: str, ttl_s: int) -> Join:
    def join(entities: str) -> pl.DataFrame:
        return (
            pl.scan_parquet(entities)
            .sort("event_timestamp")
            .join_asof(
                pl.scan_parquet(features).sort("event_timestamp"),
                on="event_timestamp",
                by="user_id",
                strategy="backward",
                tolerance=f"{ttl_s}s",
                check_sortedness=False,
            )
            .collect()
        )

    return join
