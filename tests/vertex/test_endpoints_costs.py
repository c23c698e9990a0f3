"""What a deployment on Vertex AI costs though nobody asks it is told when it is asked for."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from cloudmlops import connect
from cloudmlops.testing.model_folders import write_scaling_model

from .conftest import Opened


def test_a_deployment_is_told_with_the_machines_that_it_keeps(
    opened: Opened, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with connect(opened().target) as platform:
        version = platform.models.register("scaling", write_scaling_model(tmp_path / "model", factor=1.0))
        with caplog.at_level(logging.WARNING, logger="cloudmlops.endpoints"):
            deployed = platform.endpoints.deploy(version, to="scaling", machine="n1-standard-4")
        deployed.wait()
        platform.endpoints.delete("scaling")

    (told,) = [record.getMessage() for record in caplog.records if record.name == "cloudmlops.endpoints"]
    assert told == (
        f"deployment {deployed.name!r} at endpoint 'scaling' keeps 1 n1-standard-4 at least though nobody asks it: "
        "at a price that this library does not know"
    )
