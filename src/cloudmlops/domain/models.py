"""Model versions and the stages of their life."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from cloudmlops.domain.actors import Actor
from cloudmlops.errors import InvalidMoveError


class Stage(StrEnum):
    """Where a model version stands."""

    NONE = "none"
    CANDIDATE = "candidate"
    STAGING = "staging"
    PRODUCTION = "production"
    ARCHIVED = "archived"


@dataclass(frozen=True, kw_only=True, slots=True)
class FeatureServiceRef:
    """The feature service that a model was trained on."""

    name: str
    schema_hash: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelVersion:
    """One immutable build of a model, as the registry knows it."""

    model: str
    version: str
    """Unique within its model, never reused; Azure ML allows any text."""
    stage: Stage
    artifact_uri: str
    """Folder that holds the model's files, such as `gs://bucket/churn/3/`."""
    registered_at: datetime
    """Time-zone aware, UTC."""
    registered_by: Actor
    run: str | None = None
    """The id of the pipeline run that made it."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    features: FeatureServiceRef | None = None
    card: str = ""
    """Markdown for people: purpose, data, limits."""
    signature: Mapping[str, object] = field(default_factory=dict)
    """Inputs, outputs and params as MLflow writes them; empty when the model has no signature."""

    def __str__(self) -> str:
        return f"{self.model}@{self.version}"


def stage_named(stage: Stage | str) -> Stage:
    """Return the stage of that name; raise `InvalidMoveError` when there is none."""
    try:
        return Stage(stage)
    except ValueError:
        raise InvalidMoveError(
            f"{stage!r} is not a stage", hint=f"Stages: {', '.join(known.value for known in Stage)}."
        ) from None


_MOVES: Final[Mapping[Stage, frozenset[Stage]]] = {
    Stage.NONE: frozenset({Stage.CANDIDATE, Stage.ARCHIVED}),
    Stage.CANDIDATE: frozenset({Stage.STAGING, Stage.ARCHIVED}),
    Stage.STAGING: frozenset({Stage.PRODUCTION, Stage.CANDIDATE, Stage.ARCHIVED}),
    Stage.PRODUCTION: frozenset({Stage.ARCHIVED}),
    Stage.ARCHIVED: frozenset({Stage.CANDIDATE}),
}


def may_move(current: Stage, to: Stage) -> bool:
    """Say whether a version in stage `current` may be promoted to stage `to`."""
    return to in _MOVES[current]


def check_move(model: str, version: str, current: Stage, to: Stage) -> None:
    """Raise `InvalidMoveError` unless a version in stage `current` may move to stage `to`."""
    if to not in (allowed := _MOVES[current]):
        raise InvalidMoveError(
            f"{model}@{version} is in stage {current.value!r} and cannot move to {to.value!r}",
            hint=f"From {current.value!r} it may move to: {', '.join(sorted(stage.value for stage in allowed))}.",
        )
