"""Who has the permissions of a reader and nothing else reads all there is, whatever others have left to be done."""

from __future__ import annotations

from pathlib import Path

from tests.reading import acts, prepare

from cloudmlops import connect
from cloudmlops.domain.access import Role
from cloudmlops.domain.endpoints import DeploymentSpec
from cloudmlops.domain.events import ModelDeployed
from cloudmlops.domain.models import Stage
from cloudmlops.emulators.core.emulator import Emulator
from cloudmlops.emulators.google.cloud import GoogleCloud
from cloudmlops.providers.vertex.mapping.access import permissions_of, role_of
from cloudmlops.testing.model_folders import write_scaling_model

from .conftest import Opened
from .test_permissions import all_permissions


def test_a_reader_reads_all_of_what_is_deployed_and_not_told_of(
    opened: Opened, vertex_emulator: Emulator, tmp_path: Path
) -> None:
    backends = opened()
    access = vertex_emulator.cloud(GoogleCloud).access
    known = permissions_of(backends.settings)
    with connect(backends.target) as platform:
        version = platform.models.register("scaling", write_scaling_model(tmp_path / "model"))
        platform.models.promote("scaling", "1", to=Stage.CANDIDATE)
        prepare(platform)
        wanted = DeploymentSpec(
            endpoint="live",
            name="v1",
            model="scaling",
            version="1",
            artifact_uri=version.artifact_uri,
            deployed_as="act-1",
        )
        backends.endpoints.deploy(wanted, fetch=lambda _: None, actor="ada")
        while not backends.endpoints.get("live").traffic:
            pass
        assert not backends.endpoints.get("live").deployments[0].announced
        having = {name for name in all_permissions() if role_of(name) is Role.READER}
        each = acts("live", "v1", tmp_path)
        readers = [verb for verb in each if {one.name for one in known[verb]} <= having]

        for name in all_permissions() - having:
            access.deny(name)
        with connect(backends.target) as reading:
            assert reading.endpoints.list()[0].traffic == {"v1": 100}
            for verb in readers:
                each[verb](reading)
        assert {"endpoints.list", "endpoints.status", "models.verify", "events.list", "features.view"} <= set(readers)
        access.allow()

        assert platform.events.list(kind=ModelDeployed) == []
        platform.endpoints.status("live")
        assert [event.endpoint for event in platform.events.list(kind=ModelDeployed)] == ["live"]
        platform.endpoints.delete("live")
