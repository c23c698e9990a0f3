"""Spark jobs of features: what they cost is told before, what is lost is found, and what is killed leaves nothing."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.outages import OutageUntilTold

from cloudmlops import Entity, FeatureView, Platform, TableSource
from cloudmlops.emulators.azure.cloud import AzureCloud
from cloudmlops.emulators.azure.jobs.images import Image
from cloudmlops.emulators.core.emulator import Emulator
from cloudmlops.emulators.core.faults import Fault, Refused
from cloudmlops.errors import ConfigurationError, ServiceError, UnavailableError
from cloudmlops.ports.clock import FixedClock
from cloudmlops.providers.azureml.backends import AzureMLBackends
from cloudmlops.providers.azureml.formats import SparkInstance
from cloudmlops.providers.azureml.mapping.features_spark import hourly_cost

from .conftest import Opened
from .deployments import until

pytestmark = [
    # azure-ai-ml 1.35 is written for marshmallow 3, which tells of its fourth.
    pytest.mark.filterwarnings("ignore::marshmallow.warnings.RemovedInMarshmallow4Warning"),
]
T = datetime(2026, 1, 15, 12, tzinfo=UTC)
RUNTIME = "spark:3.5"
SUBMIT = "arm/PUT workspaces/jobs"
weather = FeatureView(
    "weather",
    entity=Entity("airport", keys={"origin": str}),
    source=TableSource("weather"),
    timestamp="seen_at",
    features={"wind": float},
)


def ask(backends: AzureMLBackends) -> None:
    Platform(backends).features.training_table(weather, [{"origin": "JFK", "event_time": T}])


def jobs(backends: AzureMLBackends) -> list[Any]:
    return [job for job in backends.native.jobs.list() if job.type == "spark"]


def left(backends: AzureMLBackends) -> set[str]:
    """The folders in which rows pass through the store."""
    return {key.split("/")[2] for key in backends.objects.list("features/jobs/")}


@pytest.fixture
def backends(opened: Opened) -> AzureMLBackends:
    one = opened(spark_from_mib="0")
    Platform(one).features.write_table("weather", [{"origin": "JFK", "seen_at": T, "wind": 1.0}])
    return one


@pytest.fixture
def failing_spark(cloud: AzureCloud) -> Iterator[None]:
    """What stands for Spark's runtime has no pyspark: each job fails."""
    cloud.images.let(RUNTIME, Image(python=sys.executable))
    yield
    cloud.images.forget(RUNTIME)


@pytest.fixture
def endless_spark(cloud: AzureCloud, tmp_path: Path) -> Iterator[None]:
    """What stands for Spark's runtime does not end before it is cancelled."""
    script = tmp_path / "endless"
    script.write_text("#!/bin/sh\nexec sleep 600\n", encoding="utf-8")
    script.chmod(0o755)
    cloud.images.let(RUNTIME, Image(python=str(script)))
    yield
    cloud.images.forget(RUNTIME)


@pytest.mark.usefixtures("failing_spark")
def test_machines_number_price_and_size_of_the_sources_are_told_before_a_job(
    backends: AzureMLBackends, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="cloudmlops.features"), pytest.raises(ServiceError):
        ask(backends)

    (said, *_) = [record.getMessage() for record in caplog.records if record.name == "cloudmlops.features"]
    assert "features.training_table of 'weather': the sources hold 0.0 MiB" in said
    assert "from spark_from_mib=0 on" in said
    assert "5 machines standard_e8s_v3, about 2.52 US dollars an hour" in said


@pytest.mark.parametrize("bound", ["0", "2.5"])
@pytest.mark.parametrize(
    "ask",
    [
        lambda platform: platform.features.training_table(weather, [{"origin": "JFK", "event_time": T}]),
        lambda platform: platform.features.materialize(weather, at=T),
    ],
    ids=["training_table", "materialize"],
)
def test_a_job_that_costs_more_than_allowed_never_begins(
    backends: AzureMLBackends, opened: Opened, azureml_emulator: Emulator, bound: str, ask: Callable[[Platform], object]
) -> None:
    bounded = Platform(opened(spark_from_mib="0", spark_hourly_cost=bound))
    azureml_emulator.calls.clear()

    with pytest.raises(ConfigurationError, match=f"more than spark_hourly_cost={bound} allows") as refusal:
        ask(bounded)

    assert "about 2.52 US dollars an hour" in str(refusal.value)
    assert "a larger spark_from_mib" in refusal.value.hint
    assert not azureml_emulator.calls.list(SUBMIT)
    assert left(backends) == set()


