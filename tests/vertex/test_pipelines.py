"""What is asked of Vertex AI for pipelines, and what is made of its answers."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from google.cloud.aiplatform_v1 import PipelineServiceClient, PipelineState, PipelineTaskDetail
from tests.contract.conftest import vertex_target
from tests.vertex.pipeline_steps import exactly, impossible, machines, reading, registering

import cloudmlops as cm
from cloudmlops.emulators.core.emulator import Emulator
from cloudmlops.emulators.core.faults import Fault, Refused
from cloudmlops.emulators.google.cloud import GoogleCloud
from cloudmlops.errors import InvalidPipelineError, RunFailedError, UnavailableError, UnsupportedError
from cloudmlops.providers.vertex.mapping import pipelines as mapping
from cloudmlops.testing.contract.pipeline_steps import needs_file, training

from .conftest import Opened

pytestmark = pytest.mark.conformance(ci=True)

IMAGE = "europe-west4-docker.pkg.dev/any/steps/cloudmlops:latest"


def _connect(emulator: Emulator, **settings: str) -> cm.Platform:
    return cm.connect(vertex_target(emulator, **{"image": IMAGE, **settings}))


def _sent(emulator: Emulator) -> Any:
    (call,) = [one for one in emulator.calls.list() if one.operation == "PipelineService.CreatePipelineJob"]
    return call.request["pipeline_job"]


def test_every_state_of_jobs_and_tasks_is_known() -> None:
    assert set(mapping.RUN_STATES) == set(PipelineState)
    assert set(mapping.STEP_STATES) == set(PipelineTaskDetail.State)


def test_a_job_says_what_it_is_and_where_and_as_whom_it_runs(vertex_emulator: Emulator) -> None:
    settings = {
        "service_account": "runner@p.iam.gserviceaccount.com",
        "network": "projects/1/global/networks/vpc",
        "encryption_key": "projects/p/locations/europe-west4/keyRings/r/cryptoKeys/k",
    }
    with _connect(vertex_emulator, **settings) as platform:
        run = platform.pipelines.run(machines, id="two_words")
        bucket = platform.pipelines._context.backends.objects.uri

        sent = _sent(vertex_emulator)
        run.wait()

    assert sent["display_name"] == "two_words"
    assert sent["labels"] == {"cloudmlops_pipeline": "machines", "cloudmlops_run": "two_words"}
    assert sent["service_account"] == settings["service_account"]
    assert sent["network"] == settings["network"]
    assert sent["encryption_spec"] == {"kms_key_name": settings["encryption_key"]}
    assert sent["runtime_config"]["gcs_output_directory"] == f"{bucket}/pipeline-root"
    assert sent["runtime_config"]["failure_policy"] == "PIPELINE_FAILURE_POLICY_FAIL_SLOW"


def test_a_step_gets_the_machine_that_it_asks_for(vertex_emulator: Emulator) -> None:
    with _connect(vertex_emulator) as platform:
        run = platform.pipelines.run(machines)
        executors = _sent(vertex_emulator)["pipeline_spec"]["deploymentSpec"]["executors"]
        assert run.wait().outputs == {"output": 3}

    container = executors["exec-small"]["container"]
    assert container["image"] == IMAGE
    assert {"name": "A", "value": "b"} in container["env"]
    assert container["resources"]["resourceCpuLimit"] == "4"
    assert container["resources"]["resourceMemoryLimit"] == "16Gi"
    assert executors["exec-fast"]["container"]["resources"]["accelerator"]["type"] == "NVIDIA_TESLA_T4"
    assert executors["exec-fast"]["container"]["resources"]["accelerator"]["count"] == "2"
    job = executors["exec-cheap"]["customJob"]["customJob"]["jobSpec"]
    assert job["scheduling"] == {"strategy": "SPOT"}
    pool = job["workerPoolSpecs"][0]
    assert pool["machineSpec"] == {
        "machineType": "g2-standard-8",
        "acceleratorType": "NVIDIA_L4",
        "acceleratorCount": 1.0,
    }
    assert pool["containerSpec"]["imageUri"] == "mine:1"


def test_what_no_machine_has_is_refused_with_all_faults_before_anything_is_sent(vertex_emulator: Emulator) -> None:
    with cm.connect(vertex_target(vertex_emulator)) as platform, pytest.raises(InvalidPipelineError) as refusal:
        platform.pipelines.run(impossible)

    told = "\n".join(refusal.value.faults)
    assert "step 'huge': no machine type has 1000 CPUs" in told
    assert "step 'odd': nvidia-l4 comes in numbers of 1, 2, 4, 8, not 3" in told
    assert "step 'small' has no image" in told
    assert not [one for one in vertex_emulator.calls.list() if one.service == "aiplatform"]


def test_a_step_whose_image_nobody_has_built_names_it_and_says_how_to_build_it(vertex_emulator: Emulator) -> None:
    image = "europe-west4-docker.pkg.dev/any/steps/nobody-built:1"
    vertex_emulator.cloud(GoogleCloud).images.lack(image)

    with _connect(vertex_emulator, image=image) as platform, pytest.raises(RunFailedError) as failure:
        platform.pipelines.run(training, wait=True)

    told = str(failure.value)
    assert f"Failed to read the container uri [{image}]" in told
    assert "cloudmlops image steps FOLDER" in told
    assert f"gcloud builds submit FOLDER --tag {image}" in told


def test_debugging_in_process_is_for_the_embedded_provider(vertex_emulator: Emulator) -> None:
    with _connect(vertex_emulator) as platform, pytest.raises(UnsupportedError, match="containers of its own"):
        platform.pipelines.run(training, in_process=True)


def test_values_are_exact_on_their_way(vertex_emulator: Emulator) -> None:
    with _connect(vertex_emulator) as platform:
        given = {"large": 2**63 + 1, "real": 0.1 + 0.2, "text": '{{$}} "quoted" null'}

        run = platform.pipelines.run(exactly, given, wait=True)

    assert run.outputs == {"output": {**given, "large": 2**63 + 2, "nothing": None}}


def test_a_lost_answer_makes_no_second_job(vertex_emulator: Emulator) -> None:
    vertex_emulator.faults.set(Fault(matching="aiplatform/PipelineService.CreatePipelineJob", lose_response=True))
    with _connect(vertex_emulator) as platform:
        run = platform.pipelines.run(machines, wait=True)

        assert [one.id for one in platform.pipelines.list()] == [run.id]
    tried = [one for one in vertex_emulator.calls.list() if one.operation == "PipelineService.CreatePipelineJob"]
    assert len(tried) == 2


def test_an_id_whose_job_was_never_made_is_started_by_the_next_call(vertex_emulator: Emulator) -> None:
    with _connect(vertex_emulator, timeout="1") as platform:
        away = Refused("UNAVAILABLE", "try again later")
        vertex_emulator.faults.set(
            Fault(matching="aiplatform/PipelineService.CreatePipelineJob", refused=away, times=None)
        )
        with pytest.raises(UnavailableError):
            platform.pipelines.run(machines, id="monday")
        vertex_emulator.faults.clear()

        assert platform.pipelines.run(machines, id="monday", wait=True).outputs == {"output": 3}


def test_a_resume_whose_job_was_never_made_is_done_by_the_next_call(vertex_emulator: Emulator, tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    with _connect(vertex_emulator, timeout="1") as platform:
        with pytest.raises(RunFailedError) as failure:
            platform.pipelines.run(reading, {"journal": str(tmp_path / "journal"), "missing": str(missing)}, wait=True)
        run = failure.value.run
        away = Refused("UNAVAILABLE", "try again later")
        vertex_emulator.faults.set(
            Fault(matching="aiplatform/PipelineService.CreatePipelineJob", refused=away, times=None)
        )
        with pytest.raises(UnavailableError):
            run.resume()
        vertex_emulator.faults.clear()
        missing.touch()

        assert platform.pipelines.get(run.id).record.attempt == 1
        assert [one.record.attempt for one in platform.pipelines.list()] == [1]
        assert platform.pipelines.get(run.id).resume(wait=True).record.attempt == 2


def test_an_artifact_of_the_first_attempt_is_brought_in_by_the_next(vertex_emulator: Emulator, tmp_path: Path) -> None:
    journal, missing = tmp_path / "journal", tmp_path / "missing"
    with _connect(vertex_emulator) as platform:
        with pytest.raises(RunFailedError) as failure:
            platform.pipelines.run(reading, {"journal": str(journal), "missing": str(missing)}, wait=True)
        run = failure.value.run
        missing.touch()

        resumed = run.resume(wait=True)

        assert resumed.outputs == {"output": "1,2"}
        assert journal.read_text() == "make\n"
        assert resumed.record.attempt == 2
        assert [one.id for one in platform.pipelines.list()] == [run.id]
        assert resumed.logs("make") == ""
        assert "FileNotFoundError" in resumed.logs("read", attempt=1)


def test_a_scheduled_run_is_a_run_like_any_other(vertex_emulator: Emulator) -> None:
    vertex_emulator.clock.freeze(datetime(2030, 1, 1, 1, 30, tzinfo=UTC))
    with _connect(vertex_emulator) as platform:
        platform.pipelines.schedule(machines, name="nightly", cron="0 3 * * *", timezone="Europe/Zurich")

        vertex_emulator.clock.advance(timedelta(hours=1))

        (run,) = platform.pipelines.list("machines")
        assert run.id == "machines-20300101020000"
        assert run.wait().outputs == {"output": 3}
        (kept,) = platform.pipelines.schedules()
        assert kept.last_fired_at == datetime(2030, 1, 1, 2, tzinfo=UTC)


def test_a_scheduled_run_is_shown_to_who_may_only_read_before_anybody_else_has_looked(
    vertex_emulator: Emulator,
) -> None:
    vertex_emulator.clock.freeze(datetime(2030, 1, 1, 1, 30, tzinfo=UTC))
    access = vertex_emulator.cloud(GoogleCloud).access
    with _connect(vertex_emulator) as platform:
        platform.pipelines.schedule(machines, name="nightly", cron="0 3 * * *", timezone="Europe/Zurich")
        vertex_emulator.clock.advance(timedelta(hours=1))
        access.deny("storage.objects.create")

        (seen,) = platform.pipelines.list()
        assert platform.pipelines.get(seen.id).lineage == seen.lineage
        assert isinstance(seen.logs("small"), str)

        access.allow("storage.objects.create")
        (run,) = platform.pipelines.list()
        assert (run.id, run.lineage, run.created_at) == (seen.id, seen.lineage, seen.created_at)


def test_the_log_of_a_step_that_goes_on_can_be_read(vertex_emulator: Emulator, tmp_path: Path) -> None:
    with _connect(vertex_emulator) as platform:
        run = platform.pipelines.run(needs_file, {"journal": str(tmp_path / "j"), "missing": str(tmp_path / "m")})
        until = time.monotonic() + 60
        while not run.status.ended:
            assert time.monotonic() < until
            assert isinstance(run.logs("unless"), str)
        assert "FileNotFoundError" in run.logs("unless")


def test_within_a_step_the_platform_is_the_same_and_knows_the_run(vertex_emulator: Emulator) -> None:
    with _connect(vertex_emulator) as platform:
        run = platform.pipelines.run(registering, wait=True)

        assert run.outputs == {"output": run.id}
        assert [one.model for one in platform.models.list()] == ["made-inside"]


def test_runs_over_rest_are_the_same(vertex_emulator: Emulator) -> None:
    with _connect(vertex_emulator, transport="rest") as platform:
        run = platform.pipelines.run(machines, wait=True)

        assert run.outputs == {"output": 3}
        assert [one.id for one in platform.pipelines.list("machines")] == [run.id]


def test_what_is_in_the_console_is_typed(vertex_emulator: Emulator, opened: Opened) -> None:
    backends = opened(image=IMAGE)
    with cm.connect(backends.target) as platform:
        run = platform.pipelines.run(training, {"rows": 4}, wait=True)
        sent = _sent(vertex_emulator)
        native = backends.wire.client(PipelineServiceClient)
        job = native.get_pipeline_job(name=f"{backends.settings.parent}/pipelineJobs/{run.id}")

    assert sent["runtime_config"]["parameter_values"] == {"rows": 4.0, "keep": 0.5, "on": "2013-01-01"}
    left = {
        f"{task.task_name}.{name}": listed.artifacts[0].schema_title
        for task in job.job_detail.task_details
        for name, listed in task.outputs.items()
    }
    assert left["train.output"] == "system.Model"
    assert left["load.output"] == "system.Dataset"
    assert left["evaluate.output"] == "system.Metrics"
    content = sent["pipeline_spec"]["root"]["dag"]["tasks"]["load"]["inputs"]["parameters"]["cloudmlops-step"]
    assert json.loads(content["runtimeValue"]["constant"])["parameters"] == {"rows": 4}
