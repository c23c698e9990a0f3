"""What the jobs of batch endpoints do with files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.emulators.azure.batch.conftest import Batch

pytestmark = pytest.mark.conformance(ci=True)

FRAMES = """
import os
import pandas as pd

def init():
    pass

def run(mini_batch):
    return pd.DataFrame({"file": [os.path.basename(path) for path in mini_batch], "p": 0.5, "text": "a b"})
"""
MOODY = """
import os, time

def init():
    pass

def run(mini_batch):
    done = []
    for path in mini_batch:
        name = os.path.basename(path)
        mark = os.path.join(os.environ["AZUREML_BI_OUTPUT_PATH"], f"tried-{name}")
        tried = os.path.exists(mark)
        open(mark, "a").close()
        if name == "1.txt" and not tried:
            raise ValueError("not yet")
        if name == "2.txt" and not tried:
            time.sleep(60)
        if name == "3.txt":
            os._exit(9)
        done.append(name)
    return done
"""


def test_a_folder_is_scored_in_mini_batches_and_rows_are_appended(batch: Batch) -> None:
    batch.deploy(miniBatchSize=2)

    job = batch.ended(batch.invoke(batch.numbers()))

    assert job["properties"]["status"] == "Completed", batch.log(job)
    assert batch.files(job) == {"predictions.csv": "".join(f"{number}.txt,{2.5 * number}\n" for number in range(5))}
    assert batch.log(job).count("mini batch of 2") == 2
    assert batch.log(job).count("mini batch of 1") == 1


def test_rows_of_a_data_frame_have_spaces_between_and_no_header(batch: Batch) -> None:
    batch.deploy(FRAMES, outputFileName="scores.csv")

    job = batch.ended(batch.invoke(batch.numbers(2)))

    assert batch.files(job) == {"scores.csv": '0.txt 0.5 "a b"\n1.txt 0.5 "a b"\n'}


def test_one_file_is_scored_alone_and_folders_in_a_folder_not_at_all(batch: Batch) -> None:
    batch.deploy()
    folder = batch.numbers(2)
    account, container = batch.storage
    batch.azure.cloud.blobs.write(account, container, "numbers/inner/9.txt", b"9")

    whole = batch.ended(batch.invoke(folder))
    single = batch.ended(batch.invoke(f"{folder}1.txt", kind="UriFile"))

    assert batch.files(whole) == {"predictions.csv": "0.txt,0.0\n1.txt,2.5\n"}
    assert batch.files(single) == {"predictions.csv": "1.txt,2.5\n"}


def test_an_asset_and_a_place_for_the_output_are_named(batch: Batch) -> None:
    batch.deploy()
    uri = batch.numbers(2)
    batch.put("/data/numbers/versions/1", {"dataUri": uri, "dataType": "uri_folder"})
    asset = f"{batch.azure.workspace_id}/data/numbers/versions/1"
    place = {"jobOutputType": "UriFolder", "uri": "azureml://datastores/workspaceblobstore/paths/scored/"}

    job = batch.ended(batch.invoke(asset, outputData={"score": place}, outputFileName="all.csv"))

    account, container = batch.storage
    assert job["properties"]["status"] == "Completed"
    assert batch.azure.cloud.blobs.read(account, container, "scored/all.csv") == b"0.txt,0.0\n1.txt,2.5\n"


def test_a_summary_writes_no_predictions(batch: Batch) -> None:
    batch.deploy(outputAction="SummaryOnly")

    job = batch.ended(batch.invoke(batch.numbers(2)))

    assert job["properties"]["status"] == "Completed"
    assert batch.files(job) == {}


def test_mini_batches_that_fail_hang_or_die_are_tried_again_and_then_counted(batch: Batch) -> None:
    batch.deploy(MOODY, miniBatchSize=1, retrySettings={"maxRetries": 1, "timeout": "PT2S"})

    job = batch.ended(batch.invoke(batch.numbers(5)))

    assert job["properties"]["status"] == "Completed", batch.log(job)
    assert batch.files(job)["predictions.csv"] == "0.txt\n1.txt\n2.txt\n4.txt\n"
    assert "ValueError: not yet" in batch.log(job)


def test_more_failed_files_than_the_threshold_end_the_job(batch: Batch) -> None:
    batch.deploy(MOODY, miniBatchSize=1, retrySettings={"maxRetries": 0, "timeout": "PT30S"}, errorThreshold=0)

    job = batch.ended(batch.invoke(batch.numbers(2)))

    assert job["properties"]["status"] == "Failed"
    assert "The error count 1 is above the error threshold 0" in batch.log(job)
    again = batch.ended(batch.invoke(batch.numbers(2), errorThreshold=1))
    assert again["properties"]["status"] == "Completed", "what a request says counts more than the deployment"


def test_a_script_that_returns_nothing_or_cannot_begin_fails_the_job(batch: Batch) -> None:
    batch.deploy("def init(): pass\ndef run(mini_batch): return []\n")
    nothing = batch.ended(batch.invoke(batch.numbers(1)))
    batch.deploy("def init(): raise RuntimeError('no weights')\ndef run(mini_batch): return mini_batch\n", "green")
    never = batch.ended(batch.invoke(batch.numbers(1)))

    assert (nothing["properties"]["status"], never["properties"]["status"]) == ("Failed", "Failed")
    assert "There is no succeeded mini batch item returned from run()" in batch.log(nothing)
    assert "RuntimeError: no weights" in batch.log(never)
    assert "Run failed, please check logs" in batch.step(never)["error"]["error"]["message"]


def test_a_canceled_job_ends_with_all_its_processes(batch: Batch) -> None:
    batch.deploy("import time\ndef init(): pass\ndef run(mini_batch): time.sleep(600)\n")
    job = batch.invoke(batch.numbers(1)).json()["name"]
    batch.became(job, "Running")

    batch.call("POST", f"/jobs/{job}/cancel", api="2023-04-01-preview").raise_for_status()

    assert batch.became(job, "Canceled", "Failed", "Completed")["properties"]["status"] == "Canceled"


def test_a_pipeline_component_is_a_deployment_too(batch: Batch) -> None:
    workspace = batch.azure.workspace_id
    batch.put("/environments/minimal/versions/1", {"image": "mcr.microsoft.com/azureml/minimal:latest"})
    step = {
        "name": "shout",
        "type": "command",
        "command": "(cat ${{inputs.data}}/*.txt; echo ${{inputs.word}}) > ${{outputs.said}}/all.txt",
        "environment": f"{workspace}/environments/minimal/versions/1",
        "inputs": {"data": {"type": "uri_folder"}, "word": {"type": "string"}},
        "outputs": {"said": {"type": "uri_folder"}},
    }
    batch.put("/components/shout/versions/1", {"componentSpec": step})
    node = {
        "type": "command",
        "componentId": f"{workspace}/components/shout/versions/1",
        "inputs": {
            "data": {"job_input_type": "literal", "value": "${{parent.inputs.data}}"},
            "word": {"job_input_type": "literal", "value": "${{parent.inputs.word}}"},
        },
        "outputs": {"said": {"value": "${{parent.outputs.said}}", "type": "literal"}},
    }
    whole = {
        "name": "shouting",
        "type": "pipeline",
        "inputs": {"data": {"type": "uri_folder"}, "word": {"type": "string", "default": "quiet"}},
        "outputs": {"said": {"type": "uri_folder"}},
        "jobs": {"shout": node},
    }
    batch.put("/components/shouting/versions/1", {"componentSpec": whole})
    batch.open()
    component = {"referenceType": "Id", "assetId": f"{workspace}/components/shouting/versions/1"}
    configured = {"deploymentConfigurationType": "PipelineComponent", "componentId": component, "settings": {}}
    batch.put(f"{batch.endpoint}/deployments/loud", {"deploymentConfiguration": configured})
    given = {
        "data": {"jobInputType": "UriFolder", "uri": batch.numbers(3)},
        "word": {"jobInputType": "Literal", "value": "loud"},
    }

    job = batch.ended(batch.post({"properties": {"inputData": given}}, to="loud"))

    assert job["properties"]["status"] == "Completed"
    assert job["properties"]["tags"]["azureml.deploymentname"] == "loud"
    step = batch.step(job)
    data = batch.call("GET", f"/data/azureml_{step['runId']}_output_data_said/versions/1", api="2023-04-01-preview")
    place = data.json()["properties"]["dataUri"].partition("/paths/")[2]
    account, container = batch.storage
    assert batch.azure.cloud.blobs.read(account, container, f"{place}all.txt") == b"012loud\n"
