"""Projects are typed, and their own tests pass: on this machine, and in the emulators."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.templates.drawing import Answers, drawn, run

CHOSEN: dict[str, tuple[str, Answers]] = {
    "minimal, here": ("minimal", {"target": "local", "ci": "none"}),
    "minimal, both clouds by images": ("minimal", {"target": "both", "ci": "github"}),
    "minimal, Azure by MLflow": ("minimal", {"target": "azureml", "serving": "mlflow"}),
    "release, here": ("train-register-deploy", {"target": "local", "ci": "github"}),
    "release, both clouds with features": (
        "train-register-deploy",
        {"target": "both", "ci": "github", "feature_store": True},
    ),
    "release, Azure by MLflow": ("train-register-deploy", {"target": "azureml", "serving": "mlflow", "ci": "azure"}),
    "events, here with features": ("retrain-on-event", {"target": "local", "ci": "gitlab", "feature_store": True}),
    "events, Google": ("retrain-on-event", {"target": "vertex", "ci": "github"}),
    "scoring, here": ("batch-scoring", {"target": "local", "ci": "azure"}),
    "scoring, both clouds with features": ("batch-scoring", {"target": "both", "ci": "github", "feature_store": True}),
    "refresh, here": ("feature-refresh", {"target": "local", "ci": "gitlab"}),
    "refresh, both clouds": ("feature-refresh", {"target": "both", "ci": "github"}),
}
"""Each two answers occur together in one of them, as far as they are about code."""


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("chosen", CHOSEN)
def test_a_project_is_typed_and_its_tests_pass(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, chosen: str
) -> None:
    project = drawn(*CHOSEN[chosen], tmp_path)

    # What mypy knows of packages is shared by the projects of a process.
    typed = run(project, "mypy", "--cache-dir", str(tmp_path_factory.getbasetemp() / "types"))
    assert typed.returncode == 0, typed.stdout + typed.stderr
    tested = run(project, "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist")
    assert tested.returncode == 0, tested.stdout + tested.stderr
