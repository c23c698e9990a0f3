"""Pipelines that are given as YAML of Azure ML."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.contract.conftest import vertex_target

import cloudmlops as cm
from cloudmlops.domain.runs import RunState, StepState
from cloudmlops.emulators.core.emulator import Emulator
from cloudmlops.errors import (
    ConflictError,
    InvalidPipelineError,
    InvalidRequestError,
    RunFailedError,
    ServiceError,
    UnsupportedError,
)

from .conftest import Connects

pytestmark = pytest.mark.filterwarnings("ignore::marshmallow.warnings.RemovedInMarshmallow4Warning")
COMPONENT = """
$schema: https://azuremlschemas.azureedge.net/latest/commandComponent.schema.json
type: command
name: writing
version: "1"
code: ./source
command: >-
  python write.py ${{inputs.word}} ${{outputs.text}}
environment:
  image: mine:1
inputs:
  word: {type: string}
outputs:
  text: {type: uri_folder}
"""
PIPELINE = """
$schema: https://azuremlschemas.azureedge.net/latest/pipelineJob.schema.json
type: pipeline
experiment_name: Their Words
tags: {team: growth}
inputs:
  word: first
  times: {type: integer}
outputs:
  said: {type: uri_folder}
settings:
  default_compute: azureml:serverless
jobs:
  write:
    type: command
    component: ./component.yml
    inputs: {word: "${{parent.inputs.word}}"}
  check:
    type: command
    display_name: check it
    environment: {image: "mine:1"}
    command: >-
      echo checking && grep -q right ${{inputs.text}}/word.txt && echo ${{inputs.times}} > ${{outputs.said}}/times.txt
    inputs:
      text: {type: uri_folder, path: "${{parent.jobs.write.outputs.text}}"}
      times: "${{parent.inputs.times}}"
    outputs:
      said: "${{parent.outputs.said}}"
