"""Files that are scored by a batch endpoint of Azure ML: what fails is told, what is lost is found, nothing stays."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.outages import OutageUntilTold

from cloudmlops import Platform, connect
from cloudmlops.emulators.azure.cloud import AzureCloud
from cloudmlops.emulators.core.emulator import Emulator
from cloudmlops.emulators.core.faults import Fault, Refused
from cloudmlops.errors import (
    ConfigurationError,
    InvalidRequestError,
    QuotaExceededError,
    UnavailableError,
    WaitTimeoutError,
)
from cloudmlops.ports.clock import FixedClock
from cloudmlops.providers.azureml.backends import AzureMLBackends
from cloudmlops.providers.azureml.sdk import ml

from .deployments import Deployer, until

BEGIN = "scoring/POST jobs"
LOOK = "arm/GET workspaces/jobs"
REMOVE = "arm/DELETE workspaces/batchEndpoints/deployments"
DEPLOY = "arm/PUT workspaces/batchEndpoints/deployments"
Opened = Callable[..., AzureMLBackends]


@pytest.fixture
def platform(deployer: Deployer) -> Platform:
    client: Any = deployer.platform.native
    cluster = ml().entities.AmlCompute(name="scoring", size="Standard_DS3_v2", max_instances=1)
    client.compute.begin_create_or_update(cluster).result()
    return deployer.platform


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(f'{{"value": {number / 3}, "seconds": 0}}\n' for number in range(20)), encoding="utf-8")
    return file


@pytest.fixture
def slow_rows(tmp_path: Path) -> Path:
    """A file that the model takes ten minutes for."""
    file = tmp_path / "slow.jsonl"
    file.write_text('{"value": 1.0, "seconds": 600}\n', encoding="utf-8")
    return file


def deployments(platform: Platform) -> list[str]:
    client: Any = platform.native
    return [
        str(one.name)
        for endpoint in client.batch_endpoints.list()
        for one in client.batch_deployments.list(str(endpoint.name))
    ]


def jobs(platform: Platform) -> list[str]:
    client: Any = platform.native
    return [str(job.name) for job in client.jobs.list()]


def left(platform: Platform) -> set[str]:
    """The folders in which files pass through the store."""
    return {key.split("/")[1] for key in platform._backends.objects.list("batches/")}


def test_a_file_whose_answer_is_lost_is_scored_once_and_leaves_nothing(
    platform: Platform, deployer: Deployer, azureml_emulator: Emulator, rows: Path, tmp_path: Path
) -> None:
    import pyarrow.parquet as pq

    version = deployer.version(3.0)
    azureml_emulator.faults.set(Fault(matching=BEGIN, lose_response=True))

    platform.endpoints.predict_batch(version, str(rows), str(tmp_path / "scored.parquet"))

    table = pq.read_table(tmp_path / "scored.parquet")
    assert table["prediction"].to_pylist() == pytest.approx([float(number) for number in range(20)], abs=1e-9)
    assert table["value"].to_pylist() == [number / 3 for number in range(20)]
    assert len(jobs(platform)) == 1
    assert deployments(platform) == []
    assert list(platform._backends.objects.list("batches/")) == []


@pytest.mark.conformance
def test_rows_that_the_model_refuses_are_told_and_nothing_is_written(
    platform: Platform, deployer: Deployer, tmp_path: Path
) -> None:
    source, output = tmp_path / "wrong.jsonl", tmp_path / "scored.jsonl"
    source.write_text('{"value": 1, "seconds": 0}\n{"value": "x", "seconds": 0}\n', encoding="utf-8")
    version = deployer.version()

    with pytest.raises(InvalidRequestError, match="could not be scored: in the rows from 0 on"):
        platform.endpoints.predict_batch(version, str(source), str(output))

    assert not output.exists()
    assert deployments(platform) == []
    assert list(platform._backends.objects.list("batches/")) == []


@pytest.mark.conformance
def test_a_job_that_fails_is_told_with_its_name(
    platform: Platform, deployer: Deployer, rows: Path, tmp_path: Path
) -> None:
    version = deployer.version(fails="weights are missing")

    with pytest.raises(InvalidRequestError, match=r"could not be scored: job \S+ ended as Failed") as caught:
        platform.endpoints.predict_batch(version, str(rows), str(tmp_path / "scored.jsonl"))

    assert "logs say why" in caught.value.hint
    assert deployments(platform) == []


@pytest.mark.conformance
def test_a_service_that_stays_away_leaves_nothing(
    platform: Platform, deployer: Deployer, opened: Opened, azureml_emulator: Emulator, rows: Path, tmp_path: Path
) -> None:
    version = deployer.version()
    azureml_emulator.faults.set(Fault(matching=BEGIN, refused=Refused("UNAVAILABLE", "not now"), times=None))

    with pytest.raises(UnavailableError):
        platform.endpoints.predict_batch(version, str(rows), str(tmp_path / "scored.jsonl"))

    assert (jobs(platform), deployments(platform)) == ([], [])
    assert list(platform._backends.objects.list("batches/")) == []


@pytest.mark.conformance
def test_what_cannot_be_scored_is_refused_before_anything_is_asked(
    platform: Platform, deployer: Deployer, opened: Opened, azureml_emulator: Emulator, rows: Path, tmp_path: Path
) -> None:
    version = deployer.version()
    azureml_emulator.calls.clear()

    with pytest.raises(InvalidRequestError, match=r"scored\.csv is neither"):
        platform.endpoints.predict_batch(version, str(rows), str(tmp_path / "scored.csv"))
    image = deployer.settings["serving_image"]
    with (
        connect(opened(serving_image=image).settings.target) as without,
        pytest.raises(ConfigurationError, match="which cluster scores files"),
    ):
        without.endpoints.predict_batch(version, str(rows), str(tmp_path / "scored.jsonl"))

    assert azureml_emulator.calls.list(DEPLOY) == []


def test_a_cluster_whose_machines_wait_scores_no_files_unless_that_is_agreed_to(
    platform: Platform, deployer: Deployer, azureml_emulator: Emulator, rows: Path, tmp_path: Path
) -> None:
    client: Any = platform.native
    cluster = ml().entities.AmlCompute(name="scoring", size="Standard_DS3_v2", min_instances=4, max_instances=4)
    client.compute.begin_create_or_update(cluster).result()
    version = deployer.version()
    azureml_emulator.calls.clear()

    with pytest.raises(ConfigurationError, match=r"'scoring' keeps 4 .* about 856 US dollars a month") as caught:
        platform.endpoints.predict_batch(version, str(rows), str(tmp_path / "scored.jsonl"))

    assert "compute_idle_cost=856" in caught.value.hint
    assert azureml_emulator.calls.list(DEPLOY) == []
    assert list(platform._backends.objects.list("batches/")) == []


def test_a_file_that_takes_too_long_is_told_its_job_cancelled_and_nothing_left(
    platform: Platform, deployer: Deployer, opened: Opened, slow_rows: Path, tmp_path: Path
) -> None:
    version = deployer.version()
    output = tmp_path / "scored.jsonl"

    with (
        connect(opened(**deployer.settings, batch_timeout="1").settings.target) as impatient,
        pytest.raises(WaitTimeoutError, match=r"has not been scored after 0:00:01: job \S+ was cancelled") as caught,
    ):
        impatient.endpoints.predict_batch(version, str(slow_rows), str(output))

    assert "batch_timeout=SECONDS" in caught.value.hint
    assert "Nothing of the call remains but the job's record" in caught.value.hint
    client: Any = platform.native
    (job,) = jobs(platform)
    until(lambda: client.jobs.get(job).status == "Canceled")
    assert (deployments(platform), left(platform)) == ([], set())
    assert not output.exists()


def test_a_service_that_cannot_answer_for_longer_than_the_timeout_ends_no_batch(
    platform: Platform, deployer: Deployer, opened: Opened, azureml_emulator: Emulator, rows: Path, tmp_path: Path
) -> None:
    version = deployer.version(2.0)
    output = tmp_path / "scored.jsonl"

    with (
        connect(opened(**deployer.settings, timeout="1").settings.target) as patient,
        OutageUntilTold(azureml_emulator, LOOK) as outage,
    ):
        patient.endpoints.predict_batch(version, str(rows), str(output))

    assert "cannot be looked at, and is waited for" in outage.told
    assert len(output.read_text().splitlines()) == 20
    assert len(jobs(platform)) == 1
    assert (deployments(platform), left(platform)) == ([], set())


def test_a_job_that_cannot_be_cancelled_is_said_to_go_on(
    deployer: Deployer, platform: Platform, opened: Opened, azureml_emulator: Emulator, slow_rows: Path, tmp_path: Path
) -> None:
    version = deployer.version()
    refused = Refused("PERMISSION_DENIED", "not yours")
    azureml_emulator.faults.set(Fault(matching="arm/POST workspaces/jobs/cancel", refused=refused, times=None))

    with (
        connect(opened(**deployer.settings, batch_timeout="1").settings.target) as impatient,
        pytest.raises(WaitTimeoutError, match=r"job \S+ could not be cancelled and may go on"),
    ):
        impatient.endpoints.predict_batch(version, str(slow_rows), str(tmp_path / "scored.jsonl"))

    azureml_emulator.faults.clear()
    client: Any = platform.native
    client.jobs.begin_cancel(jobs(platform)[0]).result()


@pytest.mark.conformance(ci=True)
def test_what_a_killed_process_left_is_removed_by_a_later_call_its_files_when_they_are_old(
    platform: Platform, deployer: Deployer, rows: Path, slow_rows: Path, tmp_path: Path
) -> None:
    version = deployer.version()
    asker = Path(__file__).with_name("batch_asker.py")
    given = [platform.target, version.model, version.version, str(slow_rows), str(tmp_path / "never.jsonl")]
    child = subprocess.Popen([sys.executable, "-W", "ignore", str(asker), *given])
    try:
        until(lambda: child.poll() is not None or bool(jobs(platform)), seconds=60)
    finally:
        child.kill()
        child.wait()
    client: Any = platform.native
    client.jobs.begin_cancel(jobs(platform)[0]).result()
    of_killed = (deployments(platform), left(platform))
    assert [len(found) for found in of_killed] == [1, 1]

    for passed, kept in ((timedelta(hours=47), ([], of_killed[1])), (timedelta(hours=49), ([], set()))):
        platform._backends.clock = FixedClock(datetime.now(UTC) + passed)
        platform.endpoints.predict_batch(version, str(rows), str(tmp_path / "scored.jsonl"))
        assert (deployments(platform), left(platform)) == kept


@pytest.mark.conformance(ci=True)
def test_what_was_left_of_a_job_that_has_ended_makes_room_before_anything_is_deployed(
    platform: Platform,
    deployer: Deployer,
    cloud: AzureCloud,
    azureml_emulator: Emulator,
    rows: Path,
    tmp_path: Path,
) -> None:
    version, output = deployer.version(), tmp_path / "scored.jsonl"
    kept = Refused("PERMISSION_DENIED", "not now", reason="AuthorizationFailed")
    azureml_emulator.faults.set(Fault(matching=REMOVE, refused=kept))
    platform.endpoints.predict_batch(version, str(rows), str(output))
    [of_killed] = deployments(platform)
    client: Any = platform.native
    [endpoint] = client.batch_endpoints.list()
    path = f"{platform._backends.settings.workspace_id}/batchEndpoints/{endpoint.name}/deployments"
    found = cloud.resources.get(f"{path}/{of_killed}")
    assert found is not None
    stem = f"{of_killed[:-3]}x"  # no digit of theirs
    others = [f"{stem}{number}" for number in range(10, 29)]
    for name in others:  # of calls that have just begun
        cloud.resources.update({**found, "id": f"{path}/{name}", "name": name})

    platform.endpoints.predict_batch(version, str(rows), str(output))

    assert sorted(deployments(platform)) == sorted(others)
    cloud.resources.update({**found, "id": f"{path}/{stem}29", "name": f"{stem}29"})
    with pytest.raises(QuotaExceededError, match="limit of deployments per endpoint"):
        platform.endpoints.predict_batch(version, str(rows), str(output))


@pytest.mark.conformance
def test_the_workspaces_endpoint_is_made_once(
    platform: Platform, deployer: Deployer, azureml_emulator: Emulator, rows: Path, tmp_path: Path
) -> None:
    version = deployer.version(2.0)

    for number in range(2):
        platform.endpoints.predict_batch(version, rows.as_uri(), (tmp_path / f"scored-{number}.jsonl").as_uri())

    made = [call for call in azureml_emulator.calls.list() if call.operation == "PUT workspaces/batchEndpoints"]
    assert len(made) == 1
    lines = [json.loads(line) for line in (tmp_path / "scored-1.jsonl").read_text().splitlines()]
    assert [line["prediction"] for line in lines] == [2.0 * (number / 3) for number in range(20)]
