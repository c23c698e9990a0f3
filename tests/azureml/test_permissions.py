"""Each verb needs no more than its actions say: with a custom role of exactly these, it goes through."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest

from cloudmlops import Platform, connect
from cloudmlops.domain.events import DriftDetected, EventContext
from cloudmlops.domain.models import Stage
from cloudmlops.emulators.azure.cloud import AzureCloud
from cloudmlops.errors import PermissionDeniedError
from cloudmlops.providers.azureml.mapping.access import PERMISSIONS, of_data
from cloudmlops.testing.contract.models import written_model

from .conftest import Opened

Acts = Mapping[str, Callable[[Platform], object]]
Allow = Callable[[str], None]
WHEN = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.fixture
def allow(cloud: AzureCloud) -> Allow:
    """Give the worker a role that has the actions of a verb and nothing else."""
    worker = cloud.tokens.directory.by_name("worker")

    def only(verb: str) -> None:
        for one in cloud.access.assignments():
            if one["properties"]["principalId"] == worker.object_id:
                cloud.access.unassign(one["name"])
        data = of_data(PERMISSIONS[verb])
        granted = {
            "actions": [one.name for one in PERMISSIONS[verb] if one not in data],
            "dataActions": [one.name for one in data],
        }
        name = str(uuid4())
        role = cloud.access.define({"name": name, "properties": {"roleName": name, "permissions": [granted]}})
        cloud.access.assign("/", worker.object_id, role)

    return only


@pytest.fixture
def check(opened: Opened, allow: Allow, as_somebody: Callable[[str], None]) -> Callable[[Acts], None]:
    """Do each verb on a platform of its own as the worker, who may do that verb only."""
    target = opened().settings.target

    def each(acts: Acts) -> None:
        as_somebody("worker")
        for verb, act in acts.items():
            allow(verb)
            with connect(target) as platform:
                act(platform)

    return each


def fails(event: DriftDetected, _: EventContext) -> None:
    raise ValueError(event.metric)


def test_models(check: Callable[[Acts], None], tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    artifact = written_model(tmp_path / "model")
    check(
        {
            "models.register": lambda at: at.models.register("churn", artifact, tags={"long": "x" * 2000}),
            "models.get": lambda at: at.models.get("churn", "1"),
            "models.list": lambda at: at.models.list(),
            "models.names": lambda at: at.models.names(),
            "models.tag": lambda at: at.models.tag("churn", "1", {"colour": "red"}),
            "models.untag": lambda at: at.models.untag("churn", "1", ["colour"]),
            "models.promote": lambda at: at.models.promote("churn", "1", to=Stage.CANDIDATE, reason="good"),
            "models.history": lambda at: at.models.history("churn"),
            "models.at": lambda at: at.models.at("churn", Stage.CANDIDATE, datetime.now(UTC)),
            "models.download": lambda at: at.models.download("churn", "1", to=tmp_path / "downloaded"),
            "models.verify": lambda at: at.models.verify("churn"),
            "models.repair": lambda at: at.models.repair("churn"),
        }
    )
    assert [record.message for record in caplog.records if record.name.startswith("cloudmlops")] == []


def test_approving_needs_no_right_to_change_versions(
    check: Callable[[Acts], None], opened: Opened, tmp_path: Path
) -> None:
    with connect(opened().settings.target) as platform:
        platform.models.register("churn", written_model(tmp_path / "model"))

    check({"models.approve": lambda at: at.models.approve("churn", "1", to=Stage.PRODUCTION, reason="good")})


def test_models_in_production(check: Callable[[Acts], None], opened: Opened, tmp_path: Path) -> None:
    artifact = written_model(tmp_path / "model")
    with connect(opened().settings.target) as platform:
        for version in ("1", "2"):
            platform.models.register("churn", artifact)
            for stage in (Stage.CANDIDATE, Stage.STAGING, Stage.PRODUCTION):
                platform.models.promote("churn", version, to=stage, reason="good")
    check(
        {
            "models.rollback": lambda at: at.models.rollback("churn", reason="bad"),
            "models.delete": lambda at: at.models.delete("churn", "2"),
        }
    )


def test_events(check: Callable[[Acts], None]) -> None:
    def publish(at: Platform) -> None:
        at.events.publish(
            DriftDetected(platform=at.address, time=WHEN, subject="s", metric="psi", value=0.3, threshold=0.2)
        )

    def process(at: Platform) -> None:
        at.events.on(DriftDetected, handler="fails", retries=0)(fails)
        at.events.process()

    check(
        {
            "events.publish": publish,
            "events.list": lambda at: at.events.list(),
            "events.process": process,
            "events.dead_letters": lambda at: at.events.dead_letters(),
            "events.retry": lambda at: at.events.retry(),
            "events.replay": lambda at: at.events.replay(since=WHEN),
        }
    )


@pytest.mark.parametrize("verb", ["models.register", "models.promote", "models.delete"])
def test_reading_alone_does_not_suffice(
    opened: Opened, allow: Allow, as_somebody: Callable[[str], None], tmp_path: Path, verb: str
) -> None:
    target = opened().settings.target
    artifact = written_model(tmp_path / "model")
    with connect(target) as platform:
        platform.models.register("churn", artifact)
    acts: Acts = {
        "models.register": lambda at: at.models.register("churn", artifact),
        "models.promote": lambda at: at.models.promote("churn", "1", to=Stage.CANDIDATE),
        "models.delete": lambda at: at.models.delete("churn", "1"),
    }
    allow("models.get")
    as_somebody("worker")

    with connect(target) as reading, pytest.raises(PermissionDeniedError):
        acts[verb](reading)
