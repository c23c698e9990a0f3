"""What a deployment on Azure ML costs though nobody asks it is told when it is asked for."""

from __future__ import annotations

import json
import logging

import pytest
from click.testing import CliRunner

from cloudmlops.cli.endpoints import deploy

from .deployments import Deployer

LOGGER = "cloudmlops.endpoints"


def test_a_deployment_is_told_with_what_its_machines_cost_a_month(
    deployer: Deployer, caplog: pytest.LogCaptureFixture
) -> None:
    endpoints = deployer.platform.endpoints

    with caplog.at_level(logging.WARNING, logger=LOGGER):
        endpoints.deploy(deployer.version(), to=deployer.endpoint, machine="Standard_DS3_v2", replicas=(2, 2)).wait()
        endpoints.deploy(deployer.version(), to=deployer.endpoint, machine="Standard_Z9").wait()

    told = [record.getMessage() for record in caplog.records if record.name == LOGGER]
    assert [line.partition(" keeps ")[2] for line in told] == [
        "2 Standard_DS3_v2 at least though nobody asks it: about 428 US dollars a month",
        "1 Standard_Z9 at least though nobody asks it: at a price that this library does not know",
    ]


def test_the_shell_tells_what_a_deployment_costs(deployer: Deployer) -> None:
    version = deployer.version()
    wanted = ["scaling", version.version, "--to", deployer.endpoint, "--machine", "Standard_DS3_v2", "--target"]

    people = CliRunner().invoke(deploy, [*wanted, deployer.platform.target, "--name", "one"])
    script = CliRunner().invoke(deploy, [*wanted, deployer.platform.target, "--name", "two", "--json"])

    costs = "keeps 1 Standard_DS3_v2 at least though nobody asks it: about 214 US dollars a month"
    assert (people.exit_code, script.exit_code) == (0, 0)
    assert f"warning: deployment 'one' at endpoint {deployer.endpoint!r} {costs}" in people.stderr
    assert json.loads(script.stdout)["warnings"] == [f"deployment 'two' at endpoint {deployer.endpoint!r} {costs}"]
