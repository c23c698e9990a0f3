"""Parallel steps, made with azure-ai-ml's `parallel_run_function`: a script is handed files in mini batches."""

# Without the annotations of the future: azure-ai-ml reads those of a pipeline's function as types.
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.emulators.azure.jobs.conftest import Jobs

pytestmark = [
    # azure-ai-ml 1.35 is written for marshmallow 3, which tells of its fourth
    pytest.mark.filterwarnings("ignore::marshmallow.warnings.RemovedInMarshmallow4Warning"),
    pytest.mark.filterwarnings("ignore:The use of a 'BlobProperties':DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:content_as_bytes is deprecated:DeprecationWarning"),
]
SCALING = """
import argparse, os
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument("--factor", type=float)
parser.add_argument("--label")
given, _ = parser.parse_known_args()

def init():
    print("began in", os.environ["SEASON"], flush=True)

def run(mini_batch):
    print("given", len(mini_batch), flush=True)
    return [f"{given.label} {Path(one).name} {float(Path(one).read_text()) * given.factor}" for one in mini_batch]

def shutdown():
    print("shut down", flush=True)
"""
PICKY = """
from pathlib import Path

def run(mini_batch):
    found = [float(Path(one).read_text()) for one in mini_batch]
    if 2.0 in found:
        raise ValueError("no twos")
    return [one for one in found if one != 4.0]
"""
TOGETHER = """
import os, time
from pathlib import Path

def run(mini_batch):
    here = Path(mini_batch[0]).parent.parent / "together"
    here.mkdir(exist_ok=True)
    (here / str(os.getpid())).touch()
    until = time.monotonic() + 60
    while len(list(here.iterdir())) < 2:
        if time.monotonic() > until:
            raise TimeoutError("nobody beside")
        time.sleep(0.01)
    return mini_batch
"""
FLAKY = """
from pathlib import Path

def run(mini_batch):
    tried = Path(mini_batch[0]).parent.parent / "tried"
    with tried.open("a") as file:
        file.write("x")
    if len(tried.read_text()) < 3:
        raise OSError("not yet")
    return mini_batch
"""


def step(jobs: "Jobs", script: str, *, arguments: str = "", rows: str = "uri_file", **given: Any) -> Any:
    """Return a parallel step that scores the files of a folder."""
    from azure.ai.ml import Input, Output
    from azure.ai.ml.entities import Environment
    from azure.ai.ml.parallel import RunFunction, parallel_run_function

    task = RunFunction(
        code=str(jobs.code(score=script)),
        entry_script="score.py",
        program_arguments=arguments or None,
        environment=Environment(image="contoso.azurecr.io/scorer:1"),
        **({"append_row_to": "${{outputs.rows}}"} if rows else {}),
    )
    return parallel_run_function(
        name="score",
        inputs={"data": Input(type="uri_folder"), "factor": Input(type="number", default=2)},
        outputs={"rows": Output(type=rows or "uri_folder")},
        input_data="${{inputs.data}}",
        task=task,
        **{"mini_batch_size": "2", **given},
    )


def pipeline(jobs: "Jobs", made: Any, values: int = 5) -> Any:
    from azure.ai.ml import Input, dsl

    folder = jobs.folder / "values"
    folder.mkdir(exist_ok=True)
    for number in range(values):
        (folder / f"{number}.txt").write_text(str(number))
    whole = Input(type="uri_folder", path=str(folder))

    @dsl.pipeline(default_compute="serverless")
    def build() -> dict[str, Any]:
        return {"rows": made(data=whole).outputs.rows}

    return build()


def child(jobs: "Jobs", name: str) -> str:
    (one,) = jobs.client.jobs.list(parent_job_name=name)
    return str(one.name)


def rows(jobs: "Jobs", name: str, folder: "Path") -> list[str]:
    jobs.client.jobs.download(name, download_path=folder, output_name="rows")
    (file,) = (one for one in (folder / "named-outputs" / "rows").rglob("*") if one.is_file())
    return file.read_text().splitlines()


@pytest.mark.conformance(ci=True)
def test_a_script_is_handed_files_in_mini_batches_and_what_it_returns_is_appended(
    jobs: "Jobs", tmp_path: "Path"
) -> None:
    made = step(
        jobs,
        SCALING,
        arguments="--factor ${{inputs.factor}} --label 'a b' --error_threshold 0",
        environment_variables={"SEASON": "winter"},
    )

    run = jobs.finished(pipeline(jobs, made), experiment_name="flights")

    assert run["status"] == "Completed"
    assert rows(jobs, run["runId"], tmp_path) == [f"a b {number}.txt {number * 2.0}" for number in range(5)]
    said = jobs.log(child(jobs, run["runId"])).splitlines()
    assert [line for line in said if line.startswith(("began", "given", "shut"))] == [
        *("began in winter", "given 2", "given 2", "given 1", "shut down"),
    ]


