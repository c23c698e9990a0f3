from __future__ import annotations

import json
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import aiplatform_v1 as v1

from cloudmlops.emulators.google.aiplatform.endpoints import batch
from cloudmlops.emulators.google.cloud import GoogleCloud

from .conftest import Served

STATES = v1.JobState


def begin(served: Served, model: str, rows: list[Any], **fields: Any) -> Any:
    objects = served.emulator.cloud(GoogleCloud).objects
    objects.write(served.bucket, "in/rows.jsonl", "".join(f"{json.dumps(row)}\n" for row in rows).encode())
    job = {
        "display_name": "batch",
        "model": model,
        "input_config": {
            "instances_format": "jsonl",
            "gcs_source": {"uris": [f"gs://{served.bucket}/in/*"]},
        },
        "output_config": {
            "predictions_format": "jsonl",
            "gcs_destination": {"output_uri_prefix": f"gs://{served.bucket}/out"},
        },
        "dedicated_resources": {"machine_spec": {"machine_type": "n1-standard-2"}},
        **fields,
    }
    return served.jobs.create_batch_prediction_job(parent=served.parent, batch_prediction_job=job)


def lines(served: Served, job: Any, kind: str) -> list[Any]:
    objects = served.emulator.cloud(GoogleCloud).objects
    folder = job.output_info.gcs_output_directory.removeprefix(f"gs://{served.bucket}/")
    return [
        json.loads(line)
        for name in objects.list(served.bucket, f"{folder}/prediction.{kind}")
        for line in objects.read(served.bucket, name).splitlines()
    ]


def test_rows_are_scored_into_the_bucket_and_the_machine_is_given_back(served: Served) -> None:
    begun = begin(served, served.model(2.0), [[1, 0], [2.5, 0], ["x", 0]])
    assert begun.state in (STATES.JOB_STATE_PENDING, STATES.JOB_STATE_RUNNING)

    job = served.ended(begun.name)

    assert job.state is STATES.JOB_STATE_SUCCEEDED
    assert lines(served, job, "results") == [
        {"instance": [1, 0], "prediction": 2.0},
        {"instance": [2.5, 0], "prediction": 5.0},
    ]
    assert [error["instance"] for error in lines(served, job, "errors_stats")] == [["x", 0]]
    assert (job.completion_stats.successful_count, job.completion_stats.failed_count) == (2, 1)
    assert served.fleet.machines() == []
    served.jobs.delete_batch_prediction_job(name=job.name).result()
    assert list(served.jobs.list_batch_prediction_jobs(parent=served.parent)) == []


def test_a_key_takes_the_place_of_the_instance(served: Served) -> None:
    rows = [{"row": 7, "value": 1, "seconds": 0}, {"row": 8, "value": 3, "seconds": 0}]
    begun = begin(served, served.model(2.0), rows, instance_config={"instance_type": "object", "key_field": "row"})

    job = served.ended(begun.name)

    assert lines(served, job, "results") == [{"key": 7, "prediction": 2.0}, {"key": 8, "prediction": 6.0}]


def test_a_job_whose_container_fails_fails_and_leaves_no_machine(served: Served) -> None:
    job = served.ended(begin(served, served.model(fails="weights are missing"), [[1, 0]]).name)

    assert job.state is STATES.JOB_STATE_FAILED
    assert "Model server exited unexpectedly" in job.error.message
    assert served.fleet.machines() == []


def test_a_job_that_is_cancelled_ends_without_results(served: Served) -> None:
    begun = begin(served, served.model(), [[1, 0.05]] * 50, manual_batch_tuning_parameters={"batch_size": 1})
    with pytest.raises(exceptions.FailedPrecondition, match="has not ended"):
        served.jobs.delete_batch_prediction_job(name=begun.name)

    served.jobs.cancel_batch_prediction_job(name=begun.name)

    assert served.ended(begun.name).state is STATES.JOB_STATE_CANCELLED
    assert served.fleet.machines() == []


def test_other_formats_are_refused_by_name(served: Served) -> None:
    model = served.model()
    with pytest.raises(exceptions.MethodNotImplemented, match="bigquery"):
        begin(served, model, [], input_config={"instances_format": "bigquery"})
    with pytest.raises(exceptions.MethodNotImplemented, match="2027-03-16"):
        begin(served, model, [], generate_explanation=True)


def test_states_have_the_numbers_of_the_interface() -> None:
    assert batch._PENDING == STATES.JOB_STATE_PENDING
    assert batch._RUNNING == STATES.JOB_STATE_RUNNING
    assert batch._CANCELLING == STATES.JOB_STATE_CANCELLING
    assert sorted(batch.ENDED) == [STATES.JOB_STATE_SUCCEEDED, STATES.JOB_STATE_FAILED, STATES.JOB_STATE_CANCELLED]