@pytest.mark.parametrize("cores", [4, 8, 16, 32, 64])
def test_of_every_size_that_spark_may_have_the_price_is_known(cores: int) -> None:
    (check,) = SparkInstance.__metadata__
    size = check.func(f"standard_e{cores}s_v3")

    assert hourly_cost(size, 1) == pytest.approx(2 * cores * 0.063, rel=0.15)


@pytest.mark.usefixtures("failing_spark")
def test_a_job_whose_answer_stays_lost_is_taken_up_by_its_name(
    backends: AzureMLBackends, opened: Opened, azureml_emulator: Emulator
) -> None:
    impatient = opened(spark_from_mib="0", timeout="1")
    azureml_emulator.faults.set(Fault(matching=SUBMIT, lose_response=True, times=None))

    with pytest.raises(ServiceError, match=r"the Spark job [\w-]+ ended as Failed"):
        ask(impatient)

    assert [job.status for job in jobs(backends)] == ["Failed"]
    assert left(backends) == set()


@pytest.mark.usefixtures("failing_spark")
def test_a_service_that_cannot_answer_for_longer_than_the_timeout_ends_no_job(
    backends: AzureMLBackends, opened: Opened, azureml_emulator: Emulator
) -> None:
    patient = opened(spark_from_mib="0", timeout="1")

    with (
        OutageUntilTold(azureml_emulator, "arm/GET workspaces/jobs") as outage,
        pytest.raises(ServiceError, match=r"the Spark job [\w-]+ ended as Failed"),
    ):
        ask(patient)

    assert "cannot be looked at, and is waited for" in outage.told
    assert [job.status for job in jobs(backends)] == ["Failed"]
    assert left(backends) == set()


@pytest.mark.conformance(ci=True)
@pytest.mark.usefixtures("endless_spark")
def test_a_job_that_cannot_be_asked_for_is_cancelled(
    backends: AzureMLBackends, opened: Opened, azureml_emulator: Emulator
) -> None:
    impatient = opened(spark_from_mib="0", timeout="1")
    azureml_emulator.faults.set(Fault(matching=SUBMIT, lose_response=True, times=None))
    away = Refused("UNAVAILABLE", "not now")
    azureml_emulator.faults.set(Fault(matching="arm/GET workspaces/jobs", refused=away, times=None))

    with pytest.raises(UnavailableError):
        ask(impatient)

    azureml_emulator.faults.clear()
    until(lambda: [job.status for job in jobs(backends)] == ["Canceled"])  # what is accepted takes a moment
    assert left(backends) == set()


@pytest.mark.conformance(ci=True)
@pytest.mark.usefixtures("endless_spark")
def test_rows_that_a_killed_process_left_are_removed_when_they_are_old(
    backends: AzureMLBackends, cloud: AzureCloud
) -> None:
    asker = Path(__file__).with_name("spark_asker.py")
    child = subprocess.Popen([sys.executable, "-W", "ignore", str(asker), backends.settings.target])
    try:
        until(lambda: child.poll() is not None or bool(jobs(backends)), seconds=60)
    finally:
        child.kill()
        child.wait()
    backends.native.jobs.begin_cancel(jobs(backends)[0].name).result()
    rows = left(backends)
    assert len(rows) == 1
    cloud.images.let(RUNTIME, Image(python=sys.executable))

    for passed, kept in ((timedelta(hours=12), rows), (timedelta(hours=25), set())):
        backends.clock = FixedClock(datetime.now(UTC) + passed)
        with pytest.raises(ServiceError, match="ended as Failed"):
            ask(backends)
        assert left(backends) == kept
