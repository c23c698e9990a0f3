"""What containers are given, and what they leave."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest
from google.api_core import exceptions
from google.cloud import aiplatform_v1 as v1
from tests.emulators.pipelines.conftest import Google, left, states
from tests.emulators.pipelines.specs import Spec, artifact, output

from cloudmlops.emulators.google.aiplatform.images import Image, images_of


def test_artifacts_are_files_for_a_container_and_objects_on_record(google: Google) -> None:
    spec = Spec()
    spec.shell(
        "make",
        'mkdir "$0"; printf five > "$0/number"',
        left=["data"],
        arguments=["{{$.outputs.artifacts['data'].path}}"],
    )
    spec.shell(
        "use",
        'printf "%s of %s" "$(cat "$0/number")" "$1" > "$2"',
        artifacts=["data"],
        left=["report"],
        arguments=[
            "{{$.inputs.artifacts['data'].path}}",
            "{{$.inputs.artifacts['data'].uri}}",
            "{{$.outputs.artifacts['report'].path}}",
        ],
    )
    spec.task("make")
    spec.task("use", artifacts={"data": artifact("make", "data")})

    job = google.run(spec)

    made, used = job.job_detail.task_details[1:]
    uri = made.outputs["data"].artifacts[0].uri
    assert uri.startswith(f"gs://{google.bucket}/root/")
    assert used.inputs["data"].artifacts[0] == made.outputs["data"].artifacts[0]
    assert made.outputs["data"].artifacts[0].schema_title == "system.Dataset"
    assert google.object(f"{uri}/number") == b"five"
    assert google.object(used.outputs["report"].artifacts[0].uri) == f"five of {uri}".encode()


def test_parameters_have_their_types_on_their_way(google: Google) -> None:
    values = {
        "text": "a 'b' {}",
        "whole": 3,
        "real": 0.1,
        "flag": True,
        "items": [1, {"a": None}],
        "record": {"x": 1.5},
    }
    types = ("STRING", "NUMBER_INTEGER", "NUMBER_DOUBLE", "BOOLEAN", "LIST", "STRUCT")
    kinds = dict(zip(values, types, strict=True))
    spec = Spec(parameters={name: {"parameterType": kind} for name, kind in kinds.items()})
    script = "; ".join(f'printf %s "${{{place + 6}}}" > "${place}"' for place in range(6))
    spec.shell(
        "copy",
        script,
        inputs=kinds,
        outputs=kinds,
        arguments=[
            *(f"{{{{$.outputs.parameters['{name}'].output_file}}}}" for name in kinds),
            *(f"{{{{$.inputs.parameters['{name}']}}}}" for name in kinds),
        ],
    )
    spec.task("copy", parameters={name: {"componentInputParameter": name} for name in kinds})

    job = google.run(spec, values)

    assert json.loads(json.dumps(v1.Execution.to_dict(job.job_detail.task_details[1].execution)["metadata"])) == {
        f"{side}:{name}": value for side in ("input", "output") for name, value in values.items()
    }


def test_placeholders_stand_for_the_job_the_task_and_all_inputs(google: Google) -> None:
    spec = Spec()
    spec.shell(
        "show",
        'printf "%s\\n" "$0" "$1" "$2" "$3" > "$4"',
        inputs={"x": "STRING"},
        outputs={"seen": "STRING"},
        arguments=[
            "{{$.pipeline_job_name}} {{$.pipeline_task_name}}",
            "{{$.pipeline_job_resource_name}}",
            "{{$}}",
            '{"x": "{{$.inputs.parameters[\'x\'].json_escape[1]}}"}',
            "{{$.outputs.parameters['seen'].output_file}}",
        ],
    )
    spec.task("show", parameters={"x": 'say "hi"'})

    job = google.run(spec)

    task, name, whole, escaped = left(job, "show")["seen"].splitlines()
    assert task == f"{job.name.rpartition('/')[2]} show"
    assert name == job.name
    assert json.loads(whole)["inputs"]["parameterValues"] == {"x": 'say "hi"'}
    assert json.loads(escaped) == {"x": 'say "hi"'}


def test_words_of_a_command_may_depend_on_whether_an_input_is_given(google: Google) -> None:
    spec = Spec()
    spec.shell("show", 'printf "%s " "$@" > "$0"', inputs={"a": "STRING", "b": "STRING"}, outputs={"seen": "STRING"})
    spec.components["show"]["inputDefinitions"]["parameters"]["b"]["isOptional"] = True
    spec.executors["show"]["container"]["args"] = [
        "{{$.outputs.parameters['seen'].output_file}}",
        '{"Concat": ["--a=", "{{$.inputs.parameters[\'a\']}}"]}',
        '{"IfPresent": {"InputName": "b", "Then": ["--b", "there"], "Else": ["--no-b"]}}',
    ]
    spec.task("show", parameters={"a": "1"})

    assert left(google.run(spec), "show")["seen"] == "--a=1 --no-b "


def test_a_container_may_describe_its_outputs_itself(google: Google) -> None:
    spec = Spec()
    described = json.dumps(
        {"parameterValues": {"n": 4}, "artifacts": {"data": {"artifacts": [{"metadata": {"rows": 4}}]}}}
    )
    spec.shell(
        "make",
        'printf %s "$1" > "$0"; touch "$2"',
        outputs={"n": "NUMBER_INTEGER"},
        left=["data"],
        arguments=["{{$.outputs.output_file}}", described, "{{$.outputs.artifacts['data'].path}}"],
    )
    spec.task("make")

    job = google.run(spec)

    assert left(job, "make") == {"n": 4}
    assert dict(job.job_detail.task_details[1].outputs["data"].artifacts[0].metadata) == {"rows": 4}


def test_paths_below_the_mount_of_buckets_are_objects(google: Google) -> None:
    spec = Spec()
    spec.shell("write", 'mkdir -p "$0"; printf one > "$0/x"', arguments=[f"/gcs/{google.bucket}/folder"])
    spec.shell("read", 'cat "$FOLDER/x" > "$0"; rm "$FOLDER/x"', outputs={"x": "STRING"})
    spec.executors["read"]["container"]["args"] = ["{{$.outputs.parameters['x'].output_file}}"]
    spec.executors["read"]["container"]["env"] = [{"name": "FOLDER", "value": f"/gcs/{google.bucket}/folder"}]
    spec.task("write")
    spec.task("read", after=["write"])

    job = google.run(spec)

    assert left(job, "read") == {"x": "one"}
    with pytest.raises(httpx.HTTPStatusError, match="404"):
        google.object(f"gs://{google.bucket}/folder/x")


def test_a_task_is_tried_again_as_often_as_its_policy_says(google: Google, tmp_path: Path) -> None:
    spec = Spec()
    spec.shell("flaky", f'echo tried >> {tmp_path}/tries; test "$(wc -l < {tmp_path}/tries)" = 3')
    spec.task("flaky", retryPolicy={"maxRetryCount": 2, "backoffDuration": "0s"})

    job = google.run(spec)

    container = job.job_detail.task_details[1].executor_detail.container_detail
    assert job.state.name == "PIPELINE_STATE_SUCCEEDED"
    assert len(container.failed_main_jobs) == 2
    assert container.main_job not in container.failed_main_jobs


def test_a_task_whose_inputs_were_seen_before_is_not_run_again(google: Google, tmp_path: Path) -> None:
    spec = Spec()
    spec.shell(
        "make",
        f'echo ran >> {tmp_path}/runs; printf %s "$0" > "$1"',
        inputs={"x": "STRING"},
        outputs={"y": "STRING"},
        arguments=["{{$.inputs.parameters['x']}}", "{{$.outputs.parameters['y'].output_file}}"],
    )
    for name, value in (("one", "1"), ("two", "2")):
        spec.task(name, "make", parameters={"x": value}, cachingOptions={"enableCache": True})
    google.run(spec)
    spec.tasks["two"]["inputs"]["parameters"]["x"] = output("one", "y")
    spec.tasks["two"]["cachingOptions"] = {}

    again = google.run(spec)

    assert states(again) == {"one": "SKIPPED", "two": "SUCCEEDED"}
    assert left(again, "two") == {"y": "1"}
    assert (tmp_path / "runs").read_text().count("ran") == 3


def test_an_artifact_that_exists_is_imported(google: Google) -> None:
    spec = Spec()
    uri = f"gs://{google.bucket}/there"
    spec.components["bring"] = {
        "executorLabel": "bring",
        "outputDefinitions": {"artifacts": {"artifact": {"artifactType": {"schemaTitle": "system.Model"}}}},
    }
    spec.executors["bring"] = {
        "importer": {
            "artifactUri": {"constant": uri},
            "typeSchema": {"schemaTitle": "system.Model"},
            "metadata": {"a": "b"},
        }
    }
    spec.shell("write", 'printf hello > "$0"', arguments=[f"/gcs/{google.bucket}/there"])
    spec.shell("read", 'cat "$0"', artifacts=["model"], arguments=["{{$.inputs.artifacts['model'].path}}"])
    spec.task("write")
    spec.task("bring", after=["write"])
    spec.task("read", artifacts={"model": artifact("bring", "artifact")})

    job = google.run(spec)

    found = job.job_detail.task_details[2].outputs["artifact"].artifacts[0]
    assert (found.uri, found.schema_title, dict(found.metadata)) == (uri, "system.Model", {"a": "b"})
    assert job.state.name == "PIPELINE_STATE_SUCCEEDED"


def test_what_a_container_prints_is_in_the_log_of_its_custom_job(google: Google) -> None:
    spec = Spec()
    spec.shell("talk", "echo one; echo two >&2; printf three")
    spec.task("talk")
    job = google.run(spec)
    custom = job.job_detail.task_details[1].executor_detail.container_detail.main_job.rpartition("/")[2]

    reply = httpx.post(
        f"{google.emulator.url}/v2/entries:list",
        json={
            "resourceNames": [f"projects/{google.project}"],
            "filter": f'resource.type="ml_job" AND resource.labels.job_id="{custom}"',
        },
        verify=False,
    ).json()

    assert [entry["jsonPayload"]["message"] for entry in reply["entries"]] == ["one", "two", "three"]


def test_an_image_may_stand_for_another_interpreter_or_have_an_entry_point(google: Google, tmp_path: Path) -> None:
    program = tmp_path / "python"
    program.write_text('#!/bin/sh\necho "not python: $*"\n')
    program.chmod(0o755)
    images = images_of(google.emulator.state)
    images.let("mine/*", Image(python=str(program), entrypoint=("sh", "-c", "exit 3")))
    spec = Spec()
    spec.shell("other", "python3 -V; python -m pip install nothing; pip install nothing")
    spec.shell("own", "")
    spec.executors["other"]["container"]["image"] = "mine/a:1"
    spec.executors["own"]["container"] = {"image": "mine/b:1"}
    spec.executors["unknown"] = {"container": {"image": "other"}}
    spec.components["unknown"] = {"executorLabel": "unknown"}
    for name in ("other", "own", "unknown"):
        spec.task(name)

    job = google.run(spec)

    errors = {task.task_name: task.error.message for task in job.job_detail.task_details}
    assert "non-zero status of 3" in errors["own"]
    assert "The entry point of the image other is not emulated" in errors["unknown"]
    assert states(job)["other"] == "SUCCEEDED"


def test_a_bucket_that_does_not_exist_fails_the_task(google: Google) -> None:
    spec = Spec()
    spec.shell("make", 'touch "$0"', left=["data"], arguments=["{{$.outputs.artifacts['data'].path}}"])
    spec.task("make")
    job = google.job(spec)
    job.runtime_config.gcs_output_directory = "gs://nowhere-at-all/root"

    made = google.ended(google.pipelines.create_pipeline_job(parent=google.parent, pipeline_job=job))

    assert made.state.name == "PIPELINE_STATE_FAILED"
    assert "The specified bucket does not exist" in made.job_detail.task_details[1].error.message


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"schemaVersion": "1.0"}, "schemaVersion"),
        ({"pipelineInfo": {"name": "Not a name"}}, "pipelineInfo.name"),
        ({"components": {}}, "refers to the component 'make'"),
        ({"deploymentSpec": {"executors": {}}}, "has the executor 'make'"),
        ({"root": {}}, "no tasks"),
    ],
)
def test_a_malformed_pipeline_is_refused(google: Google, wrong: dict[str, object], told: str) -> None:
    spec = Spec()
    spec.shell("make", "true")
    spec.task("make")
    job = google.job(spec)
    job.pipeline_spec = {**spec.content(), **wrong}

    with pytest.raises(exceptions.InvalidArgument, match=told):
        google.pipelines.create_pipeline_job(parent=google.parent, pipeline_job=job)


@pytest.mark.parametrize(
    ("given", "told"), [({}, "misses"), ({"x": "text"}, "is no NUMBER_INTEGER"), ({"x": 1, "y": 1}, "no input")]
)
def test_wrong_parameters_are_refused(google: Google, given: dict[str, object], told: str) -> None:
    spec = Spec(parameters={"x": {"parameterType": "NUMBER_INTEGER"}})
    spec.shell("make", "true")
    spec.task("make")

    with pytest.raises(exceptions.InvalidArgument, match=told):
        google.start(spec, given)
