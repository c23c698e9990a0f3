"""What libraries report to their makers is off in steps and in servers, unless who runs them says otherwise."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cloudmlops import connect
from cloudmlops.runtime.untracked import untracked

VARIABLES = ("MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK")
FLOW = """
import json, os
import cloudmlops as cm

SEEN = {name: os.environ.get(name) for name in ("MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK")}

@cm.step
def look() -> str:
    return json.dumps(SEEN)

@cm.pipeline
def looking() -> str:
    return look()
"""
"""What is seen when the module is imported: libraries look then, too."""
SILENT = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "1"}
CONTAINED = """
import sys
from pathlib import Path
from cloudmlops.runtime.contained import Contained, carry_out

here = Path.cwd()
sys.exit(
    carry_out(
        Contained(
            function="flow:look", run="r", pipeline="p", step="look", content={"parameters": {}}, values={}, inputs={},
            outputs={}, parameters={"output": here / "value.json"}, addresses={}, record=here / "record",
            error=here / "error.json", source=here, cache=None, timeout=None, attempt=1,
        )
    )
)
"""
SERVING = """
import json, os, sys
from cloudmlops.serving.__main__ import main

sys.argv[1:] = ["--model", "nowhere", "--port", "0"]
try:
    main()
except SystemExit:
    print(json.dumps({name: os.environ.get(name) for name in ("MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK")}))
"""
BATCHES = """
import json, os
from cloudmlops.serving.mini_batches import init

os.environ |= dict.fromkeys(("AZUREML_MODEL_DIR", "AZUREML_BI_OUTPUT_PATH", "CLOUDMLOPS_BATCH_OUTPUT"), "somewhere")
init()
print(json.dumps({name: os.environ.get(name) for name in ("MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK")}))
"""
Given = dict[str, str]


@pytest.mark.parametrize("where", ["a step", "a step in a cloud's container", "a server", "a batch"])
def test_libraries_are_told_not_to_report_before_they_are_imported(tmp_path: Path, where: str) -> None:
    (tmp_path / "flow.py").write_text(FLOW)

    assert run(tmp_path, where, {}) == SILENT


def test_what_the_operator_says_stays(tmp_path: Path) -> None:
    (tmp_path / "flow.py").write_text(FLOW)

    told = run(tmp_path, "a step in a cloud's container", {"MLFLOW_DISABLE_TELEMETRY": "false"})

    assert told == {"MLFLOW_DISABLE_TELEMETRY": "false", "DO_NOT_TRACK": None}


def test_a_local_step_is_told_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "silent_flow.py").write_text(FLOW)
    monkeypatch.syspath_prepend(tmp_path)
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    import silent_flow  # type: ignore[import-not-found] # it was written just now

    with connect("local://:memory:") as platform:
        run = platform.pipelines.run(silent_flow.looking, wait=True)

        assert json.loads(run.outputs["output"]) == SILENT


def test_who_says_either_has_decided() -> None:
    assert untracked({"PATH": "/bin"}) == SILENT
    assert untracked({"DO_NOT_TRACK": "0"}) == {}
    assert untracked({"MLFLOW_DISABLE_TELEMETRY": ""}) == {}


def run(folder: Path, where: str, given: Given) -> dict[str, str | None]:
    """Run something in a process of its own; return which variables it saw."""
    value = folder / "value.json"
    command = {
        "a step": ["-m", "cloudmlops.runtime", "flow:look", "--output", f"output={value}"],
        "a step in a cloud's container": ["-c", CONTAINED],
        "a server": ["-c", SERVING],
        "a batch": ["-c", BATCHES],
    }[where]
    environment = {name: text for name, text in os.environ.items() if name not in VARIABLES}
    done = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env={**environment, "PYTHONPATH": str(folder), **given},
        capture_output=True,
        text=True,
        check=False,
    )
    assert where == "a server" or done.returncode == 0, done.stderr
    said = value.read_text() if value.exists() else done.stdout
    seen: dict[str, str | None] = _unwrapped(json.loads(said))
    return seen


def _unwrapped(told: str | dict[str, str | None]) -> dict[str, str | None]:
    if isinstance(told, str):
        found: dict[str, str | None] = json.loads(told)
        return found
    return told
