from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError

from cloudmlops.emulators.azure.jobs.images import Image

if TYPE_CHECKING:
    from pathlib import Path

    from tests.emulators.azure.jobs.conftest import Jobs

pytestmark = pytest.mark.conformance(ci=True)

pytestmark = [
    # azure-ai-ml 1.35 is written for marshmallow 3, which tells of its fourth
    pytest.mark.filterwarnings("ignore::marshmallow.warnings.RemovedInMarshmallow4Warning"),
    pytest.mark.filterwarnings("ignore:The use of a 'BlobProperties':DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:content_as_bytes is deprecated:DeprecationWarning"),
]
WRITE = """
import json, os, sys
from pathlib import Path
given = Path(sys.argv[2])
read = given.read_text() if given.is_file() else {str(p.relative_to(given)): p.read_text() for p in given.rglob("*.*")}
Path(sys.argv[3], "told.json").write_text(json.dumps({"number": sys.argv[1], "read": read}))
os.makedirs("outputs")
Path("outputs", "beside.txt").write_text("kept")
print("said")
"""


def test_a_command_runs_with_its_code_inputs_and_outputs(jobs: Jobs, tmp_path: Path) -> None:
    from azure.ai.ml import Input, Output

    data = tmp_path / "data"
    data.mkdir()
    (data / "a.csv").write_text("1,2\n")
    job = jobs.command(
        "python write.py ${{inputs.number}} ${{inputs.data}} ${{outputs.left}}",
        code=str(jobs.code(write=WRITE)),
        inputs={"number": 3, "data": Input(type="uri_folder", path=str(data))},
        outputs={"left": Output(type="uri_folder")},
    )

    submitted = jobs.submit(job)
    run = jobs.ended(submitted.name)

    assert submitted.status == "Starting"
    assert run["status"] == "Completed", run["error"]
    jobs.client.jobs.download(str(submitted.name), download_path=tmp_path / "got", all=True)
    told = (tmp_path / "got" / "named-outputs" / "left" / "told.json").read_text()
    assert told == '{"number": "3", "read": {"a.csv": "1,2\\n"}}'
    assert (tmp_path / "got" / "artifacts" / "user_logs" / "std_log.txt").read_text() == "said\n"
    assert (tmp_path / "got" / "artifacts" / "outputs" / "beside.txt").read_text() == "kept"
    asset = jobs.client.data.get(f"azureml_{submitted.name}_output_data_left", "1")
    assert asset.path.endswith(f"/datastores/workspaceblobstore/paths/azureml/{submitted.name}/left/")


def test_files_registered_data_and_literals_are_inputs(jobs: Jobs, tmp_path: Path) -> None:
    from azure.ai.ml import Input
    from azure.ai.ml.entities import Data

    file = tmp_path / "one.txt"
    file.write_text("once")
    registered = jobs.client.data.create_or_update(Data(name="one", version="4", path=str(file), type="uri_file"))
    job = jobs.command(
        "cat ${{inputs.local}} ${{inputs.known}}; echo ${{inputs.flag}} $[[more ${{inputs.flag}}]]",
        inputs={
            "local": Input(type="uri_file", path=str(file)),
            "known": Input(type="uri_file", path=f"azureml:{registered.name}:4", mode="download"),
            "flag": True,
        },
    )

    run = jobs.finished(job)

    assert run["status"] == "Completed", run["error"]
    assert jobs.log(run["runId"]) == "onceonceTrue more True\n"


def test_a_process_is_told_what_it_belongs_to_and_is_its_submitter(jobs: Jobs) -> None:
    program = """
import os
from azure.identity import DefaultAzureCredential
import jwt
token = DefaultAzureCredential().get_token("https://management.azure.com/.default").token
print(jwt.decode(token, options={"verify_signature": False})["oid"], os.environ.get("AZURE_CLIENT_SECRET"))
print(os.environ["AZUREML_RUN_ID"], os.environ["MLFLOW_RUN_ID"], os.environ["OWN"])
print(os.environ["MLFLOW_TRACKING_URI"])
"""
    job = jobs.command("python who.py", code=str(jobs.code(who=program)), environment_variables={"OWN": "mine"})

    run = jobs.finished(job)

    assert run["status"] == "Completed", run["error"]
    who, names, tracking = jobs.log(run["runId"]).splitlines()[-3:]
    assert who == f"{jobs.azure.principal('owner').object_id} None"
    assert names == f"{run['runId']} {run['runId']} mine"
    assert tracking.startswith("azureml://westeurope.api.azureml.ms/mlflow/v1.0/subscriptions/")