"""


@pytest.fixture
def given(tmp_path: Path) -> cm.AzureMLSpec:
    (tmp_path / "source").mkdir()
    script = "import pathlib, sys\npathlib.Path(sys.argv[2], 'word.txt').write_text(sys.argv[1])\n"
    (tmp_path / "source" / "write.py").write_text(script, encoding="utf-8")
    (tmp_path / "component.yml").write_text(COMPONENT, encoding="utf-8")
    (tmp_path / "p.yaml").write_text(PIPELINE, encoding="utf-8")
    return cm.AzureMLSpec(tmp_path / "p.yaml")


def test_a_given_pipeline_runs_and_its_jobs_are_steps(connect_to_run: Connects, given: cm.AzureMLSpec) -> None:
    platform = connect_to_run()

    run = platform.pipelines.run(given, {"word": "right", "times": 3}, wait=True)

    assert run.pipeline == "their-words"
    assert {name: step.state for name, step in run.steps.items()} == dict.fromkeys(
        ("write", "check"), StepState.SUCCEEDED
    )
    assert (run.outputs["said"] / "times.txt").read_text() == "3\n"
    assert run.logs("check") == "checking\n"
    assert [one.id for one in platform.pipelines.list("their-words")] == [run.id]
    job = platform.native.jobs.get(run.id)
    assert job.experiment_name == "Their Words"
    assert (job.tags["team"], job.tags["cloudmlops_run"]) == ("growth", run.id)
    again = platform.pipelines.run(given, {"word": "right", "times": 3}, wait=True)
    assert {step.cached_from for step in again.steps.values()} == {run.id}
    anew = platform.pipelines.run(given, {"word": "right", "times": 3}, wait=True, cache=False)
    assert {step.state for step in anew.steps.values()} == {StepState.SUCCEEDED}


def test_a_given_pipeline_that_fails_names_the_step_and_is_run_anew(
    connect_to_run: Connects, given: cm.AzureMLSpec
) -> None:
    platform = connect_to_run()
    with pytest.raises(RunFailedError, match=r"failed in step 'check'.*\nchecking") as failure:
        platform.pipelines.run(given, {"word": "wrong", "times": 3}, id="monday", wait=True)

    assert failure.value.run.status is RunState.FAILED
    with pytest.raises(UnsupportedError, match="a pipeline job of Azure ML: which of its parts"):
        failure.value.run.resume()
    with pytest.raises(ConflictError, match="other parameters"):
        platform.pipelines.run(given, {"word": "right", "times": 3}, id="monday")


def test_what_is_wrong_with_a_given_pipeline_is_said_before_anything_is_sent(
    connect_to_run: Connects, given: cm.AzureMLSpec, tmp_path: Path, azureml_emulator: Emulator
) -> None:
    (tmp_path / "other.yaml").write_text("a: b", encoding="utf-8")
    (tmp_path / "odd.yaml").write_text(PIPELINE.replace("command: >-", "comand: >-"), encoding="utf-8")
    platform = connect_to_run()
    with pytest.raises(InvalidPipelineError) as refusal:
        platform.pipelines.run(given, {"y": 1})
    with pytest.raises(InvalidPipelineError, match="no pipeline job of Azure ML"):
        platform.pipelines.run(cm.AzureMLSpec(tmp_path / "other.yaml"))
    with pytest.raises(InvalidRequestError, match="cannot be read"):
        platform.pipelines.run(cm.AzureMLSpec(tmp_path / "none.yaml"))
    with pytest.raises(InvalidPipelineError, match="is not understood"):
        platform.pipelines.run(cm.AzureMLSpec(tmp_path / "odd.yaml"), {"times": 3})

    assert refusal.value.faults == (
        "pipeline 'their-words' has no parameter 'y'",
        "pipeline 'their-words' misses its parameter 'times'",
    )
    assert not azureml_emulator.calls.list("arm/PUT *")


def test_a_given_pipeline_runs_on_azure_ml_alone(
    given: cm.AzureMLSpec, vertex_emulator: Emulator, connect_to_run: Connects, tmp_path: Path
) -> None:
    parameters = {"word": "right", "times": 3}
    with cm.connect("local://:memory:") as platform, pytest.raises(UnsupportedError, match="job of Azure ML") as local:
        platform.pipelines.run(given, parameters)
    with cm.connect(vertex_target(vertex_emulator)) as platform, pytest.raises(UnsupportedError, match="Vertex AI"):
        platform.pipelines.run(given, parameters)
    compiled = tmp_path / "kfp.yaml"
    compiled.write_text("pipelineInfo: {name: k}\nroot: {dag: {tasks: {}}}\ncomponents: {}\n", encoding="utf-8")
    with pytest.raises(UnsupportedError, match="compiled by Kubeflow"):
        connect_to_run().pipelines.run(cm.KfpSpec(compiled))

    assert "cloudmlops emulate azureml" in local.value.hint


def test_a_file_that_has_gone_is_told(connect_to_run: Connects, given: cm.AzureMLSpec, tmp_path: Path) -> None:
    (tmp_path / "component.yml").unlink()

    with pytest.raises((InvalidPipelineError, ServiceError), match=r"component\.yml"):
        connect_to_run().pipelines.run(given, {"times": 3})


TRIAL = """
import json, os, sys, urllib.request
from pathlib import Path
rate = float(sys.argv[1])
uri = "https:" + os.environ["MLFLOW_TRACKING_URI"].partition(":")[2]
sent = {"run_id": os.environ["MLFLOW_RUN_ID"], "key": "score", "value": rate, "timestamp": 1, "step": 0}
# As MLflow's client does, without the seconds that importing it takes.
request = urllib.request.Request(f"{uri}/api/2.0/mlflow/runs/log-metric", json.dumps(sent).encode())
request.add_header("content-type", "application/json")
request.add_header("authorization", "Bearer " + os.environ["MLFLOW_TRACKING_TOKEN"])
urllib.request.urlopen(request).read()
Path(sys.argv[2], "rate.txt").write_text(sys.argv[1])
print("tried", sys.argv[1])
"""
SWEEP = """
type: pipeline
experiment_name: tuning
outputs:
  model: {type: uri_folder}
settings:
  default_compute: azureml:serverless
jobs:
  tune:
    type: sweep
    trial:
      type: command
      code: ./source
      command: python trial.py ${{inputs.rate}} ${{outputs.model}}
      environment: {image: "mine:1"}
      inputs:
        rate: {type: number}
      outputs:
        model: {type: uri_folder}
    search_space:
      rate: {type: choice, values: [0.25, 0.5]}
    sampling_algorithm: grid
    objective: {goal: maximize, primary_metric: score}
    limits: {max_total_trials: 2, max_concurrent_trials: 2}
    outputs:
      model: "${{parent.outputs.model}}"
"""


def test_a_given_pipeline_may_try_hyperparameters(connect_to_run: Connects, tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "trial.py").write_text(TRIAL, encoding="utf-8")
    (tmp_path / "p.yaml").write_text(SWEEP, encoding="utf-8")

    run = connect_to_run().pipelines.run(cm.AzureMLSpec(tmp_path / "p.yaml"), wait=True)

    assert (run.outputs["model"] / "rate.txt").read_text() == "0.5"
    assert run.logs("tune") == "tried 0.5\n"
