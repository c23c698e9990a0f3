"""What a deployment on Azure ML costs though nobody asks it is told when it is asked for."""

from __future__ import annotations

import logging

import pytest

from .deployments import Deployer

LOGGER = "cloudmlops.endpoints"


def test_a_deployment_is_told_with_what_its_machines_cost_a_month(
    deployer: Deployer, caplog: pytest.LogCaptureFixture
) -> None:
    endpoints = deployer.platform.endpoints

    with caplog.at_level(logging.INFO, logger=LOGGER):
        endpoints.deploy(deployer.version(), to=deployer.endpoint, machine="Standard_DS3_v2", replicas=(2, 2)).wait()
        endpoints.deploy(deployer.version(), to=deployer.endpoint, machine="Standard_Z9").wait()

    told = [record.getMessage() for record in caplog.records if record.name == LOGGER]
    assert [line.partition(" keeps ")[2] for line in told] == [
        "2 Standard_DS3_v2 at least though nobody asks it: about 428 US dollars a month",
        "1 Standard_Z9 at least though nobody asks it: at a price that this library does not know",
    ]
