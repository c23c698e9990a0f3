"""One provider-neutral interface for machine-learning pipelines, features, models, endpoints and events."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cloudmlops._platform import Platform, connect
    from cloudmlops.domain.actors import Actor
    from cloudmlops.domain.artifacts import Dataset, Metrics, Model, Report
    from cloudmlops.domain.capabilities import Capability, Support
    from cloudmlops.domain.compiled import AzureMLSpec, KfpSpec
    from cloudmlops.domain.endpoints import Shortfall
    from cloudmlops.domain.events import (
        DriftDetected,
        Event,
        EventContext,
        ModelDeployed,
        ModelRegistered,
        RunCompleted,
        RunFailed,
        StageChanged,
        UnknownEvent,
    )
    from cloudmlops.domain.features import Entity, FeatureService, FeatureView, ParquetSource, SqlSource, TableSource
    from cloudmlops.domain.models import ModelVersion, Stage
    from cloudmlops.domain.on_demand import on_demand
    from cloudmlops.domain.pipelines import Resources, pipeline, step
    from cloudmlops.domain.policies import BeatsBaseline, MetricAtLeast, RequiresApprovals

_HOME = {
    "Actor": "domain.actors",
    "AzureMLSpec": "domain.compiled",
    "BeatsBaseline": "domain.policies",
    "Capability": "domain.capabilities",
    "Dataset": "domain.artifacts",
    "DriftDetected": "domain.events",
    "Entity": "domain.features",
    "Event": "domain.events",
    "EventContext": "domain.events",
    "FeatureService": "domain.features",
    "FeatureView": "domain.features",
    "KfpSpec": "domain.compiled",
    "MetricAtLeast": "domain.policies",
    "Metrics": "domain.artifacts",
    "Model": "domain.artifacts",
    "ModelDeployed": "domain.events",
    "ModelRegistered": "domain.events",
    "ModelVersion": "domain.models",
    "ParquetSource": "domain.features",
    "Platform": "_platform",
    "Report": "domain.artifacts",
    "RequiresApprovals": "domain.policies",
    "Resources": "domain.pipelines",
    "RunCompleted": "domain.events",
    "RunFailed": "domain.events",
    "Shortfall": "domain.endpoints",
    "SqlSource": "domain.features",
    "Stage": "domain.models",
    "StageChanged": "domain.events",
    "Support": "domain.capabilities",
    "TableSource": "domain.features",
    "UnknownEvent": "domain.events",
    "connect": "_platform",
    "on_demand": "domain.on_demand",
    "pipeline": "domain.pipelines",
    "step": "domain.pipelines",
}

__all__ = [
    "Actor",
    "AzureMLSpec",
    "BeatsBaseline",
    "Capability",
    "Dataset",
    "DriftDetected",
    "Entity",
    "Event",
    "EventContext",
    "FeatureService",
    "FeatureView",
    "KfpSpec",
    "MetricAtLeast",
    "Metrics",
    "Model",
    "ModelDeployed",
    "ModelRegistered",
    "ModelVersion",
    "ParquetSource",
    "Platform",
    "Report",
    "RequiresApprovals",
    "Resources",
    "RunCompleted",
    "RunFailed",
    "Shortfall",
    "SqlSource",
    "Stage",
    "StageChanged",
    "Support",
    "TableSource",
    "UnknownEvent",
    "connect",
    "on_demand",
    "pipeline",
    "step",
]


def __getattr__(name: str) -> object:
    """Load a public name at its first use (PEP 562), so that `import cloudmlops` costs next to nothing."""
    if (home := _HOME.get(name)) is None:
        raise AttributeError(f"module 'cloudmlops' has no attribute {name!r}")
    value: object = getattr(import_module(f"cloudmlops.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
