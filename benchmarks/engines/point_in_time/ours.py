"""cloudmlops' training table on a local platform."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

import cloudmlops as cm
from benchmarks.data import FEATURES
from benchmarks.engines.point_in_time import Join


def prepare(folder: Path, features: str, ttl_s: int) -> Join:
    platform = cm.connect(f"local://{folder}")
    view = cm.FeatureView(
        "view",
        entity=cm.Entity("user", keys={"user_id": int}),
        source=cm.ParquetSource(features),
        timestamp="event_timestamp",
        ttl=timedelta(seconds=ttl_s),
        features=dict.fromkeys(FEATURES, float),
    )
    service = cm.FeatureService("service", views=[view])
    platform.features.apply([service])

    def join(entities: str) -> pa.Table:
        table = pq.read_table(entities)
        return platform.features.training_table(service, table.rename_columns({"event_timestamp": "event_time"}))

    return join
