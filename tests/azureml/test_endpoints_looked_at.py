"""Deployments on Azure ML as others see them who look meanwhile: what is gone failed, what is new is never removed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial

import pytest

from cloudmlops.domain.endpoints import DeploymentState
from cloudmlops.emulators.azure.cloud import AzureCloud
from cloudmlops.emulators.core.emulator import Emulator
from cloudmlops.emulators.core.faults import Fault
from cloudmlops.errors import DeploymentFailedError
from cloudmlops.providers.azureml.backends import AzureMLBackends
from cloudmlops.providers.azureml.mapping.endpoints import state_of
from cloudmlops.providers.deployment_journal import Journal
from cloudmlops.providers.deployment_rules import act_of

from .deployments import DELETE, PUT, Deployer, deploy, once, spec, until

LONG = timedelta(minutes=2)
DELETE_ENDPOINT = "arm/DELETE workspaces/onlineEndpoints"
LIST = "arm/GET workspaces/onlineEndpoints/deployments"

Opened = Callable[..., AzureMLBackends]


def state(backends: AzureMLBackends, endpoint: str, name: str = "cloudmlops-v1") -> str:
    return state_of(backends.native.online_deployments.get(name, endpoint))


def failed_alone(deployer: Deployer, backends: AzureMLBackends) -> None:
    """Let a first deployment fail, and nobody know it yet."""
    deploy(backends, spec(deployer.version(fails="weights are missing"), deployer.endpoint))
    until(lambda: state(backends, deployer.endpoint) == "Failed")


def deployed(backends: AzureMLBackends, endpoint: str) -> list[str]:
    return [str(one.name) for one in backends.native.online_deployments.list(endpoint)]


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


def test_who_lists_after_a_first_failure_never_removes_what_somebody_deploys_meanwhile(
    deployer: Deployer, opened: Opened, cloud: AzureCloud, azureml_emulator: Emulator
) -> None:
    failing, looking = opened(**deployer.settings), opened(**deployer.settings)
    good = deployer.version(2.0)
    failed_alone(deployer, failing)
    begun = []
    slow = partial(setattr, cloud.operations, "takes", timedelta(hours=1))
    azureml_emulator.faults.set(Fault(matching=PUT, before=slow))
    azureml_emulator.faults.set(
        Fault(
            matching=DELETE_ENDPOINT,
            before=lambda: begun.append(deployer.platform.endpoints.deploy(good, to=deployer.endpoint)),
        )
    )

    looking.endpoints.list()

    cloud.operations.takes = timedelta(0)
    azureml_emulator.clock.advance(timedelta(hours=1))
    begun[0].wait(timeout=LONG)
    assert deployer.platform.endpoints.predict(deployer.endpoint, [[1, 0]]) == [2.0]
    asked = [call.status for call in azureml_emulator.calls.list(DELETE_ENDPOINT)]
    assert sorted(asked) == ["ABORTED", "OK"]  # of who looked, and of who deployed, before it


def test_an_endpoint_is_not_removed_when_somebody_has_noted_that_they_deploy_there(
    deployer: Deployer, opened: Opened, azureml_emulator: Emulator
) -> None:
    looking, other = opened(**deployer.settings), opened(**deployer.settings)
    good, journal = deployer.version(2.0), Journal(other.objects, other.clock)
    failed_alone(deployer, looking)

    def note() -> None:
        wanted = spec(good, deployer.endpoint, "act-2", "good")
        kept = act_of(wanted, actor="ada", native_model="x", deployed_id="good", machine="Standard_DS3_v2")
        journal.begin(deployer.endpoint, "act-2", lambda _: kept)

    def failure_is_known() -> bool:
        return not journal.read(deployer.endpoint).begun()

    azureml_emulator.calls.clear()
    azureml_emulator.faults.set(Fault(matching=LIST, times=None, before=once(note, when=failure_is_known)))

    found = looking.endpoints.get(deployer.endpoint)

    assert [(one.name, one.state) for one in found.deployments] == [("good", DeploymentState.STARTING)]
    assert azureml_emulator.calls.list(DELETE_ENDPOINT) == []


@pytest.mark.conformance(ci=True)
def test_who_lists_never_removes_what_somebody_deploys_in_place_of_a_failure(
    deployer: Deployer, opened: Opened, cloud: AzureCloud, azureml_emulator: Emulator
) -> None:
    platform, looking, backends = deployer.platform, opened(**deployer.settings), opened(**deployer.settings)
    platform.endpoints.deploy(deployer.version(1.0), to=deployer.endpoint).wait(timeout=LONG)
    good = deployer.version(2.0)
    deploy(backends, spec(deployer.version(fails="weights are missing"), deployer.endpoint, name="blue"))
    until(lambda: state(backends, deployer.endpoint, "blue") == "Failed")
    begun = []

    def replace() -> None:
        platform.endpoints.status(deployer.endpoint)
        until(lambda: deployed(backends, deployer.endpoint) == ["cloudmlops-v1"])
        cloud.operations.takes = timedelta(hours=1)
        begun.append(platform.endpoints.deploy(good, to=deployer.endpoint, name="blue"))

    azureml_emulator.calls.clear()
    azureml_emulator.faults.set(Fault(matching=DELETE, before=replace))

    looking.endpoints.list()

    cloud.operations.takes = timedelta(0)
    azureml_emulator.clock.advance(timedelta(hours=1))
    begun[0].wait(timeout=LONG)
    assert sorted(deployed(backends, deployer.endpoint)) == ["blue", "cloudmlops-v1"]
    assert len(azureml_emulator.calls.list(DELETE)) == 2  # of who looked, and of who deployed, before it


@pytest.mark.conformance(ci=True)
def test_a_removal_whose_answer_was_lost_is_not_asked_for_again(
    deployer: Deployer, opened: Opened, azureml_emulator: Emulator
) -> None:
    looking = opened(**deployer.settings)
    failed_alone(deployer, looking)
    azureml_emulator.faults.set(Fault(matching=DELETE_ENDPOINT, lose_response=True))

    assert looking.endpoints.list() == []

    assert len(azureml_emulator.calls.list(DELETE_ENDPOINT)) == 1
    until(lambda: looking.endpoints._resources.names() == [])


@pytest.mark.conformance(ci=True)
def test_a_split_waits_for_a_deployment_and_keeps_what_others_wrote_meanwhile(
    deployer: Deployer, backends: AzureMLBackends, cloud: AzureCloud, azureml_emulator: Emulator
) -> None:
    platform, good = deployer.platform, deployer.version(2.0)
    platform.endpoints.deploy(good, to=deployer.endpoint, name="one").wait(timeout=LONG)
    platform.endpoints.deploy(good, to=deployer.endpoint, name="two").wait(timeout=LONG)
    cloud.operations.takes = timedelta(hours=1)
    platform.endpoints.deploy(good, to=deployer.endpoint, name="three")
    cloud.operations.takes = timedelta(0)

    def end_and_tag() -> None:
        azureml_emulator.clock.advance(timedelta(hours=1))
        until(lambda: state(backends, deployer.endpoint, "three") == "Succeeded")
        found = backends.native.online_endpoints.get(deployer.endpoint)
        found.tags = {**found.tags, "cost-centre": "7"}
        backends.native.online_endpoints.begin_create_or_update(found).result()

    put = "arm/PUT workspaces/onlineEndpoints"
    azureml_emulator.calls.clear()
    refused = once(end_and_tag, when=lambda: bool(azureml_emulator.calls.list(put)))
    azureml_emulator.faults.set(Fault(matching=LIST, times=None, before=refused))

    platform.endpoints.shift_traffic(deployer.endpoint, {"two": 100})

    asked = [call.status for call in azureml_emulator.calls.list(put)]
    assert asked == ["ABORTED", "OK", "OK"]  # refused, then the tag, then what follows from it
    shown = backends.native.online_endpoints.get(deployer.endpoint)
    assert (shown.traffic["two"], shown.tags["cost-centre"]) == (100, "7")
