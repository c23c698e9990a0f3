"""Large features: joined and reduced by Spark jobs that the workspace runs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from cloudmlops import Entity, FeatureView, Platform, SqlSource, TableSource
from cloudmlops.emulators.azure.cloud import AzureCloud
from cloudmlops.emulators.azure.jobs.images import Image
from cloudmlops.providers.azureml.backends import AzureMLBackends

from .conftest import Opened

pytestmark = [
    pytest.mark.conformance,
    pytest.mark.timeout(900),
    # azure-ai-ml 1.35 is written for marshmallow 3, which tells of its fourth.
    pytest.mark.filterwarnings("ignore::marshmallow.warnings.RemovedInMarshmallow4Warning"),
]
T = datetime(2026, 1, 15, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
RUNTIME = "spark:3.5"
airport = Entity("airport", keys={"origin": str})


@pytest.fixture
def large(cloud: AzureCloud, opened: Opened, spark_python: str) -> Iterator[AzureMLBackends]:
    """Whatever is joined, is joined by a Spark job."""
    cloud.images.let(RUNTIME, Image(python=spark_python))
    yield opened(spark_from_mib="0")
    cloud.images.forget(RUNTIME)


def view(source: TableSource | SqlSource) -> FeatureView:
    return FeatureView(
        "weather", entity=airport, source=source, timestamp="seen_at", ttl=HOUR, features={"wind": float, "note": str}
    )


@pytest.mark.conformance(ci=True)
def test_a_slice_of_large_features_is_joined_and_reduced_by_spark_jobs(large: AzureMLBackends) -> None:
    platform = Platform(large)
    rows = [
        {"origin": "JFK", "seen_at": T, "wind": 1.0, "note": None},
        {"origin": "JFK", "seen_at": T + HOUR, "wind": 2.0, "note": "calm"},
        {"origin": "LGA", "seen_at": T, "wind": None, "note": "still"},
    ]
    platform.features.write_table("weather", rows)
    weather = view(TableSource("weather"))

    table = platform.features.training_table(
        weather, [{"origin": origin, "event_time": T + HOUR} for origin in ("LGA", "JFK", "XXX", "JFK")]
    )
    known = platform.features.materialize(weather, at=T + HOUR)

    assert table["wind"].to_pylist() == [None, 2.0, None, 2.0]
    assert table["note"].to_pylist() == ["still", "calm", None, "calm"]
    assert known == {"weather": 2}
    jobs = [job for job in platform.native.jobs.list() if job.type == "spark"]
    assert [(job.status, job.experiment_name) for job in jobs] == [("Completed", "cloudmlops-features")] * 2
    assert list(large.objects.list("features/jobs/")) == [], "what passed through the store is removed"


def test_a_query_is_said_in_spark_s_dialect(large: AzureMLBackends) -> None:
    platform = Platform(large)
    platform.features.write_table("seen", [{"origin": "JFK", "seen_at": T, "knots": 10}])
    query = 'SELECT origin, seen_at, knots * 2 AS wind, CAST(knots AS VARCHAR) AS note FROM "seen"'

    table = platform.features.training_table(view(SqlSource(query)), [{"origin": "JFK", "event_time": T}])

    assert (table["wind"].to_pylist(), table["note"].to_pylist()) == ([20.0], ["10"])
