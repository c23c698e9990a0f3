"""Without one of the actions that a verb needs, `check_access` names it and where, and the verb is refused by it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cloudmlops import Entity, FeatureView, Platform, TableSource, connect
from cloudmlops.domain.access import Permission
from cloudmlops.domain.events import DriftDetected
from cloudmlops.emulators.azure.cloud import AzureCloud
from cloudmlops.errors import DeploymentFailedError, PermissionDeniedError
from cloudmlops.testing.contract.models import written_model

from .conftest import GROUP, Opened
from .custom_roles import SEEING, Rights, take_all
from .deployments import Deployer
from .event_grid import Namespace, drained, drift
from .steps.pipelines import single

Act = Callable[[Platform], object]
Let = Callable[..., None]
Refused = Callable[..., None]
LONG = timedelta(minutes=2)
WHEN = datetime(2026, 1, 31, 12, tzinfo=UTC)
SPARK = "ignore::marshmallow.warnings.RemovedInMarshmallow4Warning"
AT_TIMES = {
    "blobs/delete": "something is tidied away",
    "codes/versions/startPendingUpload/action": "the code is not there yet",
    "codes/versions/write": "the code is not there yet",
    "environments/read": "an environment is named without its version",
    "environments/versions/write": "a step names a container image",
    "models/read": "all models are listed",
}
"""Actions that only some calls of a verb need, which nobody can tell before."""


@pytest.fixture
def let(monkeypatch: pytest.MonkeyPatch) -> Let:
    """Give platforms that are opened from now on some settings."""

    def settings(**given: str) -> None:
        for name, value in given.items():
            monkeypatch.setenv(f"CLOUDMLOPS_AZUREML_{name.upper()}", value)

    return settings


@pytest.fixture
def refused(cloud: AzureCloud, opened: Opened, as_somebody: Callable[[str], None]) -> Iterator[Refused]:
    """See that a verb is refused without each of its actions, which is named, and goes through with all of them."""

    def each(
        verb: str, act: Act, *, when: str = "", only: Collection[str] = (), at_times: Collection[str] = ()
    ) -> None:
        may = Rights(cloud, opened())
        needed = [one for one in may.known[verb] if one.when in ("", when) and (not only or short(one) in only)]
        needed = [one for one in needed if short(one) in only or short(one) not in {*AT_TIMES, *at_times}]
        assert set(only) <= {short(one) for one in needed}
        assert needed
        as_somebody("worker")
        for permission in needed:
            if permission.name not in SEEING:
                may.of(verb, without=permission)
                may.may_look()
                assert told(may, verb, when) == {(permission.name, permission.scope)}
            may.of(verb, without=permission)
            with connect(may.settings.target) as platform:
                try:
                    act(platform)
                except (PermissionDeniedError, DeploymentFailedError):
                    continue
            pytest.fail(f"{verb} went through without {permission.name} on the {permission.scope}")
        may.of(verb)
        with connect(may.settings.target) as platform:
            act(platform)
        may.may_look()
        assert told(may, verb, when) == set()
        as_somebody("owner")

    yield each
    take_all(cloud, cloud.tokens.directory.by_name("worker").object_id)


def short(permission: Permission) -> str:
    """Return an action without the beginning that all of its kind have."""
    for before in ("MachineLearningServices/workspaces/", "blobServices/containers/", "Microsoft."):
        if before in permission.name:
            return permission.name.partition(before)[2]
    return permission.name


def told(may: Rights, verb: str, when: str) -> set[tuple[str, str]]:
    """Return what is missing of a verb, and on what, as the worker is told; all of it is known."""
    with connect(may.settings.target) as platform:
        missing = [one for one in platform.check_access([verb]) if one.permission.when in ("", when)]
    assert [one.unknown for one in missing if one.unknown] == []
    for one in missing:
        assert one.resource.lower().startswith(may.place(one.permission.scope).lower())
    return {(one.permission.name, one.permission.scope) for one in missing}


def weather(name: str) -> FeatureView:
    return FeatureView(
        name,
        entity=Entity(f"airport_{name}", keys={"origin": str}),
        source=TableSource("weather"),
        timestamp="seen_at",
        features={"wind": float},
    )


def test_reading_models(refused: Refused, opened: Opened, tmp_path: Path) -> None:
    with connect(opened().settings.target) as platform:
        platform.models.register("churn", written_model(tmp_path / "model"))

    refused("models.get", lambda at: at.models.get("churn", "1"))


@pytest.mark.conformance(ci=True)
def test_models(refused: Refused, tmp_path: Path) -> None:
    artifact = written_model(tmp_path / "model")
    refused("models.register", lambda at: at.models.register("churn", artifact))
    refused("models.list", lambda at: at.models.list())
    refused("models.names", lambda at: at.models.names())
    refused("models.history", lambda at: at.models.history("churn"))
    refused("models.verify", lambda at: at.models.verify("churn"))
    numbers = itertools.count(1)
    refused("models.download", lambda at: at.models.download("churn", "1", to=tmp_path / str(next(numbers))))


@pytest.mark.conformance(ci=True)
def test_events(refused: Refused) -> None:
    def publish(at: Platform) -> None:
        at.events.publish(
            DriftDetected(platform=at.address, time=WHEN, subject="s", metric="psi", value=0.3, threshold=0.2)
        )

    refused("events.publish", publish)
    refused("events.list", lambda at: at.events.list())
    refused("events.dead_letters", lambda at: at.events.dead_letters())


@pytest.mark.conformance(ci=True)
def test_events_on_a_topic(refused: Refused, let: Let, namespace: Namespace) -> None:
    let(**namespace.settings)
    numbers = itertools.count()

    def publish(at: Platform) -> None:
        at.events.publish(drift(at, f"m{next(numbers)}"))

    refused("events.publish", publish, only=["EventGrid/events/send/action"])
    refused("events.process", lambda at: drained(at, namespace), only=["EventGrid/events/receive/action"])


@pytest.mark.filterwarnings(SPARK)
@pytest.mark.conformance(ci=True)
@pytest.mark.parametrize("shown", [False, True], ids=["shown nowhere", "shown by another workspace"])
def test_features(refused: Refused, let: Let, cloud: AzureCloud, *, shown: bool) -> None:
    if shown:
        cloud.ensure_workspace("feature-store-of-rights", group=GROUP)
        let(feature_store="feature-store-of-rights")
    rows = [{"origin": "JFK", "seen_at": WHEN, "wind": 1.0}]
    asked: list[dict[str, Any]] = [{"origin": "JFK", "event_time": WHEN}]
    numbers = itertools.count()

    refused("features.write_table", lambda at: at.features.write_table("weather", rows))
    refused("features.apply", lambda at: at.features.apply([weather(f"w{next(numbers)}")]))
    refused("features.list", lambda at: at.features.list())
    name = f"w{next(numbers) - 1}"
    refused("features.view", lambda at: at.features.view(name))
    refused("features.training_table", lambda at: at.features.training_table(name, asked))


@pytest.mark.filterwarnings(SPARK)
@pytest.mark.conformance(ci=True)
def test_runs_on_a_cluster_that_is_made(refused: Refused, let: Let) -> None:
    let(environment="azureml:steps:1", compute="cpu", compute_machine="Standard_DS3_v2")
    numbers = itertools.count()

    def run(at: Platform) -> None:
        at.pipelines.run(single, id=f"run-{next(numbers)}")

    refused("pipelines.run", run, when="there is no compute cpu yet", only=["computes/read", "computes/write"])


@pytest.mark.filterwarnings(SPARK)
@pytest.mark.conformance(ci=True)
def test_runs(refused: Refused, let: Let) -> None:
    let(environment="azureml:steps:1")
    numbers = itertools.count()

    refused("pipelines.run", lambda at: at.pipelines.run(single, id=f"run-{next(numbers)}"))
    last = f"run-{next(numbers) - 1}"
    for verb, act in {
        "pipelines.get": lambda at: at.pipelines.get(last).outputs,
        "pipelines.list": lambda at: at.pipelines.list(),
        "pipelines.plan": lambda at: at.pipelines.plan(single),
    }.items():
        refused(verb, act)


@pytest.mark.conformance
def test_endpoints_that_follow_the_load(refused: Refused, deployer: Deployer, let: Let) -> None:
    let(**deployer.settings)
    version, numbers = deployer.version(), itertools.count()

    def deploy(at: Platform) -> None:
        name = f"d{next(numbers)}"
        at.endpoints.deploy(version, to=deployer.endpoint, name=name, replicas=(1, 2)).wait(timeout=LONG)

    refused(
        "endpoints.deploy",
        deploy,
        when="the number of replicas is a range",
        only=["Insights/autoscaleSettings/write", "onlineEndpoints/deployments/write"],
    )


@pytest.mark.conformance
@pytest.mark.parametrize(
    ("mode", "action"), [("aad_token", "score/action"), ("aml_token", "token/action"), ("key", "listKeys/action")]
)
def test_predictions_by_each_way_in(refused: Refused, deployer: Deployer, let: Let, mode: str, action: str) -> None:
    let(**deployer.settings, auth_mode=mode)
    version = deployer.version()
    with connect(deployer.platform.target.replace("?", f"?auth_mode={mode}&")) as platform:
        platform.endpoints.deploy(version, to=deployer.endpoint).wait(timeout=LONG)

    refused(
        "endpoints.predict",
        lambda at: at.endpoints.predict(deployer.endpoint, [[1, 0]]),
        only=["onlineEndpoints/read", f"onlineEndpoints/{action}"],
    )
