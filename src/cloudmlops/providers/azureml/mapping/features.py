"""Entities and views as Azure ML's feature store shows them: names, versions, columns, FeatureSetSpec.yaml. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

import yaml

from cloudmlops.domain.feature_types import FeatureType, type_name
from cloudmlops.domain.features import (
    Entity,
    FeatureView,
    ParquetSource,
    SqlSource,
    TableSource,
    entity_to_json,
    view_to_json,
)

SPECIFICATION: Final = "FeatureSetSpec.yaml"
PROCESS: Final = "query.py"
PROCESS_TEXT: Final = '''"""cloudmlops runs the query of this feature set: see `kwargs` in FeatureSetSpec.yaml."""


class Query:
    """Names what runs the query."""
'''
STORE_TAG: Final = "cloudmlops-store"
"""Says which platform's a feature set is: the address of its store."""
_VERSION_DIGITS: Final = 10
_TYPES: Final[Mapping[str, str]] = {
    "int": "long",
    "float": "double",
    "bool": "boolean",
    "str": "string",
    "bytes": "binary",
    "date": "datetime",
    "datetime": "datetime",
}
_LISTED: Final = "string"
"""Azure ML has no type for lists; the description says what it is."""
_MINUTE: Final = timedelta(minutes=1)


def entity_version(entity: Entity) -> str:
    """Return the version of an entity: what it says, so that the same definition has one version."""
    return _digest(entity_to_json(entity))


def set_version(view: FeatureView) -> str:
    """Return the version of a view's feature set, likewise."""
    return _digest(view_to_json(view))


def entity_id(entity: Entity) -> str:
    """Return how a feature set names its entity."""
    return f"azureml:{entity.name}:{entity_version(entity)}"


def column_type(kind: FeatureType) -> str:
    """Return Azure ML's type for a declared one."""
    return _TYPES.get(type_name(kind) or "", _LISTED)


def specification(view: FeatureView, path: str) -> dict[str, str]:
    """Return the files that say what a feature set is, by their names.

    Args:
        view: The view.
        path: Where its source lies; empty for a query.
    """
    content: dict[str, Any] = {
        "source": _source(view, path),
        "features": [_feature(name, kind) for name, kind in view.features.items()],
        "index_columns": [{"name": name, "type": column_type(kind)} for name, kind in view.entity.keys.items()],
    }
    if view.ttl is not None:
        content["temporal_join_lookback"] = _length(view.ttl)
    files = {SPECIFICATION: yaml.safe_dump(content, sort_keys=False)}
    return files | ({PROCESS: PROCESS_TEXT} if isinstance(view.source, SqlSource) else {})


def _source(view: FeatureView, path: str) -> dict[str, Any]:
    shared: dict[str, Any] = {"timestamp_column": {"name": view.timestamp}}
    if view.source_delay:
        shared["source_delay"] = _length(view.source_delay)
    match view.source:
        case TableSource():
            return {"type": "deltatable", "path": path, **shared}
        case ParquetSource():
            return {"type": "parquet", "path": path, **shared}
        case SqlSource(query=query, dialect=dialect):
            process = {"path": f"./{PROCESS}", "process_class": "query.Query"}
            return {
                "type": "custom",
                "kwargs": {"query": query, "dialect": dialect},
                "source_process_code": process,
            } | (shared)


def _feature(name: str, kind: FeatureType) -> dict[str, str]:
    shown = {"name": name, "type": column_type(kind)}
    exactly = type_name(kind) or ""
    return shown if exactly in _TYPES and exactly != "date" else {**shown, "description": exactly}


def _length(length: timedelta) -> dict[str, int]:
    """Return a length of time in whole minutes, rounded up: Azure ML writes none that is finer."""
    return {"minutes": -(-length // _MINUTE)}


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_VERSION_DIGITS]
