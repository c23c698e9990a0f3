"""Files that are scored by a batch prediction of Vertex AI: what takes too long is cancelled, nothing stays."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from google.cloud.aiplatform_v1 import JobServiceClient
from google.cloud.aiplatform_v1.types import JobState
from tests.outages import OutageUntilTold

from cloudmlops import Platform, connect
from cloudmlops.domain.models import ModelVersion
from cloudmlops.emulators.core.emulator import Emulator
from cloudmlops.errors import WaitTimeoutError
from cloudmlops.providers.vertex.backends import VertexBackends
from cloudmlops.testing.model_folders import write_scaling_model

from .conftest import Opened

Register = Callable[[], ModelVersion]


@pytest.fixture
def backends(opened: Opened) -> VertexBackends:
    return opened()


@pytest.fixture
def platform(backends: VertexBackends) -> Iterator[Platform]:
    with connect(backends.target) as platform:
        yield platform


@pytest.fixture
def register(platform: Platform, tmp_path: Path) -> Register:
    return lambda: platform.models.register("scaling", write_scaling_model(tmp_path / "model", factor=1.0))


def test_a_batch_that_takes_too_long_is_told_cancelled_and_leaves_nothing(
    register: Register, opened: Opened, tmp_path: Path
) -> None:
    version = register()
    source, output = tmp_path / "slow.jsonl", tmp_path / "scored.jsonl"
    source.write_text('{"value": 1.0, "seconds": 600}\n', encoding="utf-8")
    backends = opened(batch_timeout="1")

    with (
        connect(backends.target) as impatient,
        pytest.raises(
            WaitTimeoutError, match=r"has not been scored after 0:00:01: projects/\S+ was cancelled"
        ) as caught,
    ):
        impatient.endpoints.predict_batch(version, str(source), str(output))

    assert "batch_timeout=SECONDS" in caught.value.hint
    (job,) = backends.wire.client(JobServiceClient).list_batch_prediction_jobs(parent=backends.settings.parent)
    assert job.state in (JobState.JOB_STATE_CANCELLING, JobState.JOB_STATE_CANCELLED)
    assert list(backends.objects.list("batches/")) == []
    assert not output.exists()


def test_a_service_that_cannot_answer_for_longer_than_the_timeout_ends_no_batch(
    register: Register, opened: Opened, vertex_emulator: Emulator, tmp_path: Path
) -> None:
    version = register()
    source, output = tmp_path / "rows.jsonl", tmp_path / "scored.jsonl"
    source.write_text('{"value": 1.5, "seconds": 0}\n', encoding="utf-8")
    backends = opened(timeout="1")

    with (
        connect(backends.target) as patient,
        OutageUntilTold(vertex_emulator, "aiplatform/JobService.GetBatchPredictionJob") as outage,
    ):
        patient.endpoints.predict_batch(version, str(source), str(output))

    assert "cannot be looked at, and is waited for" in outage.told
    assert json.loads(output.read_text())["prediction"] == 1.5
    assert list(backends.objects.list("batches/")) == []


def test_files_of_a_batch_that_was_killed_are_removed_by_a_later_one_when_they_are_old(
    platform: Platform, register: Register, backends: VertexBackends, tmp_path: Path
) -> None:
    now = datetime.now(UTC)
    old, new = (f"batches/{now - age:%Y%m%dt%H%M%Sz}-x/input.jsonl" for age in (timedelta(days=3), timedelta(days=1)))
    for key in (old, new):
        backends.objects.put(key, b"{}")
    source = tmp_path / "rows.jsonl"
    source.write_text('{"value": 1.0, "seconds": 0}\n', encoding="utf-8")

    platform.endpoints.predict_batch(register(), str(source), str(tmp_path / "scored.jsonl"))

    assert list(backends.objects.list("batches/")) == [new]
