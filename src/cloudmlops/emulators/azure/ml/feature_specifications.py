"""What FeatureSetSpec.yaml says: the features, the columns that they are joined by, and where they come from.

The text that the service makes of it follows recorded traffic (azure-sdk-assets, azure-ai-ml 1.12, 2023-10,
`feature_set`): types of data are numbers in it, and of the source no more than its type and its path is left.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import yaml

from cloudmlops.emulators.azure.arm.errors import UserError
from cloudmlops.emulators.azure.ml.feature_assets import DATA_TYPES, data_type

FILE: Final = "FeatureSetSpec.yaml"
_SOURCES: Final = ("mltable", "csv", "parquet", "deltatable", "custom", "featureset")
_DELAY: Final = ("days", "hours", "minutes")


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """A feature, or a column that features are joined by."""

    name: str
    data_type: str
    """One of `DATA_TYPES`."""
    description: str | None = None
    tags: Mapping[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Specification:
    """What a feature set is."""

    features: Sequence[Column]
    index: Sequence[Column]
    text: str
    """What is shown of it as `featuresetProperties`."""


def read_specification(data: bytes) -> Specification:
    """Read FeatureSetSpec.yaml.

    Raises:
        Refused: It is malformed.
    """
    try:
        content = yaml.safe_load(data)
    except yaml.YAMLError as error:
        raise UserError("INVALID_ARGUMENT", f"{FILE} is malformed: {error}") from error
    if not isinstance(content, dict) or not isinstance(content.get("source"), dict):
        raise UserError("INVALID_ARGUMENT", f"{FILE} names no source.")
    source = content["source"]
    if str(source.get("type")).lower() not in _SOURCES:
        raise UserError("INVALID_ARGUMENT", f"The source type {source.get('type')!r} of {FILE} is none.")
    features, index = _columns(content, "features"), _columns(content, "index_columns")
    if not features:
        raise UserError("INVALID_ARGUMENT", f"{FILE} has no features.")
    if not index and source["type"] != "featureset":
        raise UserError("INVALID_ARGUMENT", f"{FILE} has no index_columns.")
    return Specification(features=features, index=index, text=_text(content, features, index))


def _columns(content: Mapping[str, Any], kind: str) -> list[Column]:
    found = []
    for one in content.get(kind) or []:
        if not isinstance(one, dict) or not one.get("name"):
            raise UserError("INVALID_ARGUMENT", f"One of the {kind} of {FILE} has no name.")
        found.append(
            Column(
                name=str(one["name"]),
                data_type=data_type(one.get("type"), f"{one['name']} in {FILE}"),
                description=one.get("description"),
                tags={str(key): str(value) for key, value in (one.get("tags") or {}).items()},
            )
        )
    return found


def _text(content: Mapping[str, Any], features: Sequence[Column], index: Sequence[Column]) -> str:
    source, code = content["source"], content.get("feature_transformation_code")
    shown: dict[str, Any] = {
        "features": [{"FeatureName": one.name, "DataType": DATA_TYPES.index(one.data_type)} for one in features],
        "source": {key: source[key] for key in ("type", "path") if key in source},
    }
    if code:
        shown["featureTransformationCode"] = {
            "Path": code.get("path"),
            "TransformerClass": code.get("transformer_class"),
        }
    for key, name in (("temporal_join_lookback", "temporalJoinLookback"), ("source_lookback", "sourceLookback")):
        if content.get(key):
            shown[name] = {part.capitalize(): int(content[key].get(part) or 0) for part in _DELAY}
    shown["indexColumns"] = [{"DataType": DATA_TYPES.index(one.data_type), "ColumnName": one.name} for one in index]
    return json.dumps(shown, separators=(",", ":"))
