"""The gate asks a server as callers do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.templates.drawing import drawn, named_here

COUNTING = """
import os, sys
if "cloudmlops.serving" in sys.orig_argv:
    from cloudmlops.serving.lookup import FeatureLookup
    def counted(self, *words, begun=FeatureLookup.__init__):
        begun(self, *words)
        read = self._read
        def reading(rows):
            with open(os.environ["READ"], "a") as file:
                print(len(rows), file=file)
            return read(rows)
        self._read = reading
    FeatureLookup.__init__ = counted
"""
"""What every Python begins with that finds it: the scoring server writes down each look-up, and then does it."""


@pytest.mark.timeout(300)
@pytest.mark.parametrize("target", ["", "dev"], ids=["the platform of the configuration", "one that is named"])
def test_features_are_looked_up_in_each_request_that_is_measured(tmp_path: Path, target: str) -> None:
    project = drawn("train-register-deploy", {"target": "local", "ci": "none", "feature_store": True}, tmp_path)
    hooks, read = tmp_path / "hooks", tmp_path / "read"
    hooks.mkdir()
    (hooks / "sitecustomize.py").write_text(COUNTING)
    told = named_here() | {"PYTHONPATH": str(hooks), "READ": str(read)}
    named = ["--target", target] if target else []

    for words in (["train"], ["check", "1"]):
        done = subprocess.run(
            [sys.executable, "release.py", *words, *named], cwd=project, env=told, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr

    assert read.read_text().split() == ["1"] * 100
