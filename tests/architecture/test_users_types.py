"""A user's program passes a strict type check and mistakes are found by it."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.conformance(ci=True)

PROGRAM = """
from datetime import timedelta

import cloudmlops as cm

platform = cm.connect("local://:memory:")


@platform.events.on(cm.ModelRegistered, model="churn", backoff=timedelta(0))
def validate(event: cm.ModelRegistered, ctx: cm.EventContext) -> None:
    ctx.platform.models.promote(event.model, event.version, to=cm.Stage.CANDIDATE, reason=ctx.key)


@cm.step
def train(rate: float) -> cm.Metrics:
    return cm.Metrics({"loss": rate})


@cm.pipeline
def training(rate: float = 0.1) -> cm.Metrics:
    return train(rate)


run = platform.pipelines.run(training, {"rate": 0.2}, wait=True)
version: cm.ModelVersion = platform.models.get("churn", stage="production")
traffic: int = platform.endpoints.status("churn").deployments[0].traffic_percent
"""

MISTAKEN = """
import cloudmlops as cm

platform = cm.connect("local://:memory:")


@platform.events.on(cm.ModelRegistered)
def validate(event: cm.RunFailed, ctx: cm.EventContext) -> None:
    ctx.platform.modles
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What one strict type check says about both programs."""
    folder = tmp_path_factory.mktemp("programs")
    (folder / "right.py").write_text(PROGRAM)
    (folder / "mistaken.py").write_text(MISTAKEN)
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--cache-dir=cache", "--no-pretty"]
    done = subprocess.run(
        [*command, "right.py", "mistaken.py"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert "checked 2 source files" in done.stdout, done.stdout + done.stderr
    return done.stdout


def test_a_users_program_passes_a_strict_type_check(found: str) -> None:
    assert "right.py" not in found, found


def test_a_handler_of_another_event_and_a_misspelt_noun_are_found_by_the_type_check(found: str) -> None:
    assert found.count("mistaken.py") == 2, found
    assert "[arg-type]" in found
    assert '"Platform" has no attribute "modles"' in found
