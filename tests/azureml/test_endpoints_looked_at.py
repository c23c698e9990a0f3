"""Deployments on Azure ML as others see them who look meanwhile: what is gone failed, what is new is never removed."""

from __future__ import annotations

from datetime import timedelta

import pytest

from cloudmlops.domain.endpoints import DeploymentState
from cloudmlops.errors import DeploymentFailedError
from cloudmlops.providers.azureml.backends import AzureMLBackends
from cloudmlops.providers.azureml.mapping.endpoints import state_of

from .deployments import Deployer, until

LONG = timedelta(minutes=2)


def state(backends: AzureMLBackends, endpoint: str, name: str = "cloudmlops-v1") -> str:
    return state_of(backends.native.online_deployments.get(name, endpoint))


@pytest.mark.parametrize("what", ["endpoint", "deployment"])
def test_what_other_tools_remove_before_anybody_saw_it_healthy_fails_for_who_waits(
    what: str, deployer: Deployer, backends: AzureMLBackends
) -> None:
    begun = deployer.platform.endpoints.deploy(deployer.version(2.0), to=deployer.endpoint)
    until(lambda: state(backends, deployer.endpoint) == "Succeeded")
    if what == "endpoint":
        backends.native.online_endpoints.begin_delete(deployer.endpoint).result()
    else:
        backends.native.online_deployments.begin_delete("cloudmlops-v1", deployer.endpoint).result()

    with pytest.raises(DeploymentFailedError, match="somebody removed it at Azure ML before it was seen to be healthy"):
        begun.wait(timeout=LONG)

    assert begun.status.state is DeploymentState.FAILED
