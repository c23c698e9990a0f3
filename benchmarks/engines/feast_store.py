"""A Feast store over one Parquet file: DuckDB offline, sqlite online."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig
from feast.types import Float64
from feast.value_type import ValueType

from benchmarks.data import FEATURES

REFERENCES = [f"view:{name}" for name in FEATURES]


def applied(folder: Path, features: str, ttl_s: int) -> FeatureStore:
    """Make the store's folder and register the one view of the ten features."""
    folder.mkdir(parents=True, exist_ok=True)
    config = RepoConfig(
        project="bench",
        provider="local",
        registry=str(folder / "registry.db"),
        offline_store={"type": "duckdb"},
        online_store={"type": "sqlite", "path": str(folder / "online.db")},
        entity_key_serialization_version=3,
        repo_path=str(folder),
    )
    store = FeatureStore(config=config)
    user = Entity(name="user_id", join_keys=["user_id"], value_type=ValueType.INT64)
    view = FeatureView(
        name="view",
        entities=[user],
        ttl=timedelta(seconds=ttl_s),
        schema=[Field(name=name, dtype=Float64) for name in FEATURES],
        source=FileSource(path=features, timestamp_field="event_timestamp"),
    )
    store.apply([user, view])
    return store
