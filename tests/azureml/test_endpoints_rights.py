"""A server that looks features up acts as its endpoint's identity: what that may not do, and how to let it, is said."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cloudmlops import Entity, FeatureService, FeatureView, Platform, TableSource, connect
from cloudmlops.domain.access import Role
from cloudmlops.domain.models import ModelVersion
from cloudmlops.emulators.azure.cloud import AzureCloud
from cloudmlops.emulators.azure.scoring.images import ServingImage
from cloudmlops.errors import DeploymentFailedError
from cloudmlops.testing.model_folders import write_scaling_model

from .conftest import Opened
from .deployments import Deployer, until

LONG = timedelta(minutes=2)
IDENTITY = (
    "/subscriptions/00000000-0000-0000-0000-00000000e001/resourceGroups/experiments/providers"
    "/Microsoft.ManagedIdentity/userAssignedIdentities/server"
)
airport = Entity("airport", keys={"origin": str})
SEEN = datetime(2026, 1, 15, 12, tzinfo=UTC)


ASKING = """
import sys, cloudmlops
with cloudmlops.connect() as platform:
    platform.features.list()
import runpy
sys.argv = [sys.argv[1], *sys.argv[2:]]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
"""A server of one's own that reads the platform before it answers."""


@pytest.fixture
def platform(deployer: Deployer, opened: Opened, cloud: AzureCloud) -> Iterator[Platform]:
    """The deployer's, whose image reads the platform before it answers."""
    command = [sys.executable, "-u", "-c", ASKING, str(Path(__file__).with_name("quick_server.py")), "{port}"]
    cloud.fleet.images.let(deployer.settings["serving_image"], ServingImage(command=command))
    with connect(opened(**deployer.settings).settings.target) as platform:
        yield platform


@pytest.mark.conformance(ci=True)
def test_an_endpoint_s_own_identity_is_named_with_the_grant_that_lets_it_read(
    platform: Platform, deployer: Deployer, cloud: AzureCloud
) -> None:
    version = looking_up(deployer, platform)

    with pytest.raises(DeploymentFailedError) as failed:
        platform.endpoints.deploy(version, to=deployer.endpoint).wait(timeout=LONG)

    principal = own_principal(cloud, deployer)
    assert f'platform.access.grant("reader", "{principal}")' in str(failed.value)
    assert not platform.endpoints.status(deployer.endpoint).deployments, "who is to be let stays there"

    platform.access.grant(Role.READER, principal)
    platform.endpoints.deploy(version, to=deployer.endpoint).wait(timeout=LONG)

    assert platform.endpoints.predict(deployer.endpoint, [[3, 0]]) == [6.0]
    assert own_principal(cloud, deployer) == principal
    platform.endpoints.delete(deployer.endpoint)
    assert cloud.tokens.directory.by_object(principal) is None


@pytest.mark.conformance
def test_a_user_assigned_identity_is_named_with_the_grant_too_and_the_endpoint_goes(
    platform: Platform, deployer: Deployer, opened: Opened, cloud: AzureCloud
) -> None:
    server = cloud.tokens.directory.by_name("server").object_id
    version = looking_up(deployer, platform)
    with connect(opened(**deployer.settings, endpoint_identity=IDENTITY).settings.target) as given:
        with pytest.raises(DeploymentFailedError) as failed:
            given.endpoints.deploy(version, to=deployer.endpoint).wait(timeout=LONG)

        assert f'platform.access.grant("reader", "{server}")' in str(failed.value)
        until(lambda: deployer.endpoint not in [one.name for one in given.endpoints.list()])


def looking_up(deployer: Deployer, platform: Platform) -> ModelVersion:
    """Register a model that features are looked up for."""
    readings = FeatureView(
        "readings", entity=airport, source=TableSource("readings"), timestamp="seen_at", features={"value": float}
    )
    platform.features.write_table("readings", [{"origin": "JFK", "seen_at": SEEN, "value": 1.5}])
    service = FeatureService("scaling", views=[readings])
    platform.features.apply([service])
    folder = write_scaling_model(deployer.folder / "model", factor=2.0)
    return platform.models.register("scaling", folder, features=service)


def own_principal(cloud: AzureCloud, deployer: Deployer) -> str:
    """Return the principal of the endpoint."""
    kind = "Microsoft.MachineLearningServices/workspaces/onlineEndpoints"
    (found,) = [one for one in cloud.resources.of_type(kind) if one["name"] == deployer.endpoint]
    principal: str = found["identity"]["principalId"]
    return principal
