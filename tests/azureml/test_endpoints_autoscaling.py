"""Deployments on Azure ML whose machines follow the load, by autoscale settings of Azure Monitor."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import pytest

from cloudmlops import Platform, connect
from cloudmlops.domain.access import Role
from cloudmlops.domain.capabilities import Capability
from cloudmlops.domain.endpoints import DeploymentState
from cloudmlops.emulators.azure.cloud import AzureCloud
from cloudmlops.emulators.core.emulator import Emulator
from cloudmlops.emulators.core.faults import Fault, Refused
from cloudmlops.errors import DeploymentFailedError, UnavailableError
from cloudmlops.providers.azureml.backends import AzureMLBackends

from .deployments import Deployer, deploy, spec, until

LONG = timedelta(minutes=2)
SETTING = "arm/PUT autoscalesettings"
Opened = Callable[..., AzureMLBackends]


@pytest.fixture
def platform(deployer: Deployer) -> Platform:
    return deployer.platform


def settings_of(cloud: AzureCloud, deployer: Deployer) -> list[Mapping[str, Any]]:
    found = (cloud.resources.get(one) for one in cloud.scaling.settings())
    ours = [one for one in found if one is not None]
    return [one for one in ours if f"/onlineEndpoints/{deployer.endpoint}/" in one["properties"]["targetResourceUri"]]


def test_machines_follow_the_load_between_the_fewest_and_the_most(
    platform: Platform, deployer: Deployer, cloud: AzureCloud, azureml_emulator: Emulator
) -> None:
    one = platform.endpoints.deploy(deployer.version(2.0), to=deployer.endpoint, replicas=(1, 3)).wait(timeout=LONG)
    (setting,) = settings_of(cloud, deployer)
    (profile,) = setting["properties"]["profiles"]
    target = setting["properties"]["targetResourceUri"]
    assert target.endswith(f"/onlineEndpoints/{deployer.endpoint}/deployments/cloudmlops-v1")
    assert profile["capacity"] == {"minimum": "1", "maximum": "3", "default": "1"}
    assert setting["properties"]["enabled"]

    seen = []
    for _ in range(4):
        for _ in range(4):
            cloud.scaling.measure(target, "CpuUtilizationPercentage", 95.0)
            azureml_emulator.clock.advance(timedelta(minutes=1))
        seen.append(one.status.replicas)

    assert seen == [2, 3, 3, 3]
    assert platform.capabilities.of(Capability.AUTOSCALE) == "native"
    assert platform.endpoints.predict(deployer.endpoint, [[1, 0]]) == [2.0]


@pytest.mark.conformance
@pytest.mark.parametrize("act", ["undeploy", "delete"])
def test_the_setting_goes_with_the_deployment(
    act: str, platform: Platform, deployer: Deployer, cloud: AzureCloud
) -> None:
    one = platform.endpoints.deploy(deployer.version(), to=deployer.endpoint, replicas=(1, 2)).wait(timeout=LONG)
    assert len(settings_of(cloud, deployer)) == 1

    if act == "undeploy":
        platform.endpoints.undeploy(deployer.endpoint, one.name)
    else:
        platform.endpoints.delete(deployer.endpoint)

    assert settings_of(cloud, deployer) == []


@pytest.mark.conformance
def test_machines_of_a_fixed_number_need_no_setting(platform: Platform, deployer: Deployer, cloud: AzureCloud) -> None:
    platform.endpoints.deploy(deployer.version(), to=deployer.endpoint, replicas=(2, 2)).wait(timeout=LONG)

    assert settings_of(cloud, deployer) == []


@pytest.mark.conformance
def test_a_setting_whose_answer_is_lost_or_that_azure_is_too_busy_for_is_set_once(
    platform: Platform, deployer: Deployer, cloud: AzureCloud, azureml_emulator: Emulator
) -> None:
    version = deployer.version()
    busy = Refused("RESOURCE_EXHAUSTED", "Too many requests.", retry_after_seconds=0.01)
    azureml_emulator.faults.set(Fault(matching=SETTING, refused=busy))
    azureml_emulator.faults.set(Fault(matching=SETTING, first=2, lose_response=True))

    platform.endpoints.deploy(version, to=deployer.endpoint, replicas=(1, 2)).wait(timeout=LONG)

    assert len(azureml_emulator.calls.list(SETTING)) == 3
    assert len(settings_of(cloud, deployer)) == 1


@pytest.mark.conformance
def test_while_azure_monitor_is_away_the_deployment_waits(
    deployer: Deployer, opened: Opened, azureml_emulator: Emulator
) -> None:
    from dataclasses import replace

    version, hasty = deployer.version(), opened(timeout="1", **deployer.settings)
    away = Refused("UNAVAILABLE", "not now")
    azureml_emulator.faults.set(Fault(matching=SETTING, refused=away, times=None))
    deploy(hasty, replace(spec(version, deployer.endpoint), replicas=(1, 2)))

    with pytest.raises(UnavailableError):
        until(lambda: hasty.endpoints.get(deployer.endpoint).traffic == {"v1": 100})

    azureml_emulator.reset()
    until(lambda: hasty.endpoints.get(deployer.endpoint).traffic == {"v1": 100})


def test_a_deployer_who_may_not_set_it_is_told_action_and_role_and_leaves_nothing(
    platform: Platform, deployer: Deployer, cloud: AzureCloud, as_somebody: Callable[[str], None]
) -> None:
    worker = cloud.tokens.directory.by_name("worker")
    platform.access.grant(Role.DEPLOYER, worker.object_id)
    version = deployer.version()
    as_somebody("worker")
    with connect(platform._backends.target) as theirs:
        broken = theirs.endpoints.deploy(version, to=deployer.endpoint, replicas=(1, 2))

        with pytest.raises(DeploymentFailedError) as caught:
            broken.wait(timeout=LONG)

        assert "Microsoft.Insights/autoscalesettings/write" in str(caught.value)
        assert "Granted by: " in str(caught.value)
        assert broken.status.state is DeploymentState.FAILED
        assert theirs.endpoints.list() == []
    as_somebody("owner")
    platform.access.revoke(Role.DEPLOYER, worker.object_id)
    cloud.fleet.settle()
    assert [one for one in cloud.fleet.deployments() if deployer.endpoint in one] == []


@pytest.mark.conformance
def test_who_only_looks_and_may_not_set_it_fails_nothing(
    platform: Platform,
    deployer: Deployer,
    cloud: AzureCloud,
    opened: Opened,
    as_somebody: Callable[[str], None],
) -> None:
    from dataclasses import replace

    worker = cloud.tokens.directory.by_name("worker")
    platform.access.grant(Role.DEPLOYER, worker.object_id)
    mine = opened(**deployer.settings)
    wanted = replace(spec(deployer.version(), deployer.endpoint), replicas=(1, 2))
    mine.endpoints.deploy(wanted, fetch=lambda _: None, actor=str(mine.actor()))
    cloud.fleet.settle()
    theirs = opened("worker", **deployer.settings)

    found = theirs.endpoints.deployment(deployer.endpoint, "act-1")

    assert found is not None
    assert found.state is DeploymentState.STARTING
    until(lambda: mine.endpoints.get(deployer.endpoint).traffic == {"v1": 100})
    as_somebody("owner")
    platform.access.revoke(Role.DEPLOYER, worker.object_id)
