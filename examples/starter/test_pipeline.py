"""Runs on a private platform that is made for each test: `pytest`."""

from __future__ import annotations

import cloudmlops as cm
from pipeline import hello, summarise


def test_a_step_is_a_function() -> None:
    assert summarise([1, 2, 3]) == {"total": 6, "largest": 3}


def test_the_pipeline_sums_what_it_counts(platform: cm.Platform) -> None:
    run = platform.pipelines.run(hello, {"count": 5}, wait=True)

    assert run.outputs["output"] == {"total": 10, "largest": 4}
