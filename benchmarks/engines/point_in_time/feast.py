"""Feast's historical features on its DuckDB offline store."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from benchmarks.engines.feast_store import REFERENCES, applied
from benchmarks.engines.point_in_time import Join


def prepare(folder: Path, features: str, ttl_s: int) -> Join:
    store = applied(folder, features, ttl_s)

    def join(entities: str) -> pd.DataFrame:
        return store.get_historical_features(entity_df=pd.read_parquet(entities), features=REFERENCES).to_df()

    return join
