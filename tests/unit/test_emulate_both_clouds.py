from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

STEPS = """
import time
import cloudmlops as cm

@cm.step
def wait_for_both(folder: str, mine: str, other: str) -> str:
    from pathlib import Path
    Path(folder, mine).touch()
    deadline = time.monotonic() + 120
    while not Path(folder, other).exists():
        assert time.monotonic() < deadline, f"{other} did not run at the same time"
        time.sleep(0.05)
    return mine

@cm.step
def greeting(name: str) -> str:
    return f"hello from {name}"

@cm.pipeline
def meeting(folder: str, mine: str, other: str) -> str:
    return greeting(wait_for_both(folder, mine, other))
"""
PROGRAM = """
import os, sys
import cloudmlops as cm
from meeting_steps import meeting

targets = {
    "google": "vertex://emulated/europe-west4?bucket=meeting&image=steps",
    "azure": f"azureml://{os.environ['AZURE_SUBSCRIPTION_ID']}/ml/meeting?environment=azureml:steps:1",
}
platforms = {name: cm.connect(target) for name, target in targets.items()}
runs = [
    platforms[mine].pipelines.run(meeting, {"folder": sys.argv[1], "mine": mine, "other": other})
    for mine, other in (("google", "azure"), ("azure", "google"))
]
for run in runs:
    print(run.wait(progress=False).outputs["output"])
for platform in platforms.values():
    platform.close()
"""


@pytest.mark.conformance(ci=True)
def test_one_process_has_a_pipeline_running_on_each_cloud_at_the_same_time(tmp_path: Path) -> None:
    (tmp_path / "meeting_steps.py").write_text(STEPS)
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "seen").mkdir()
    emulate = [sys.executable, "-c", "from cloudmlops.cli import main; main()", "emulate", "vertex", "azureml"]

    done = subprocess.run(
        [
            *emulate,
            "--bucket",
            "meeting",
            "--workspace",
            "ml/meeting",
            "--environment",
            "steps:1",
            "--",
            sys.executable,
            "program.py",
            str(tmp_path / "seen"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=220,
        check=False,
    )

    assert (done.returncode, done.stdout) == (0, "hello from google\nhello from azure\n"), done.stderr
