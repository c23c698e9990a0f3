"""Pipeline jobs as resources."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import grpc
import httpx
import psutil
import pytest
from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform_v1 as v1
from google.cloud import aiplatform_v1beta1 as v1beta1
from tests.emulators.pipelines.conftest import Google, states
from tests.emulators.pipelines.specs import Spec

from cloudmlops.emulators.google import vertex_emulator


def _simple(script: str = "true") -> Spec:
    spec = Spec()
    spec.shell("act", script)
    spec.task("act")
    return spec


def test_a_job_is_read_over_rest_and_by_the_other_version_too(google: Google) -> None:
    job = google.run(_simple())

    over_rest = v1.PipelineServiceClient(
        transport="rest",
        credentials=AnonymousCredentials(),
        client_options={"api_endpoint": google.emulator.url},
    ).get_pipeline_job(name=job.name)
    beta = google.client(v1beta1.PipelineServiceClient).get_pipeline_job(name=job.name)

    assert over_rest == job
    assert beta.job_detail.task_details[1].state.name == "SUCCEEDED"


def test_an_id_names_one_job(google: Google) -> None:
    job = google.job(_simple())
    google.ended(google.pipelines.create_pipeline_job(parent=google.parent, pipeline_job=job, pipeline_job_id="mine"))

    with pytest.raises(exceptions.AlreadyExists):
        google.pipelines.create_pipeline_job(parent=google.parent, pipeline_job=job, pipeline_job_id="mine")
    with pytest.raises(exceptions.InvalidArgument, match="pipeline_job_id"):
        google.pipelines.create_pipeline_job(parent=google.parent, pipeline_job=job, pipeline_job_id="not_mine")


def test_jobs_are_listed_the_newest_first_by_label(google: Google) -> None:
    names = []
    for label in ("a", "b", "a"):
        job = google.job(_simple())
        job.labels["kind"] = label
        made = google.pipelines.create_pipeline_job(
            parent=google.parent, pipeline_job=job, pipeline_job_id=f"job-{len(names)}"
        )
        names.append(google.ended(made).name)

    found = google.pipelines.list_pipeline_jobs(
        request=v1.ListPipelineJobsRequest(parent=google.parent, filter='labels.kind="a"', page_size=1)
    )

    assert [job.name for job in found] == [names[2], names[0]]


def test_only_what_has_ended_is_deleted_and_only_what_goes_on_is_cancelled(google: Google, tmp_path: Path) -> None:
    going = google.start(_simple(f"while ! test -f {tmp_path}/go; do sleep 0.02; done"))
    with pytest.raises(exceptions.FailedPrecondition, match="cancel it first"):
        google.pipelines.delete_pipeline_job(name=going.name)
    (tmp_path / "go").touch()
    google.ended(going)

    with pytest.raises(exceptions.FailedPrecondition, match="has ended"):
        google.pipelines.cancel_pipeline_job(name=going.name)
    google.pipelines.delete_pipeline_job(name=going.name).result()

    with pytest.raises(exceptions.NotFound):
        google.pipelines.get_pipeline_job(name=going.name)


def test_several_are_cancelled_and_deleted_at_once(google: Google) -> None:
    names = [google.start(_simple("sleep 600")).name for _ in range(2)]

    google.pipelines.batch_cancel_pipeline_jobs(parent=google.parent, names=names).result()
    for name in names:
        google.ended(v1.PipelineJob(name=name))
    google.pipelines.batch_delete_pipeline_jobs(parent=google.parent, names=names).result()

    assert list(google.pipelines.list_pipeline_jobs(parent=google.parent)) == []


def test_what_is_not_emulated_names_itself(google: Google) -> None:
    job = google.job(_simple())
    job.pipeline_spec = {}
    job.template_uri = "https://europe-west4-kfp.pkg.dev/p/r/t/latest"

    with pytest.raises(exceptions.MethodNotImplemented, match="Templates are not emulated"):
        google.pipelines.create_pipeline_job(parent=google.parent, pipeline_job=job)


def test_jobs_that_a_restart_cut_short_have_failed(tmp_path: Path) -> None:
    spec = _simple(f"touch {tmp_path}/begun; sleep 600")
    spec.shell("last", "true")
    spec.task("last", after=["act"])
    with vertex_emulator(state=tmp_path / "state") as first, grpc.insecure_channel(first.address) as channel:
        google = Google(emulator=first, project="restarted", channel=channel)
        httpx.post(
            f"{first.url}/storage/v1/b", params={"project": "restarted"}, json={"name": google.bucket}, verify=False
        )
        done, going = google.run(_simple()), google.start(spec)
        _wait_for(tmp_path / "begun")

    with vertex_emulator(state=tmp_path / "state") as second, grpc.insecure_channel(second.address) as channel:
        google = Google(emulator=second, project="restarted", channel=channel)
        assert google.pipelines.get_pipeline_job(name=done.name) == done
        found = google.pipelines.get_pipeline_job(name=going.name)
        assert found.state.name == "PIPELINE_STATE_FAILED"
        assert "stopped while the job ran" in found.error.message
        assert states(found)["act"] == "FAILED"
        assert {task.state.name for task in found.job_detail.task_details} <= {"FAILED", "CANCELLED"}
        (act,) = [task for task in found.job_detail.task_details if task.task_name == "act"]
        assert "stopped while the job ran" in act.error.message
        assert act.execution.state.name == "FAILED"
        assert act.end_time


KILLED = """
import sys, time
from pathlib import Path
import grpc, httpx
from google.cloud import aiplatform_v1 as v1
from tests.emulators.pipelines.conftest import Google
from tests.emulators.pipelines.specs import Spec
from tests.emulators.pipelines.test_custom_jobs import _create
from cloudmlops.emulators.google import vertex_emulator
from cloudmlops.emulators.google.cloud import GoogleCloud
folder = Path(sys.argv[1])
with vertex_emulator(state=folder / "state") as emulator, grpc.insecure_channel(emulator.address) as channel:
    google = Google(emulator=emulator, project="killed", channel=channel)
    httpx.post(f"{emulator.url}/storage/v1/b", params={"project": "killed"}, json={"name": google.bucket})
    names = []
    for number in (1, 2):
        spec = Spec()
        spec.shell("act", f"touch {folder}/begun-{number}; trap '' TERM; while true; do sleep 1; done")
        spec.task("act")
        names.append(google.start(spec).name)
    names.append(_create(google, f"touch {folder}/begun-3; sleep 600").name)
    while not all((folder / f"begun-{number}").exists() for number in (1, 2, 3)): time.sleep(0.01)
    print(*names, flush=True)
    time.sleep(600)