@pytest.mark.conformance(ci=True)
@pytest.mark.parametrize(
    ("given", "arguments", "told"),
    [
        ({}, "--error_threshold 3", ""),
        ({}, "--error_threshold 2", "The error count 3 is above the error threshold 2"),
        ({"error_threshold": 2}, "", "The error count 3 is above the error threshold 2"),
        ({"mini_batch_error_threshold": 2}, "", ""),
        ({"mini_batch_error_threshold": 1}, "", "The mini batch error count 2 is above the error threshold 1"),
        ({}, "--allowed_failed_percent 60", "66.6667 % of the mini batches failed, more than 60 %"),
    ],
    ids=["items", "too-many-items", "of-the-step", "batches", "too-many-batches", "percent"],
)
def test_so_much_may_fail_as_thresholds_say(
    jobs: "Jobs", tmp_path: "Path", given: dict[str, Any], arguments: str, told: str
) -> None:
    retries = {"max_retries": 0, "timeout": 60}
    made = step(jobs, PICKY, arguments=arguments, retry_settings=retries, **given)

    run = jobs.finished(pipeline(jobs, made), experiment_name="flights")

    said = jobs.log(child(jobs, run["runId"]))
    assert "ValueError: no twos" in said
    if told:
        assert run["status"] == "Failed"
        assert told in said
    else:
        assert run["status"] == "Completed"
        assert rows(jobs, run["runId"], tmp_path) == ["0.0", "1.0"]


@pytest.mark.conformance(ci=True)
@pytest.mark.parametrize(("retries", "status"), [(2, "Completed"), (1, "Failed")])
def test_a_mini_batch_is_tried_again_as_often_as_is_said(jobs: "Jobs", retries: int, status: str) -> None:
    made = step(jobs, FLAKY, rows="", retry_settings={"max_retries": retries, "timeout": 60}, mini_batch_size="5")

    run = jobs.finished(pipeline(jobs, made), experiment_name="flights")

    assert run["status"] == status
    said = jobs.log(child(jobs, run["runId"]))
    assert said.count("OSError: not yet") == 2
    assert ("There is no succeeded mini batch item" in said) == (status == "Failed")


@pytest.mark.conformance(ci=True)
@pytest.mark.parametrize("given", [{"max_concurrency_per_instance": 2}, {"instance_count": 2}], ids=["beside", "nodes"])
def test_mini_batches_go_side_by_side_as_many_as_are_said(jobs: "Jobs", given: dict[str, int]) -> None:
    made = step(jobs, TOGETHER, mini_batch_error_threshold=0, mini_batch_size="1", **given)

    run = jobs.finished(pipeline(jobs, made, values=2), experiment_name="flights")

    assert run["status"] == "Completed", jobs.log(child(jobs, run["runId"]))


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"partition_keys": ["one"]}, "partition_keys"),
        ({"mini_batch_size": None}, "without a mini_batch_size"),
        ({"arguments": "--append_row_file_name x"}, "--append_row_file_name"),
        ({"arguments": "$[[--factor ${{inputs.factor}}]]"}, "an optional part of the arguments"),
        ({"rows": "uri_folder"}, "'${{outputs.rows}}' of the parallel step score of type 'uri_folder'"),
    ],
    ids=["partitions", "no-size", "argument", "optional", "folder"],
)
def test_what_is_not_known_of_parallel_steps_is_refused_by_name(jobs: "Jobs", given: dict[str, Any], told: str) -> None:
    from azure.core.exceptions import HttpResponseError

    made = step(jobs, PICKY, **given)

    with pytest.raises(HttpResponseError) as caught:
        jobs.submit(pipeline(jobs, made), experiment_name="flights")

    assert caught.value.status_code == 501
    assert told in str(caught.value)


def test_a_table_as_input_of_a_parallel_step_is_refused_by_name(jobs: "Jobs") -> None:
    from azure.ai.ml import Input, dsl
    from azure.core.exceptions import HttpResponseError

    made = step(jobs, PICKY)
    made.component.inputs["data"].type = "mltable"
    table = Input(type="mltable", path="azureml://datastores/workspaceblobstore/paths/table/")

    @dsl.pipeline(default_compute="serverless")
    def build() -> dict[str, Any]:
        return {"rows": made(data=table).outputs.rows}

    with pytest.raises(HttpResponseError, match="An input of type 'mltable' is not emulated"):
        jobs.submit(build(), experiment_name="flights")


@pytest.mark.conformance(ci=True)
def test_folders_in_what_a_parallel_step_is_given_fail_it_with_a_word(jobs: "Jobs") -> None:
    (jobs.folder / "values" / "deeper").mkdir(parents=True)
    (jobs.folder / "values" / "deeper" / "one.txt").write_text("1")

    run = jobs.finished(pipeline(jobs, step(jobs, PICKY)), experiment_name="flights")

    assert run["status"] == "Failed"
    assert "Not emulated: folders in" in jobs.log(child(jobs, run["runId"]))


def test_a_parallel_component_is_shown_as_the_service_shows_it(jobs: "Jobs") -> None:
    made = step(jobs, PICKY, instance_count=2, max_concurrency_per_instance=1, logging_level="DEBUG").component
    made.name, made.version = "scoring", "1"
    jobs.client.components.create_or_update(made)

    path = f"{jobs.azure.workspace_id}/components/scoring/versions/1?api-version=2024-01-01-preview"
    shown = jobs.call("GET", path).json()["properties"]["componentSpec"]

    assert set(shown) == {
        *("name", "version", "is_deterministic", "type", "inputs", "outputs", "task", "input_data", "logging_level"),
        *("max_concurrency_per_instance", "mini_batch_size", "retry_settings"),
    }
    assert set(shown["task"]) == {"type", "code", "entry_script", "environment", "append_row_to"}
    assert shown["retry_settings"] == {"max_retries": "3", "timeout": "60"}
    assert (shown["mini_batch_size"], shown["max_concurrency_per_instance"]) == ("2", "1")
    assert shown["inputs"]["data"] == {"type": "uri_folder", "optional": "False"}
