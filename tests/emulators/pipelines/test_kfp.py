"""What kfp compiles runs on the emulator, and what we emit kfp reads. kfp lives in an environment of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.cloud import aiplatform_v1 as v1
from tests.contract.conftest import vertex_target
from tests.emulators.pipelines.conftest import Google, left, states

from cloudmlops.emulators.core.emulator import Emulator
from cloudmlops.emulators.google.aiplatform.images import Image, images_of
from cloudmlops.testing.contract.pipeline_steps import training

pytestmark = pytest.mark.conformance

KFP = "kfp==2.17.0"
_READ = """
import json, sys, yaml
from google.protobuf import json_format
from kfp import components
from kfp.pipeline_spec import pipeline_spec_pb2
content = json.load(sys.stdin)
spec = json_format.ParseDict(content, pipeline_spec_pb2.PipelineSpec())
component = components.load_component_from_text(yaml.safe_dump(content))
print(json.dumps({
    "tasks": sorted(spec.root.dag.tasks),
    "inputs": {name: str(given.type) for name, given in (component.component_spec.inputs or {}).items()},
    "again": json_format.MessageToDict(spec) == json_format.MessageToDict(component.pipeline_spec),
}))
"""


@pytest.fixture(scope="module")
def kfp_python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An interpreter with kfp: the one that CLOUDMLOPS_KFP_PYTHON names, or a new environment's."""
    if named := os.environ.get("CLOUDMLOPS_KFP_PYTHON"):
        return named
    folder = tmp_path_factory.mktemp("kfp")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = str(folder / "bin" / "python")
    subprocess.run([python, "-m", "pip", "install", "-q", KFP], check=True)
    return python


@pytest.fixture(scope="module")
def compiled(kfp_python: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The pipelines of `kfp_pipelines.py` as IR."""
    folder = tmp_path_factory.mktemp("compiled")
    script = Path(__file__).with_name("kfp_pipelines.py")
    subprocess.run([kfp_python, script, folder], check=True, capture_output=True)
    return {file.stem: next(yaml.safe_load_all(file.read_text())) for file in folder.glob("*.yaml")}


def _run(google: Google, spec: Any, python: str, parameters: dict[str, Any]) -> v1.PipelineJob:
    images_of(google.emulator.state).let("python:3.11", Image(python=python))
    job = v1.PipelineJob(
        pipeline_spec=spec,
        runtime_config={"gcs_output_directory": f"gs://{google.bucket}/root", "parameter_values": parameters},
    )
    return google.ended(google.pipelines.create_pipeline_job(parent=google.parent, pipeline_job=job))


def test_lightweight_components_loops_and_branches_run(
    google: Google, compiled: dict[str, Any], kfp_python: str
) -> None:
    job = _run(google, compiled["everything"], kfp_python, {"greeting": "hello"})

    assert job.state is v1.PipelineState.PIPELINE_STATE_SUCCEEDED, job.error
    assert left(job, "total") == {"Output": 5}
    assert states(job)["condition-5"] == "SUCCEEDED"
    assert states(job)["condition-6"] == "NOT_TRIGGERED"
    assert left(job, "say-6") == {"Output": "hello"}
    assert left(job, "shell")["out"] == f"hello-{job.name.rpartition('/')[2]}"
    (fitted,) = [task for task in job.job_detail.task_details if task.task_name == "fit"]
    assert dict(fitted.outputs["metrics"].artifacts[0].metadata) == {"rows": 3}
    assert google.object(fitted.outputs["model"].artifacts[0].uri) == b"3 0.5 {'a': 'b'}"


@pytest.mark.parametrize("bad", [True, False])
def test_an_exit_handler_of_kfp_runs_in_any_case(
    google: Google, compiled: dict[str, Any], kfp_python: str, bad: bool
) -> None:
    job = _run(google, compiled["exiting"], kfp_python, {"bad": bad})

    assert job.state.name == f"PIPELINE_STATE_{'FAILED' if bad else 'SUCCEEDED'}"
    assert left(job, "after")["Output"].startswith("FAILED The DAG failed" if bad else "SUCCEEDED")
    assert states(job)["say"] == "SUCCEEDED"


def test_kfp_reads_what_we_emit(vertex_emulator: Emulator, kfp_python: str) -> None:
    import cloudmlops as cm

    with cm.connect(vertex_target(vertex_emulator, image="any:1")) as platform:
        platform.pipelines.run(training, {"rows": 4}).cancel()
    (call,) = [one for one in vertex_emulator.calls.list() if one.operation == "PipelineService.CreatePipelineJob"]
    content = json.dumps(call.request["pipeline_job"]["pipeline_spec"])

    read = json.loads(
        subprocess.run([kfp_python, "-c", _READ], input=content, text=True, check=True, capture_output=True).stdout
    )

    assert read["tasks"] == ["describe", "evaluate", "load", "split", "train"]
    assert read["inputs"].keys() == {"rows", "keep", "on"}
    assert read["again"]
