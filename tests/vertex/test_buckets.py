"""The bucket: one that is missing or lies elsewhere is told before anything is made."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest

from cloudmlops import Platform, connect
from cloudmlops.domain.events import DriftDetected
from cloudmlops.domain.features import Entity, FeatureView, TableSource
from cloudmlops.domain.pipelines import pipeline, step
from cloudmlops.emulators.core.emulator import Emulator
from cloudmlops.errors import ConfigurationError, NotFoundError
from cloudmlops.testing.contract.models import written_model

from .conftest import Opened

MAKING: Final = re.compile(r"insert|compose|Create|Upload|multipart|PUT|Pub")
WHEN: Final = datetime(2026, 1, 31, 12, tzinfo=UTC)
DRIFTED: Final = DriftDetected(platform="p", time=WHEN, subject="s", metric="psi", value=0.3, threshold=0.2)
ROWS: Final = [{"origin": "JFK", "seen_at": WHEN, "gust": 1.0}]

gusts = FeatureView(
    "gusts",
    entity=Entity("airport", keys={"origin": str}),
    source=TableSource("gusts"),
    timestamp="seen_at",
    features={"gust": float},
)


@step
def measure(rows: int) -> int:
    return rows


@pipeline
def measuring(rows: int = 3) -> int:
    return measure(rows)


def test_a_missing_bucket_is_told_with_the_way_to_make_it(opened: Opened) -> None:
    with (
        connect(opened(bucket="there-is-none").target) as platform,
        pytest.raises(NotFoundError, match="gcloud storage buckets create gs://there-is-none") as caught,
    ):
        platform.check_access(["models.get"])
    assert caught.value.resource == "there-is-none"


def test_a_missing_bucket_is_told_at_the_first_registration(opened: Opened, tmp_path: Path) -> None:
    with (
        connect(opened(bucket="there-is-none").target) as platform,
        pytest.raises(NotFoundError, match="gcloud storage buckets create gs://there-is-none") as caught,
    ):
        platform.models.register("churn", written_model(tmp_path / "model"))
    assert not caught.value.retryable


@pytest.mark.parametrize(
    "act",
    [
        lambda platform, _: platform.check_access(["models.get"]),
        lambda platform, folder: platform.models.register("churn", written_model(folder)),
        lambda platform, _: platform.pipelines.run(measuring),
        lambda platform, _: platform.pipelines.schedule(measuring, name="nightly", cron="0 3 * * *"),
        lambda platform, _: platform.features.apply([gusts]),
        lambda platform, _: platform.features.materialize(gusts),
        lambda platform, _: platform.features.write_table("gusts", ROWS),
        lambda platform, _: platform.events.publish(DRIFTED),
    ],
    ids=["check", "register", "run", "schedule", "apply", "materialize", "write_table", "publish"],
)
def test_a_bucket_in_another_region_is_refused_before_anything_is_made(
    opened: Opened, project: str, vertex_emulator: Emulator, tmp_path: Path, act: Callable[[Platform, Path], object]
) -> None:
    with connect(opened().target) as platform:
        platform.features.write_table("gusts", ROWS)
    vertex_emulator.calls.clear()
    told = r"is in europe-west4, and not in us-central1\n.*--location=us-central1"
    elsewhere = opened(location="us-central1", image="europe-west4-docker.pkg.dev/any/steps/cloudmlops:latest")
    with connect(elsewhere.target) as platform, pytest.raises(ConfigurationError, match=told):
        act(platform, tmp_path / "model")
    made = [call.name for call in vertex_emulator.calls.list() if MAKING.search(call.operation)]
    assert made == []


def test_where_the_bucket_is_is_looked_at_once(opened: Opened, vertex_emulator: Emulator, tmp_path: Path) -> None:
    with connect(opened().target) as platform:
        vertex_emulator.calls.clear()
        platform.features.write_table("gusts", ROWS)
        platform.features.apply([gusts])
        platform.models.register("churn", written_model(tmp_path / "model"))
    assert len(vertex_emulator.calls.list("buckets.getStorageLayout")) == 1
