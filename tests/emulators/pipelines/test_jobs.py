"""Pipeline jobs as resources."""

from __future__ import annotations

from pathlib import Path

import pytest
from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform_v1 as v1
from google.cloud import aiplatform_v1beta1 as v1beta1
from tests.emulators.pipelines.conftest import Google
from tests.emulators.pipelines.specs import Spec


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
    import grpc
    import httpx

    from cloudmlops.emulators.google import vertex_emulator

    with vertex_emulator(state=tmp_path / "state") as first, grpc.insecure_channel(first.address) as channel:
        google = Google(emulator=first, project="restarted", channel=channel)
        httpx.post(f"{first.url}/storage/v1/b", params={"project": "restarted"}, json={"name": google.bucket})
        done, going = google.run(_simple()), google.start(_simple("sleep 600"))

    with vertex_emulator(state=tmp_path / "state") as second, grpc.insecure_channel(second.address) as channel:
        google = Google(emulator=second, project="restarted", channel=channel)
        assert google.pipelines.get_pipeline_job(name=done.name) == done
        assert "stopped while the job ran" in google.pipelines.get_pipeline_job(name=going.name).error.message
