"""Who has the role of a reader and nothing else reads all there is, whatever others have left to be done."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from tests.reading import ELSEWHERE, acts, prepare

from cloudmlops.domain.access import Role
from cloudmlops.domain.endpoints import DeploymentState
from cloudmlops.domain.events import ModelDeployed
from cloudmlops.domain.models import Stage
from cloudmlops.emulators.azure.cloud import AzureCloud
from cloudmlops.emulators.core.emulator import Emulator
from cloudmlops.emulators.core.faults import Fault, Refused
from cloudmlops.providers.azureml.backends import AzureMLBackends
from cloudmlops.providers.azureml.mapping.access import permissions_of

from .conftest import Connects, Opened
from .custom_roles import take_all
from .deployments import Deployer, deploy, spec, until


def deployed(deployer: Deployer, backends: AzureMLBackends) -> None:
    """Deploy a version that has its traffic, and that nobody has told of."""
    version = deployer.version()
    deployer.platform.models.promote(version.model, version.version, to=Stage.CANDIDATE)
    deploy(backends, spec(version, deployer.endpoint))
    until(lambda: backends.endpoints.get(deployer.endpoint).deployments[0].state is DeploymentState.HEALTHY)
    assert not backends.endpoints.get(deployer.endpoint).deployments[0].announced


def told(deployer: Deployer) -> list[str]:
    return [event.endpoint for event in deployer.platform.events.list(kind=ModelDeployed)]


def test_a_reader_reads_all_of_what_is_deployed_and_not_told_of(
    deployer: Deployer, opened: Opened, connected: Connects, cloud: AzureCloud, tmp_path: Path
) -> None:
    backends = opened(**deployer.settings)
    deployed(deployer, backends)
    prepare(deployer.platform)
    worker = cloud.tokens.directory.by_name("worker").object_id
    take_all(cloud, worker)
    deployer.platform.access.grant(Role.READER, worker)
    reading = connected("worker", **deployer.settings)
    each = acts(deployer.endpoint, "v1", tmp_path)
    ours = [verb for verb, needed in permissions_of(backends.settings).items() if needed[0].role is Role.READER]

    assert reading.check_access(ours) == () or all(one.permission.when for one in reading.check_access(ours))
    for verb in sorted(set(ours) - ELSEWHERE):
        if not verb.startswith("pipelines."):
            each[verb](reading)

    assert reading.endpoints.status(deployer.endpoint).traffic == {"v1": 100}
    assert told(deployer) == []
    deployer.platform.endpoints.status(deployer.endpoint)
    assert told(deployer) == [deployer.endpoint], "whoever may publishes it"
    take_all(cloud, worker)


def test_reading_tells_what_there_is_while_the_event_of_it_cannot_be_written(
    deployer: Deployer, opened: Opened, azureml_emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    backends = opened(**deployer.settings, timeout="1")
    deployed(deployer, backends)
    refused = Refused("INVALID_ARGUMENT", "the container is being moved")
    azureml_emulator.faults.set(Fault(matching="blob/PutBlob", refused=refused, times=None))

    with caplog.at_level(logging.WARNING, "cloudmlops.endpoints"):
        assert deployer.platform.endpoints.status(deployer.endpoint).traffic == {"v1": 100}
        assert [one.name for one in deployer.platform.endpoints.list()] == [deployer.endpoint]

    azureml_emulator.faults.clear()
    assert "the event of it is not out yet" in caplog.text
    deployer.platform.endpoints.status(deployer.endpoint)
    assert told(deployer) == [deployer.endpoint]
