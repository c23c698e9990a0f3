"""The high-level SDK, unmodified and without an address of ours, around which the redirect is sealed."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from .conftest import IMAGE, Served

PROGRAM = """
import json, sys
from google.cloud import aiplatform

project, bucket, model_uri, image = sys.argv[1:]
aiplatform.init(project=project, location="europe-west4", staging_bucket=f"gs://{bucket}")
model = aiplatform.Model.upload(
    display_name="scaling",
    artifact_uri=model_uri,
    serving_container_image_uri=image,
    serving_container_predict_route="/predict",
    serving_container_health_route="/healthz",
)
told = {}
for name, dedicated in (("shared", False), ("own", True)):
    endpoint = aiplatform.Endpoint.create(display_name=name, dedicated_endpoint_enabled=dedicated)
    model.deploy(endpoint, machine_type="n1-standard-2", min_replica_count=1, max_replica_count=1)
    rows = [[1.5, 0], [4, 0]]
    body, headers = json.dumps({"instances": rows}), {"content-type": "application/json"}
    told[name] = [
        endpoint.predict(rows).predictions,
        endpoint.raw_predict(body, headers).json()["predictions"],
        list(endpoint.traffic_split.values()),
    ]
    endpoint.undeploy_all()
    endpoint.delete()
print(json.dumps(told))
"""


@pytest.mark.conformance
def test_a_program_deploys_predicts_and_cleans_up(served: Served) -> None:
    name = served.upload(2.0)

    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, served.project, served.bucket, f"gs://{served.bucket}/{name}", IMAGE],
        env=served.emulator.environment(),
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {
        "shared": [[3.0, 8.0], [3.0, 8.0], [100]],
        "own": [[3.0, 8.0], [3.0, 8.0], [100]],
    }
    assert served.fleet.machines() == []
    assert served.emulator.refused == {}