def test_a_command_that_fails_is_a_failed_job_that_says_what_it_said(jobs: Jobs) -> None:
    run = jobs.finished(jobs.command("echo before; echo 'no such column' >&2; exit 3"))

    assert run["status"] == "Failed"
    assert run["error"]["error"]["code"] == "UserError"
    assert "exited with status code 3" in run["error"]["error"]["message"]
    assert "no such column" in run["error"]["error"]["message"]
    assert jobs.client.jobs.get(run["runId"]).status == "Failed"
    with pytest.raises(Exception, match="no such column"):
        jobs.client.jobs.stream(run["runId"])


def test_an_input_that_is_not_there_fails_the_job(jobs: Jobs) -> None:
    from azure.ai.ml import Input

    address = "azureml://datastores/workspaceblobstore/paths/nowhere/"
    job = jobs.command("cat ${{inputs.given}}", inputs={"given": Input(type="uri_folder", path=address)})

    run = jobs.finished(job)

    assert run["status"] == "Failed"
    assert "StreamAccess.NotFound" in run["error"]["error"]["message"]


def test_the_images_table_says_which_interpreter_runs(jobs: Jobs) -> None:
    jobs.azure.cloud.images.let("contoso.azurecr.io/*", Image(python="/bin/echo"))
    try:
        run = jobs.finished(jobs.command("python other"))
        own = jobs.finished(jobs.command("python -c 'import sys; print(sys.executable)'", image="ubuntu:1"))
    finally:
        jobs.azure.cloud.images.let("contoso.azurecr.io/*", Image())

    assert jobs.log(run["runId"]) == "other\n"
    assert jobs.log(own["runId"]).strip() == sys.executable


