"""The SDK that most people write, as a program of its own behind the sealed redirect, over TLS and with credentials."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from typing import Any

import pytest

from cloudmlops.emulators.core.emulator import Emulator

PROGRAM = """
import json, sys
from google.cloud import aiplatform

told = {}
aiplatform.init(project=sys.argv[1], location="us-central1", experiment="tuning", experiment_tensorboard=False)
aiplatform.start_run("first")
aiplatform.log_params({"rate": 0.1})
aiplatform.log_metrics({"auc": 0.9})
aiplatform.end_run()
told["experiment"] = aiplatform.get_experiment_df("tuning").to_dict("records")

data = aiplatform.Artifact.create(schema_title="system.Dataset", uri="gs://bucket/data")
model = aiplatform.Artifact.create(schema_title="system.Model", uri="gs://bucket/model")
with aiplatform.start_execution(schema_title="system.ContainerExecution", display_name="training") as execution:
    execution.assign_input_artifacts([data])
    execution.assign_output_artifacts([model])
told["read"] = [found.uri for found in execution.get_input_artifacts()]
told["written"] = [found.uri for found in execution.get_output_artifacts()]

uploaded = aiplatform.Model.upload(display_name="churn", serving_container_image_uri="image", labels={"team": "growth"})
again = aiplatform.Model.upload(
    display_name="churn", parent_model=uploaded.resource_name, serving_container_image_uri="image",
    is_default_version=False, version_aliases=["candidate"],
)
told["models"] = [found.display_name for found in aiplatform.Model.list(filter='labels.team="growth"')]
told["version"] = aiplatform.Model(uploaded.resource_name + "@candidate").version_id
told["versions"] = sorted(found.version_id for found in uploaded.versioning_registry.list_versions())
aiplatform.init(project=sys.argv[1], location="us-central1", api_transport="rest")
told["over rest"] = [found.display_name for found in aiplatform.Model.list()]
print(json.dumps(told))
"""


@pytest.mark.conformance(ci=True)
def test_experiments_lineage_and_models_work_in_a_program_that_knows_nothing_of_the_emulator(
    vertex_emulator: Emulator, tmp_path: Any
) -> None:
    project = f"p{uuid.uuid4().hex[:10]}"
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM, project],
        env=vertex_emulator.environment(),
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )

    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout.splitlines()[-1])
    assert told.pop("experiment") == [
        {
            "experiment_name": "tuning",
            "run_name": "first",
            "run_type": "system.ExperimentRun",
            "state": "COMPLETE",
            "param.rate": 0.1,
            "metric.auc": 0.9,
        }
    ]
    assert told == {
        "read": ["gs://bucket/data"],
        "written": ["gs://bucket/model"],
        "models": ["churn"],
        "version": "2",
        "versions": ["1", "2"],
        "over rest": ["churn"],
    }
    assert not vertex_emulator.refused
