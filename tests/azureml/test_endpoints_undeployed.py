"""Undeploying on Azure ML while somebody else works at the endpoint."""

from __future__ import annotations

import pytest

from cloudmlops import Platform
from cloudmlops.emulators.core.emulator import Emulator
from cloudmlops.emulators.core.faults import Fault, Refused
from cloudmlops.errors import ConflictError, PermissionDeniedError

from .conftest import Connects
from .deployments import DELETE, Deployer

pytestmark = pytest.mark.filterwarnings("ignore::marshmallow.warnings.RemovedInMarshmallow4Warning")


@pytest.fixture
def platform(deployer: Deployer) -> Platform:
    deployer.let_be_quick()
    return deployer.platform


def test_a_deployment_that_is_given_traffic_meanwhile_stays_and_that_is_told(
    platform: Platform, deployer: Deployer, azureml_emulator: Emulator, connect_to_run: Connects
) -> None:
    endpoints, name = platform.endpoints, deployer.endpoint
    for version in (deployer.version(1.0), deployer.version(2.0)):
        endpoints.deploy(version, to=name).wait()
    endpoints.shift_traffic(name, {"v2": 100})
    other = connect_to_run().endpoints
    azureml_emulator.faults.set(Fault(matching=DELETE, before=lambda: other.shift_traffic(name, {"v1": 80, "v2": 20})))

    with pytest.raises(
        ConflictError, match=r"deployment 'v1' of endpoint .*: .* somebody gave it 80 % of the traffic"
    ) as no:
        endpoints.undeploy(name, "v1")

    assert "undeploy it again" in no.value.hint
    assert "cloudmlops-v1" not in str(no.value)
    status = endpoints.status(name)
    assert {one.name for one in status.deployments} == {"v1", "v2"}
    assert status.traffic == {"v1": 80, "v2": 20}


@pytest.mark.conformance(ci=True)
def test_who_may_not_undeploy_is_told_that_and_no_more(
    platform: Platform, deployer: Deployer, azureml_emulator: Emulator
) -> None:
    platform.endpoints.deploy(deployer.version(), to=deployer.endpoint).wait()
    azureml_emulator.faults.set(Fault(matching=DELETE, refused=Refused("PERMISSION_DENIED", "no")))

    with pytest.raises(PermissionDeniedError):
        platform.endpoints.undeploy(deployer.endpoint, "v1")