def test_a_cancel_ends_the_process_and_all_that_it_started(jobs: Jobs, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    job = jobs.submit(jobs.command(f"sleep 600 & touch {begun}; wait; touch {tmp_path / 'beyond'}"))
    name = str(job.name)
    assert jobs.became(name, "Running")

    jobs.client.jobs.begin_cancel(name).result()

    assert jobs.ended(name)["status"] == "Canceled"
    assert jobs.client.jobs.get(name).status == "Canceled"
    assert not (tmp_path / "beyond").exists()


def test_a_job_is_on_its_way_on_the_clock(jobs: Jobs) -> None:
    from datetime import timedelta

    clock, pace = jobs.azure.emulator.clock, jobs.azure.cloud.pace
    clock.freeze()
    pace.preparing, pace.queued = timedelta(minutes=5), timedelta(minutes=10)

    name = str(jobs.submit(jobs.command("true")).name)

    assert jobs.became(name, "Preparing")
    clock.advance(timedelta(minutes=5))
    assert jobs.became(name, "Queued")
    clock.advance(timedelta(minutes=10))
    assert jobs.ended(name)["status"] == "Completed"


def test_a_timeout_ends_a_job_on_the_clock(jobs: Jobs) -> None:
    from datetime import timedelta

    from azure.ai.ml.entities import CommandJobLimits

    job = jobs.command("sleep 600")
    job.limits = CommandJobLimits(timeout=3600)
    name = str(jobs.submit(job).name)
    assert jobs.became(name, "Running")

    jobs.azure.emulator.clock.advance(timedelta(hours=1))

    assert jobs.ended(name)["status"] == "Canceled"


def test_what_describes_a_job_changes_and_nothing_else(jobs: Jobs) -> None:
    job = jobs.submit(jobs.command("true", tags={"a": "1"}))
    name = str(job.name)
    jobs.ended(name)

    known = jobs.client.jobs.get(name)
    known.tags["b"] = "2"
    changed = jobs.submit(known)

    assert changed.tags == {"a": "1", "b": "2"}
    other = jobs.command("false")
    other.name = name
    with pytest.raises(HttpResponseError, match="cannot be changed"):
        jobs.submit(other)


def test_an_archived_job_is_listed_no_more_until_it_is_restored(jobs: Jobs) -> None:
    name = str(jobs.submit(jobs.command("true")).name)
    jobs.ended(name)

    jobs.client.jobs.archive(name)
    archived = [job.name for job in jobs.client.jobs.list()]
    jobs.client.jobs.restore(name)

    assert archived == []
    assert [job.name for job in jobs.client.jobs.list()] == [name]


def test_a_job_that_there_is_not_is_not_found(jobs: Jobs) -> None:
    with pytest.raises(ResourceNotFoundError):
        jobs.client.jobs.get("nothing")


@pytest.mark.parametrize(
    ("who", "status"), [("scientist", 201), ("reader", 403), ("nobody", 403)], ids=["scientist", "reader", "nobody"]
)
def test_who_may_submit(jobs: Jobs, who: str, status: int) -> None:
    body = {"properties": {"jobType": "Command", "command": "true", "environmentId": "azureml:AzureML-x:1"}}

    reply = jobs.call(
        "PUT", f"{jobs.azure.workspace_id}/jobs/job-of-{who}?api-version=2025-01-01-preview", who=who, json=body
    )

    assert reply.status_code == status, reply.text


@pytest.mark.parametrize("kind", ["AutoML", "FineTuning"])
def test_a_job_of_a_type_that_is_not_emulated_is_refused_by_name(jobs: Jobs, kind: str) -> None:
    reply = jobs.call(
        "PUT",
        f"{jobs.azure.workspace_id}/jobs/one?api-version=2024-01-01-preview",
        json={"properties": {"jobType": kind}},
    )

    assert reply.status_code == 501
    assert kind in reply.json()["error"]["message"]


def test_inputs_of_tables_are_refused_by_name(jobs: Jobs) -> None:
    from azure.ai.ml import Input

    address = "azureml://datastores/workspaceblobstore/paths/table/"
    job = jobs.command("true", inputs={"given": Input(type="mltable", path=address)})

    with pytest.raises(HttpResponseError, match="mltable") as refused:
        jobs.submit(job)

    assert refused.value.status_code == 501


def test_a_job_takes_a_node_of_its_compute_and_gives_it_back(jobs: Jobs, tmp_path: Path) -> None:
    from azure.ai.ml.entities import AmlCompute

    compute = f"{jobs.azure.workspace_id}/computes/small"
    jobs.client.compute.begin_create_or_update(
        AmlCompute(name="small", size="STANDARD_DS3_V2", min_instances=0, max_instances=1)
    ).result()
    go = tmp_path / "go"
    first, second = (
        str(jobs.submit(jobs.command(f"until [ -e {go} ]; do sleep 0.05; done", compute="small")).name)
        for _ in range(2)
    )
    assert jobs.became(first, "Running")
    assert jobs.became(second, "Queued")

    go.touch()

    assert {jobs.ended(name)["status"] for name in (first, second)} == {"Completed"}
    cluster = jobs.azure.cloud.clusters.get(compute)
    assert cluster is not None
    assert (cluster.busy, jobs.azure.cloud.clusters.waiting(compute)) == (0, 0)


def test_a_schedule_makes_jobs_that_run(jobs: Jobs) -> None:
    from datetime import UTC, datetime, timedelta

    from azure.ai.ml import dsl
    from azure.ai.ml.entities import JobSchedule, RecurrenceTrigger

    step = jobs.command("echo ${{inputs.said}}", inputs={"said": "nothing"})

    @dsl.pipeline(default_compute="serverless")
    def build() -> None:
        step(said="again")

    clock = jobs.azure.emulator.clock
    clock.freeze(datetime(2027, 3, 1, 12, tzinfo=UTC))
    trigger = RecurrenceTrigger(frequency="hour", interval=1, start_time="2027-03-01T12:30:00")
    schedule = JobSchedule(name="hourly", trigger=trigger, create_job=build())
    jobs.client.schedules.begin_create_or_update(schedule).result()

    clock.advance(timedelta(hours=1))

    assert jobs.ended("hourly-20270301T123000Z")["status"] == "Completed"


def test_a_log_can_be_followed_while_it_is_written(
    jobs: Jobs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    go = tmp_path / "go"
    name = str(jobs.submit(jobs.command(f"echo begun; until [ -e {go} ]; do sleep 0.05; done; echo done")).name)
    assert jobs.became(name, "Running")
    while "begun" not in jobs.log(name):
        assert jobs.run(name)["status"] == "Running"
    go.touch()

    jobs.client.jobs.stream(name)

    assert jobs.ended(name)["status"] == "Completed"
    assert jobs.log(name) == "begun\ndone\n"
    assert f"RunId: {name}" in capsys.readouterr().out


def test_a_compute_that_there_is_not_is_not_found(jobs: Jobs) -> None:
    with pytest.raises(HttpResponseError, match="Unable to find compute target"):
        jobs.submit(jobs.command("true", compute="nowhere"))


def test_an_outputs_place_can_name_the_job(jobs: Jobs) -> None:
    from azure.ai.ml import Output

    path = "azureml://datastores/workspaceblobstore/paths/kept/${{name}}/${{output_name}}/"
    job = jobs.command(
        "echo 1 > ${{outputs.left}}/a.txt", outputs={"left": Output(type="uri_folder", path=path, name="numbers")}
    )

    run = jobs.finished(job)

    assert run["status"] == "Completed", run["error"]
    assert jobs.client.data.get("numbers", "1").path.endswith(f"/paths/kept/{run['runId']}/left/")
