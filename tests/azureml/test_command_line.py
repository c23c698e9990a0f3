"""What the shell says of a platform on Azure ML."""

from __future__ import annotations

import json
import sys
import threading

import pytest
from click.testing import CliRunner

from cloudmlops.cli import cli
from cloudmlops.emulators.azure.cloud import AzureCloud
from cloudmlops.emulators.azure.scoring.images import ServingImages
from cloudmlops.emulators.core.faults import Refused
from cloudmlops.providers.azureml.sdk import quiet

from .conftest import Connects, Opened
from .deployments import Deployer
from .steps.pipelines import single

pytestmark = pytest.mark.filterwarnings("ignore::marshmallow.warnings.RemovedInMarshmallow4Warning")


def test_who_wants_to_run_schedules_is_told_that_azure_does(opened: Opened) -> None:
    told = CliRunner().invoke(cli, ["schedule", "run", "--target", opened().settings.target])

    assert told.exit_code == 0
    assert told.output == "this platform starts the runs of its schedules by itself: no process needs to go on here\n"


def test_runs_and_schedules_leave_nothing_on_the_terminal(
    connect_to_run: Connects, capfd: pytest.CaptureFixture[str]
) -> None:
    platform = connect_to_run()
    capfd.readouterr()

    platform.pipelines.schedule(single, name="nightly", cron="0 3 * * *")  # uploads the steps' source
    assert [one.name for one in platform.pipelines.schedules()] == ["nightly"]
    platform.pipelines.unschedule("nightly")
    platform.pipelines.run(single).cancel()

    assert capfd.readouterr() == ("", "")


def test_what_others_print_while_the_sdk_is_quiet_is_left_to_them(capsys: pytest.CaptureFixture[str]) -> None:
    def other() -> None:
        print("\x1b[39m\n", file=sys.stderr)

    with quiet():
        print("ours", file=sys.stderr)
        print("\x1b[39m\n", file=sys.stderr)
        print(file=sys.stderr)
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        with quiet():
            print("\x1b[39m\n", file=sys.stderr)
        print("again", file=sys.stderr)
    print("\x1b[39m\n", file=sys.stderr)

    assert capsys.readouterr().err == "ours\n\n\x1b[39m\n\nagain\n\x1b[39m\n\n"


def test_the_doctor_looks_at_the_packages_that_azure_needs(opened: Opened) -> None:
    told = CliRunner().invoke(cli, ["doctor", "--json", "--target", opened().settings.target])

    checks = {one["check"]: one for one in json.loads(told.stdout)}
    assert checks["Packages of cloudmlops[azureml]"]["ok"]
    assert not checks.keys() & {"Packages of cloudmlops[local]", "SQLite"}


@pytest.mark.conformance(ci=True)
def test_replicas_that_follow_the_load_and_the_machine_they_run_on_can_be_asked_for_and_seen(
    deployer: Deployer, cloud: AzureCloud
) -> None:
    version = deployer.version()
    wanted = ["deploy", "scaling", version.version, "--to", deployer.endpoint, "--replicas", "1-3", "--json"]

    told = CliRunner().invoke(cli, [*wanted, "--target", deployer.platform.target])

    assert told.exit_code == 0, told.output
    assert json.loads(told.stdout)["machine"] == "Standard_DS3_v2"
    found = [cloud.resources.get(one) for one in cloud.scaling.settings()]
    (ours,) = [one for one in found if one and deployer.endpoint in one["properties"]["targetResourceUri"]]
    (profile,) = ours["properties"]["profiles"]
    assert (profile["capacity"]["minimum"], profile["capacity"]["maximum"]) == ("1", "3")


@pytest.mark.parametrize("written", ["many", "1-", "-3", "1..3", "1-2-3"])
def test_replicas_that_are_no_numbers_are_refused(written: str) -> None:
    told = CliRunner().invoke(cli, ["deploy", "m", "1", "--to", "e", f"--replicas={written}"])

    assert told.exit_code == 2
    assert f"{written!r} is neither a number nor two as in 1-5" in told.stderr


def test_a_deployment_is_waited_for_as_long_as_azure_may_take() -> None:
    (timeout,) = [one for one in cli.get_command(None, "deploy").params if one.name == "timeout"]

    assert timeout.default == 1800


def test_an_image_that_nothing_stands_for_is_refused_with_how_to_say_what_does() -> None:
    with pytest.raises(Refused, match=r"no command stands for it.*--image PATTERN=COMMAND"):
        ServingImages().of("contoso.azurecr.io/other:1")
