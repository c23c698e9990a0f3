"""What users import is decided on purpose."""

import cloudmlops

PUBLIC = [
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


def test_the_public_names_are_these_and_no_others() -> None:
    assert cloudmlops.__all__ == PUBLIC
    assert dir(cloudmlops) == PUBLIC


def test_every_public_name_resolves_and_says_what_it_is() -> None:
    for name in cloudmlops.__all__:
        value = getattr(cloudmlops, name)
        assert value.__name__ == name
        assert value.__doc__, f"{name} has no docstring"


def test_an_unknown_name_is_an_attribute_error() -> None:
    assert not hasattr(cloudmlops, "no_such_name")
