"""Features on Azure ML when a service is away, busy or refuses, and when answers are lost."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest

from cloudmlops import Entity, FeatureView, Platform, TableSource
from cloudmlops.emulators.azure.cloud import AzureCloud
from cloudmlops.emulators.azure.jobs.images import Image
from cloudmlops.emulators.core.emulator import Emulator
from cloudmlops.emulators.core.faults import Fault, Refused
from cloudmlops.errors import PermissionDeniedError, ServiceError, UnavailableError
from cloudmlops.providers.azureml.backends import AzureMLBackends

from .conftest import GROUP, Opened

pytestmark = [
    # azure-ai-ml 1.35 is written for marshmallow 3, which tells of its fourth.
    pytest.mark.filterwarnings("ignore::marshmallow.warnings.RemovedInMarshmallow4Warning"),
]
T = datetime(2026, 1, 15, 12, tzinfo=UTC)
ASKED: list[dict[str, Any]] = [{"origin": "JFK", "event_time": T}]
weather = FeatureView(
    "weather",
    entity=Entity("airport", keys={"origin": str}),
    source=TableSource("weather"),
    timestamp="seen_at",
    features={"wind": float},
)
BUSY = Refused("RESOURCE_EXHAUSTED", "Too many requests.", retry_after_seconds=0.01)


def rows(wind: float) -> list[dict[str, Any]]:
    return [{"origin": "JFK", "seen_at": T, "wind": wind}]


def wind(platform: Platform) -> list[float | None]:
    return platform.features.training_table(weather, ASKED)["wind"].to_pylist()  # type: ignore[no-any-return]


@pytest.fixture
def platform(backends: AzureMLBackends) -> Platform:
    platform = Platform(backends)
    platform.features.write_table("weather", rows(1.0))
    return platform


def test_storage_that_is_busy_or_away_for_a_moment_is_asked_again(
    platform: Platform, azureml_emulator: Emulator
) -> None:
    azureml_emulator.faults.set(Fault(matching="blob/*", times=2, refused=Refused("UNAVAILABLE", "not now")))
    platform.features.write_table("weather", rows(2.0))
    azureml_emulator.faults.set(Fault(matching="blob/*", times=2, refused=BUSY))

    assert wind(platform) == [2.0]


def test_storage_that_stays_away_is_said_to_be_unavailable(opened: Opened, azureml_emulator: Emulator) -> None:
    platform = Platform(opened(timeout="1"))
    platform.features.write_table("weather", rows(1.0))
    azureml_emulator.faults.set(Fault(matching="blob/*", times=None, refused=Refused("UNAVAILABLE", "not now")))

    with pytest.raises(UnavailableError, match=r"features\.training_table of 'weather' did not succeed") as caught:
        wind(platform)
    assert caught.value.retryable


@pytest.mark.parametrize("lost", [1, 2, 3])
def test_a_table_whose_answer_was_lost_is_written_once(
    platform: Platform, backends: AzureMLBackends, azureml_emulator: Emulator, lost: int
) -> None:
    azureml_emulator.faults.set(Fault(matching="blob/PutBlob", first=lost, lose_response=True))

    platform.features.write_table("weather", rows(2.0))

    assert wind(platform) == [2.0]
    table = backends.features._tables.find("weather", operation="")
    assert table is not None
    assert table.version() == 1


def test_of_concurrent_writers_of_a_table_one_is_the_last(platform: Platform, backends: AzureMLBackends) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: platform.features.write_table("weather", rows(float(number))), range(4)))

    (found,) = wind(platform)
    assert found in range(4)
    table = backends.features._tables.find("weather", operation="")
    assert table is not None
    assert table.version() == 4


def test_who_may_not_read_the_data_is_told_the_role(opened: Opened, platform: Platform) -> None:
    reading = Platform(opened("reader"))

    with pytest.raises(PermissionDeniedError, match="Storage Blob Data Reader") as caught:
        wind(reading)
    assert caught.value.operation == "features.training_table"

    with pytest.raises(PermissionDeniedError, match="Storage Blob Data Contributor"):
        reading.features.write_table("weather", rows(3.0))


def test_who_may_not_make_feature_sets_is_told_the_action_and_the_role(
    opened: Opened, platform: Platform, cloud: AzureCloud, workspace: str
) -> None:
    cloud.ensure_workspace(f"store-of-{workspace}", group=GROUP)
    approver = Platform(opened("approver", feature_store=f"store-of-{workspace}"))

    with pytest.raises(PermissionDeniedError) as caught:
        approver.features.apply([weather])

    said = str(caught.value)
    assert "Microsoft.MachineLearningServices/workspaces/featurestoreentities/write" in said
    assert "AzureML Data Scientist" in said
    assert platform.features.list() == []


@pytest.mark.parametrize("kind", ["featurestoreEntities", "featuresets"])
@pytest.mark.parametrize("fault", [{"refused": BUSY, "times": 2}, {"lose_response": True}], ids=["busy", "answer lost"])
def test_what_is_shown_is_made_once_though_the_service_is_busy_or_its_answer_lost(
    opened: Opened,
    platform: Platform,
    cloud: AzureCloud,
    workspace: str,
    azureml_emulator: Emulator,
    kind: str,
    fault: dict[str, Any],
) -> None:
    cloud.ensure_workspace(f"store-of-{workspace}", group=GROUP)
    shown = opened(feature_store=f"store-of-{workspace}")
    azureml_emulator.faults.set(Fault(matching=f"arm/PUT workspaces/{kind}/versions", **fault))

    Platform(shown).features.apply([weather])

    assert len(azureml_emulator.calls.list(f"arm/PUT workspaces/{kind}/versions")) > 1, "it was asked again"
    store = shown.wire.client_of(f"store-of-{workspace}")
    assert len(list(store.feature_sets.list(name="weather"))) == 1


@pytest.fixture
def without_spark(cloud: AzureCloud) -> Iterator[None]:
    """What stands for Spark's runtime has no pyspark: each job fails."""
    cloud.images.let("spark:3.5", Image(python=sys.executable))
    yield
    cloud.images.forget("spark:3.5")


@pytest.mark.usefixtures("without_spark")
def test_a_spark_job_that_fails_is_named_and_leaves_nothing(
    opened: Opened, platform: Platform, backends: AzureMLBackends
) -> None:
    with pytest.raises(ServiceError, match=r"the Spark job cloudmlops-features-\w+ ended as Failed") as caught:
        wind(Platform(opened(spark_from_mib="0")))

    assert "Read its log" in str(caught.value)
    assert list(backends.objects.list("features/jobs/")) == []


def test_a_runtime_that_azure_has_not_is_told(opened: Opened, platform: Platform) -> None:
    with pytest.raises(ServiceError, match=r"spark:9\.9"):
        wind(Platform(opened(spark_from_mib="0", spark_runtime="9.9")))
