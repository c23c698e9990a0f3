"""Tuning by the high-level SDK, unmodified, as a program of its own behind the sealed redirect."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from tests.emulators.pipelines.conftest import Google
from tests.emulators.pipelines.test_tuning import REPORTING

PROGRAM = """
import json, sys
from google.cloud import aiplatform
from google.cloud.aiplatform import hyperparameter_tuning as tuning

project, bucket, program = sys.argv[1:]
aiplatform.init(project=project, location="europe-west4", staging_bucket=f"gs://{bucket}")
trial = aiplatform.CustomJob(
    display_name="trial",
    worker_pool_specs=[{
        "machine_spec": {"machine_type": "n1-standard-4"},
        "replica_count": 1,
        "container_spec": {"image_uri": "any", "command": ["python", "-c", program], "args": []},
    }],
)
job = aiplatform.HyperparameterTuningJob(
    display_name="tuning",
    custom_job=trial,
    metric_spec={"loss": "minimize"},
    parameter_spec={
        "rate": tuning.DoubleParameterSpec(min=0.001, max=1, scale="log"),
        "layers": tuning.IntegerParameterSpec(min=1, max=3, scale="linear"),
        "kind": tuning.CategoricalParameterSpec(values=["tree", "linear"]),
        "units": tuning.DiscreteParameterSpec(values=[8, 16], scale="linear"),
    },
    max_trial_count=4,
    parallel_trial_count=2,
)
job.run(sync=True)
again = aiplatform.HyperparameterTuningJob.get(job.resource_name)
best = min(again.trials, key=lambda trial: trial.final_measurement.metrics[0].value)
print(json.dumps({
    "state": again.state.name,
    "listed": [known.display_name for known in aiplatform.HyperparameterTuningJob.list()],
    "losses": [trial.final_measurement.metrics[0].value for trial in again.trials],
    "best": {parameter.parameter_id: parameter.value for parameter in best.parameters},
}))
"""


@pytest.mark.conformance
def test_a_program_tunes_and_finds_the_best_trial(google: Google) -> None:
    reporting = REPORTING + "report(1, loss=float(given['rate']) + int(given['layers']) + int(given['units']))"
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM, google.project, google.bucket, reporting],
        env=google.emulator.environment(),
        capture_output=True,
        text=True,
        check=False,
    )

    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout.splitlines()[-1])
    assert told["state"] == "JOB_STATE_SUCCEEDED"
    assert told["listed"] == ["tuning"]
    assert len(told["losses"]) == 4
    best = told["best"]
    assert best["rate"] + best["layers"] + best["units"] == min(told["losses"])
    assert best["kind"] in ("tree", "linear")
