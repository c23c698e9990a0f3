"""Jobs and MLflow's runs are one record."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.emulators.azure.jobs.conftest import Jobs
    from tests.emulators.azure.tracking.conftest import Tracking

pytestmark = [
    pytest.mark.filterwarnings("ignore::marshmallow.warnings.RemovedInMarshmallow4Warning"),
    pytest.mark.filterwarnings("ignore:The use of a 'BlobProperties':DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:content_as_bytes is deprecated:DeprecationWarning"),
]
LOG = """
import json, os, sys, urllib.request
uri = "https:" + os.environ["MLFLOW_TRACKING_URI"].partition(":")[2]
sent = {"run_id": os.environ["MLFLOW_RUN_ID"], "key": sys.argv[1], "value": float(sys.argv[2]), "timestamp": 1}
request = urllib.request.Request(f"{uri}/api/2.0/mlflow/runs/log-metric", json.dumps(sent).encode())
request.add_header("content-type", "application/json")
request.add_header("authorization", "Bearer " + os.environ["MLFLOW_TRACKING_TOKEN"])
urllib.request.urlopen(request).read()
"""


@pytest.mark.conformance
def test_what_a_job_logs_by_mlflow_alone_is_in_its_run(jobs: Jobs, tracking: Tracking) -> None:
    steps = Path(__file__).with_name("steps.py").read_text()
    job = jobs.command("python steps.py --plain", code=str(jobs.code(steps=steps)))

    run = jobs.finished(job)

    assert run["status"] == "Completed", run["error"]
    assert run["tags"]["kind"] == "test", "run history and MLflow have one record"
    found = tracking.client().get_run(run["runId"])
    assert (found.data.metrics, found.data.params) == ({"loss": 1.0}, {"rate": "0.1"})
    assert (found.info.status, found.info.run_name) == ("FINISHED", run["displayName"])
    history = tracking.client().get_metric_history(run["runId"], "loss")
    assert [(one.step, one.value) for one in history] == [(0, 3.0), (1, 2.0), (2, 1.0)]
    experiment = tracking.client().get_experiment_by_name("flights")
    assert experiment is not None
    assert experiment.experiment_id == run["experimentId"]


def test_each_step_of_a_pipeline_logs_into_its_own_run(jobs: Jobs, tracking: Tracking) -> None:
    from azure.ai.ml import dsl

    code = str(jobs.code(log=LOG))
    logging = {value: jobs.command(f"python log.py loss {value}", code=code) for value in (1.5, 2.5)}

    @dsl.pipeline(default_compute="serverless")
    def both() -> None:
        first = logging[1.5]()  # noqa: F841 azure-ai-ml calls a step by its variable
        second = logging[2.5]()  # noqa: F841

    pipeline = jobs.finished(both(), experiment_name="flights")

    assert pipeline["status"] == "Completed", pipeline["error"]
    told = tracking.told(
        "POST",
        "runs/search",
        experiment_ids=[pipeline["experimentId"]],
        filter=f"tags.mlflow.parentRunId = '{pipeline['runId']}'",
    )
    logged = {one["info"]["run_name"]: one["data"]["metrics"][0]["value"] for one in told["runs"]}
    assert logged == {"first": 1.5, "second": 2.5}


def test_how_a_job_ends_is_the_jobs_to_say(jobs: Jobs, tracking: Tracking) -> None:
    run = jobs.finished(jobs.command("exit 3"))

    told = tracking.told("POST", "runs/update", run_id=run["runId"], status="FINISHED", run_name="named later")

    assert told["run_info"]["status"] == "FAILED"
    again = jobs.run(run["runId"])
    assert (again["status"], again["displayName"]) == ("Failed", "named later")


def test_the_token_of_a_run_is_good_for_runs_alone(jobs: Jobs, tracking: Tracking) -> None:
    line = (
        'curl -s -o /dev/null -w "%{http_code}\\n" -H "Authorization: Bearer $MLFLOW_TRACKING_TOKEN"'
        f' "https://management.azure.com{tracking.azure.workspace_id}?api-version=2023-10-01"'
    )
    run = jobs.finished(jobs.command(line))

    assert jobs.log(run["runId"]) == "401\n"
