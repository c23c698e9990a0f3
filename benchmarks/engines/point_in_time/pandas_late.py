"""By hand, as an expert would: pandas' merge_asof of keys and times only, then one gather of the feature columns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.data import FEATURES
from benchmarks.engines.point_in_time import Join


def prepare(_: Path, features: str, ttl_s: int) -> Join:
    def join(entities: str) -> pa.Table:
        left, right = pq.read_table(entities), pq.read_table(features)
        keys = _keys(left)
        found = pd.merge_asof(
            keys, _keys(right), on="time", by="key", tolerance=ttl_s * 1_000_000, suffixes=("", "_right")
        )["row_right"]
        source = np.empty(len(keys), np.int64)
        source[keys["row"].to_numpy()] = found.fillna(-1).to_numpy().astype(np.int64)
        absent, at = source < 0, np.maximum(source, 0)
        columns = {name: pa.array(right[name].to_numpy()[at], mask=absent) for name in FEATURES}
        return pa.table({**{name: left[name] for name in left.column_names}, **columns})

    return join


def _keys(table: pa.Table) -> pd.DataFrame:
    times = table["event_timestamp"].combine_chunks().cast("int64").to_numpy()
    keys = pd.DataFrame({"time": times, "key": table["user_id"].to_numpy(), "row": np.arange(len(times))}, copy=False)
    return keys if (times[1:] >= times[:-1]).all() else keys.iloc[np.argsort(times, kind="stable")]
