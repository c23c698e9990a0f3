"""Custom jobs run one container."""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import aiplatform_v1 as v1
from tests.emulators.pipelines.conftest import Google

_GOING_ON = (v1.JobState.JOB_STATE_PENDING, v1.JobState.JOB_STATE_RUNNING)


def _create(google: Google, script: str, **spec: Any) -> v1.CustomJob:
    pool = {
        "machine_spec": {"machine_type": "n1-standard-4"},
        "replica_count": 1,
        "container_spec": {"image_uri": "any", "command": ["sh", "-ec", script], "env": [{"name": "A", "value": "b"}]},
    }
    job = v1.CustomJob(
        display_name="tests",
        job_spec={
            "worker_pool_specs": [pool],
            "base_output_directory": {"output_uri_prefix": f"gs://{google.bucket}/out"},
            **spec,
        },
    )
    return google.client(v1.JobServiceClient).create_custom_job(parent=google.parent, custom_job=job)


def _ended(google: Google, job: v1.CustomJob) -> v1.CustomJob:
    until = time.monotonic() + 30
    jobs = google.client(v1.JobServiceClient)
    while (known := jobs.get_custom_job(name=job.name)).state in _GOING_ON:
        assert time.monotonic() < until
        time.sleep(0.01)
    return known


def test_a_custom_job_runs_its_container(google: Google) -> None:
    script = f'mkdir -p /gcs/{google.bucket}/out; echo "$A $AIP_MODEL_DIR" > /gcs/{google.bucket}/out/seen'

    job = _ended(google, _create(google, script))

    assert job.state is v1.JobState.JOB_STATE_SUCCEEDED
    assert google.object(f"gs://{google.bucket}/out/seen") == f"b gs://{google.bucket}/out/model/\n".encode()


def test_a_custom_job_fails_is_cancelled_or_takes_too_long(google: Google, tmp_path: Path) -> None:
    failed = _ended(google, _create(google, "exit 3"))
    late = _create(google, f"touch {tmp_path}/begun; sleep 600", scheduling={"timeout": timedelta(hours=1)})
    cancelled = _create(google, "sleep 600")
    until = time.monotonic() + 30
    while not (tmp_path / "begun").exists():
        assert time.monotonic() < until
    google.client(v1.JobServiceClient).cancel_custom_job(name=cancelled.name)
    google.emulator.clock.advance(timedelta(hours=1))

    assert "non-zero status of 3" in failed.error.message
    assert "longer than its timeout" in _ended(google, late).error.message
    assert _ended(google, cancelled).state is v1.JobState.JOB_STATE_CANCELLED


def test_what_is_no_single_container_is_refused_by_name(google: Google) -> None:
    two = [{"replica_count": 2, "container_spec": {"image_uri": "any"}}]
    jobs = google.client(v1.JobServiceClient)
    with pytest.raises(exceptions.MethodNotImplemented, match="anything but one container"):
        _create(google, "true", worker_pool_specs=two)
    with pytest.raises(exceptions.MethodNotImplemented, match="anything but one container"):
        jobs.create_hyperparameter_tuning_job(
            parent=google.parent,
            hyperparameter_tuning_job=v1.HyperparameterTuningJob(
                display_name="h",
                max_trial_count=1,
                parallel_trial_count=1,
                study_spec={
                    "metrics": [{"metric_id": "a", "goal": 1}],
                    "parameters": [{"parameter_id": "x", "categorical_value_spec": {"values": ["a"]}}],
                },
                trial_job_spec={"worker_pool_specs": two},
            ),
        )
