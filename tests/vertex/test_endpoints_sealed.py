"""Our own program, without an emulator's address, around which the redirect is sealed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from cloudmlops.emulators.core.emulator import Emulator
from cloudmlops.emulators.google.cloud import GoogleCloud
from cloudmlops.testing.model_folders import write_scaling_model

PROGRAM = """
import json, sys
import cloudmlops as cm

target, folder = sys.argv[1:]
told = {}
for kind in ("shared", "dedicated"):
    with cm.connect(f"{target}&endpoints={kind}") as platform:
        version = platform.models.register("scaling", folder)
        platform.endpoints.deploy(version, to=kind).wait()
        told[kind] = platform.endpoints.predict(kind, [[1.5, 0], [4, 0]])
        platform.endpoints.delete(kind)
print(json.dumps(told))
"""


@pytest.mark.conformance
def test_a_program_deploys_and_predicts_over_tls_with_credentials(
    vertex_emulator: Emulator, project: str, tmp_path: Path
) -> None:
    folder = write_scaling_model(tmp_path / "model", factor=2.0)
    target = f"vertex://{project}/europe-west4?bucket={project}-bucket"

    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, target, str(folder)],
        env=vertex_emulator.environment(),
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"shared": [3.0, 8.0], "dedicated": [3.0, 8.0]}
    assert vertex_emulator.refused == {}
    assert vertex_emulator.cloud(GoogleCloud).fleet.machines() == []
