"""MLflow's model registry is the workspace's models."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.emulators.azure.tracking.conftest import Tracking


def registered(tracking: Tracking, name: str = "scaling") -> str:
    """Register a version of what a run logged; return the run's id."""
    run = tracking.run()
    tracking.told("POST", "registered-models/create", name=name, description="scales")
    tracking.told("POST", "model-versions/create", name=name, source=f"runs:/{run}/model", run_id=run)
    return run


def test_a_version_that_mlflow_registers_is_one_of_the_workspace(tracking: Tracking) -> None:
    run = registered(tracking)

    version = tracking.azure.client().models.get("scaling", "1")

    assert version.type == "mlflow_model"
    assert version.path.endswith(f"/datastores/workspaceartifactstore/paths/ExperimentRun/dcid.{run}/model")
    told = tracking.told("GET", "model-versions/get", name="scaling", version="1")["model_version"]
    assert told["source"].endswith(f"/runs/{run}/artifacts/model")
    assert (told["run_id"], told["current_stage"], told["status"]) == (run, "None", "READY")


def test_a_version_that_the_sdk_registers_is_found_by_mlflow(tracking: Tracking) -> None:
    run = registered(tracking)
    tracking.told("POST", "model-versions/create", name="scaling", source=f"runs:/{run}/model", tags=[])

    told = tracking.told("GET", "model-versions/search", filter="name = 'scaling'")["model_versions"]

    assert [one["version"] for one in told] == ["2", "1"], "the latest first"
    (model,) = tracking.told("GET", "registered-models/search", filter="name LIKE 'sca%'")["registered_models"]
    assert (model["description"], model["latest_versions"][0]["version"]) == ("scales", "2")


def test_stage_tags_and_description_of_a_version_are_those_of_the_workspace(tracking: Tracking) -> None:
    registered(tracking)
    of = {"name": "scaling", "version": "1"}

    tracking.told("POST", "model-versions/transition-stage", **of, stage="production")
    tracking.told("POST", "model-versions/set-tag", **of, key="checked", value="yes")
    tracking.told("POST", "model-versions/set-tag", **of, key="gone", value="soon")
    tracking.told("DELETE", "model-versions/delete-tag", **of, key="gone")
    tracking.told("PATCH", "model-versions/update", **of, description="scales well")

    version = tracking.azure.client().models.get("scaling", "1")
    assert (version.stage, version.tags, version.description) == ("Production", {"checked": "yes"}, "scales well")
    latest = tracking.told("POST", "registered-models/get-latest-versions", name="scaling", stages=["Production"])
    assert [one["version"] for one in latest["model_versions"]] == ["1"]
    wrong = tracking.refused("POST", "model-versions/transition-stage", **of, stage="Shelf")
    assert wrong == (400, "INVALID_PARAMETER_VALUE")


def test_what_there_is_not_and_what_is_taken_is_refused(tracking: Tracking) -> None:
    registered(tracking)

    assert tracking.refused("POST", "registered-models/create", name="scaling") == (400, "RESOURCE_ALREADY_EXISTS")
    assert tracking.refused("GET", "registered-models/get", name="x") == (404, "RESOURCE_DOES_NOT_EXIST")
    absent = tracking.refused("GET", "model-versions/get", name="scaling", version="9")
    assert absent == (404, "RESOURCE_DOES_NOT_EXIST")
    outside = tracking.refused("POST", "model-versions/create", name="scaling", source="s3://bucket/model")
    assert outside == (501, "NOT_IMPLEMENTED")
    assert tracking.refused("POST", "registered-models/alias", name="scaling") == (501, "NOT_IMPLEMENTED")


def test_a_version_and_a_model_are_deleted(tracking: Tracking) -> None:
    registered(tracking)

    tracking.told("DELETE", "model-versions/delete", name="scaling", version="1")
    assert tracking.told("GET", "model-versions/search", filter="name = 'scaling'")["model_versions"] == []
    tracking.told("DELETE", "registered-models/delete", name="scaling")
    assert tracking.told("GET", "registered-models/search")["registered_models"] == []


@pytest.mark.parametrize(
    ("who", "expected"), [("reader", (200, 403)), ("scientist", (200, 200)), ("nobody", (403, 403))]
)
def test_who_may_read_and_write_the_registry_is_decided_by_roles(
    tracking: Tracking, who: str, expected: tuple[int, int]
) -> None:
    registered(tracking)

    read = tracking.call("GET", "registered-models/get", who=who, name="scaling").status_code
    write = tracking.call("POST", "registered-models/create", who=who, name="other").status_code

    assert (read, write) == expected
