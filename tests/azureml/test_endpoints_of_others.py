"""Endpoints that other tools have made in the workspace: they are seen, and nothing of theirs is changed."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from cloudmlops import Platform
from cloudmlops.domain.endpoints import DeploymentState
from cloudmlops.emulators.core.emulator import Emulator
from cloudmlops.emulators.core.faults import Fault
from cloudmlops.errors import ConflictError
from cloudmlops.providers.azureml.backends import AzureMLBackends
from cloudmlops.providers.azureml.deployments.batches import Batches
from cloudmlops.providers.azureml.sdk import ml

from .deployments import ENDPOINT, PUT, Deployer, once, until

LONG = timedelta(minutes=2)
CHANGES = ("arm/PUT workspaces/onlineEndpoints", "arm/DELETE workspaces/onlineEndpoints", PUT)


@pytest.fixture
def platform(deployer: Deployer) -> Platform:
    return deployer.platform


def made_by_others(backends: AzureMLBackends, name: str, **tags: str) -> Any:
    made = ml().entities.ManagedOnlineEndpoint(name=name, auth_mode="key", tags=tags)
    return backends.native.online_endpoints.begin_create_or_update(made).result()


def test_what_others_made_is_not_listed_removed_mirrored_or_deployed_to(
    platform: Platform, deployer: Deployer, backends: AzureMLBackends, azureml_emulator: Emulator
) -> None:
    version = deployer.version()
    made_by_others(backends, deployer.endpoint, team="payments", cost="7")
    azureml_emulator.calls.clear()

    for change in (
        lambda: platform.endpoints.delete(deployer.endpoint),
        lambda: backends.endpoints.set_mirror(deployer.endpoint, "v1", 10),
        lambda: platform.endpoints.deploy(version, to=deployer.endpoint, replicas=(1, 3)),
    ):
        with pytest.raises(ConflictError, match="its tags are cost=7, team=payments") as caught:
            change()
        assert "the tag cloudmlops=endpoint" in caught.value.hint

    assert platform.endpoints.list() == []
    assert [call for change in CHANGES for call in azureml_emulator.calls.list(change)] == []
    assert backends.native.online_endpoints.get(deployer.endpoint).tags == {"team": "payments", "cost": "7"}


@pytest.mark.conformance(ci=True)
def test_what_others_make_while_one_deploys_is_left_to_them(
    platform: Platform, deployer: Deployer, backends: AzureMLBackends, azureml_emulator: Emulator
) -> None:
    version = deployer.version()
    make = once(
        lambda: made_by_others(backends, deployer.endpoint),
        when=lambda: bool(backends.endpoints._journal.read(deployer.endpoint).acts),
    )
    azureml_emulator.faults.set(Fault(matching=ENDPOINT, times=None, before=make))

    with pytest.raises(ConflictError, match="was not made by this library: it has no tags"):
        platform.endpoints.deploy(version, to=deployer.endpoint)

    assert backends.native.online_endpoints.get(deployer.endpoint).tags == {}
    assert azureml_emulator.calls.list(PUT) == []
    (act,) = backends.endpoints._journal.read(deployer.endpoint).acts.values()
    assert "was not made by this library" in act.failure


@pytest.mark.conformance(ci=True)
def test_what_became_others_while_it_was_on_its_way_gets_no_traffic(
    platform: Platform, deployer: Deployer, backends: AzureMLBackends
) -> None:
    begun = platform.endpoints.deploy(deployer.version(), to=deployer.endpoint)
    online = backends.native.online_endpoints
    ours, theirs = online.get(deployer.endpoint), online.get(deployer.endpoint)
    theirs.tags = {"team": "payments"}
    online.begin_create_or_update(theirs).result()
    deployments = backends.native.online_deployments
    until(lambda: deployments.get("cloudmlops-v1", deployer.endpoint).provisioning_state == "Succeeded")

    assert begun.status.state is DeploymentState.STARTING
    assert not any(online.get(deployer.endpoint).traffic.values())

    online.begin_create_or_update(ours).result()
    begun.wait(timeout=LONG)
    assert platform.endpoints.predict(deployer.endpoint, [[1, 0]]) == [1.0]


def test_a_batch_endpoint_that_others_made_scores_nothing(
    platform: Platform, deployer: Deployer, backends: AzureMLBackends, tmp_path: Path
) -> None:
    client, entities, version, rows = backends.native, ml().entities, deployer.version(), tmp_path / "rows.jsonl"
    rows.write_text('{"value": 2, "seconds": 0}\n', encoding="utf-8")
    cluster = entities.AmlCompute(name="scoring", size="Standard_DS3_v2", max_instances=1)
    client.compute.begin_create_or_update(cluster).result()
    theirs = entities.BatchEndpoint(name=Batches(backends)._endpoint()[0], tags={"team": "payments"})
    client.batch_endpoints.begin_create_or_update(theirs).result()

    with pytest.raises(ConflictError, match="was not made by this library: its tags are team=payments"):
        platform.endpoints.predict_batch(version, rows.as_uri(), (tmp_path / "out.jsonl").as_uri())

    assert list(client.batch_deployments.list(theirs.name)) == []


def test_a_version_that_others_archived_is_said_to_be_so_and_deployed_when_it_is_restored(
    platform: Platform, deployer: Deployer, backends: AzureMLBackends
) -> None:
    version = deployer.version(2.0)
    backends.native.models.archive("scaling", version.version)
    with pytest.raises(ConflictError, match=r"version 1 of model 'scaling' is archived(.|\n)*models repair scaling"):
        platform.endpoints.deploy(version, to=deployer.endpoint)
    assert list(backends.native.online_endpoints.list()) == []

    assert platform.models.repair("scaling").ok
    platform.endpoints.deploy(version, to=deployer.endpoint).wait(timeout=LONG)

    assert platform.endpoints.predict(deployer.endpoint, [[1, 0]]) == [2.0]