"""


def test_jobs_of_a_killed_emulator_have_failed_and_their_programs_are_gone(tmp_path: Path) -> None:
    killed = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, cwd=Path(__file__).parents[3]
    )
    assert killed.stdout is not None
    with killed.stdout:
        names = killed.stdout.readline().decode().split()
        assert len(names) == 3
        programs = psutil.Process(killed.pid).children(recursive=True)
        killed.kill()
        killed.wait(30)
    _, alive = psutil.wait_procs(programs, timeout=60)

    assert not alive
    with vertex_emulator(state=tmp_path / "state") as again, grpc.insecure_channel(again.address) as channel:
        google = Google(emulator=again, project="killed", channel=channel)
        found = [google.pipelines.get_pipeline_job(name=name) for name in names[:2]]
        custom = google.client(v1.JobServiceClient).get_custom_job(name=names[2])
        assert [job.state.name for job in found] == ["PIPELINE_STATE_FAILED"] * 2
        assert custom.state.name == "JOB_STATE_FAILED"
        assert custom.end_time
        assert all("emulator was stopped" in job.error.message for job in (*found, custom))


def _wait_for(file: Path) -> None:
    until = time.monotonic() + 30
    while not file.exists():
        assert time.monotonic() < until, f"{file} did not come to be"
        time.sleep(0.005)
