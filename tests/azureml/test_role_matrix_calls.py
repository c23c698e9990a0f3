"""Every verb as a real call by who has one built-in role of Azure at one scope: let in or refused as the role says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cloudmlops import Platform, connect
from cloudmlops.domain.runs import RunState
from cloudmlops.emulators.azure.cloud import AzureCloud
from cloudmlops.providers.azureml.mapping.access import Where
from cloudmlops.providers.azureml.sdk import ml

from .conftest import Opened
from .custom_roles import take_all
from .deployments import Deployer
from .event_grid import Namespace
from .role_matrix import PLACES, ROLES, Matrix, done
from .verb_calls import Calls, always, endpoint_calls, event_calls, feature_calls, model_calls, pipeline_calls

pytestmark = pytest.mark.filterwarnings("ignore::marshmallow.warnings.RemovedInMarshmallow4Warning")

NOUNS = ("models", "events", "features", "pipelines", "endpoints")
QUICK = ("endpoints", "pipelines")
"""Whose verbs every CI run calls; `make test` calls some of the models' ones."""
Both = tuple[Matrix, Calls]
Making = Callable[[str], Both]


@pytest.fixture
def making(
    opened: Opened,
    cloud: AzureCloud,
    as_somebody: Callable[[str], None],
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> Iterator[Making]:
    """Makes the calls of a noun, and who is to make them."""
    owners: list[Platform] = []

    def made(noun: str) -> Both:
        if noun == "endpoints":
            deployer: Deployer = request.getfixturevalue("deployer")
            matrix = Matrix(cloud=cloud, platform=opened(**deployer.settings))
            client: Any = deployer.platform.native
            cluster = ml().entities.AmlCompute(name="scoring", size="Standard_DS3_v2")
            client.compute.begin_create_or_update(cluster).result()
            return matrix, Calls(of=endpoint_calls(deployer, tmp_path), become=as_somebody)
        matrix = Matrix(cloud=cloud, platform=opened(environment="azureml:steps:1"))
        owners.append(owner := connect(matrix.platform.settings.target))
        of = {
            "models": lambda: model_calls(owner, tmp_path),
            "events": lambda: event_calls(owner),
            "features": lambda: feature_calls(owner),
            "pipelines": lambda: pipeline_calls(owner, tmp_path),
        }
        return matrix, Calls(of=of[noun](), become=as_somebody)

    yield made
    as_somebody("owner")
    for owner in owners:
        for run in owner.pipelines.list():
            if run.status not in (RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED):
                run.cancel()
        owner.close()
    take_all(cloud, cloud.tokens.directory.by_name("worker").object_id)


FEW = [
    *((role, "workspace", "resources") for role in ("Reader", "AzureML Data Scientist")),
    ("Storage Blob Data Reader", "storage account", "data"),
]
ELSEWHERE = [
    (place, half)
    for place in PLACES
    for half in ("resources", "data")
    if (place, half) not in (("workspace", "resources"), ("storage account", "data"))
]
SELECTED = {
    "models": ("models.get", "models.approve", "models.promote", "models.register"),
    "events": ("events.list", "events.publish"),
    "features": ("features.apply", "features.list", "features.view"),
    "pipelines": ("pipelines.list", "pipelines.run"),
    "endpoints": ("endpoints.deploy", "endpoints.shift_traffic", "endpoints.status"),
}
"""Verbs that read and verbs that change something, of each noun."""


def test_models_are_read_and_moved_by_some_roles_as_they_say(making: Making) -> None:
    matrix, calls = making("models")

    assert done(matrix, calls.only("models.get", "models.approve", "models.delete"), FEW) == ""


@pytest.mark.timeout(900)
@pytest.mark.parametrize("noun", [pytest.param(it, marks=pytest.mark.conformance(ci=it in QUICK)) for it in NOUNS])
def test_every_verb_is_let_in_by_some_roles_as_they_say(making: Making, noun: str) -> None:
    matrix, calls = making(noun)

    assert {verb.partition(".")[0] for verb in matrix.known} == set(NOUNS)
    assert {verb for verb in matrix.known if verb.startswith(f"{noun}.")} == set(calls.of)
    assert done(matrix, calls, FEW[:2] if noun in ("pipelines", "endpoints") else FEW) == ""


@pytest.mark.conformance
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("place", "half"), [("workspace", "resources"), ("storage account", "data")])
@pytest.mark.parametrize("noun", NOUNS)
def test_every_verb_is_let_in_by_every_role_as_it_says(making: Making, noun: str, place: str, half: str) -> None:
    assert done(*making(noun), [(role, place, half) for role in ROLES]) == ""


@pytest.mark.conformance
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("place", "half"), ELSEWHERE)
@pytest.mark.parametrize("noun", NOUNS)
def test_some_verbs_are_let_in_by_every_role_at_other_scopes_as_it_says(
    making: Making, noun: str, place: str, half: str
) -> None:
    matrix, calls = making(noun)

    assert done(matrix, calls.only(*SELECTED[noun]), [(role, place, half) for role in ROLES]) == ""


@pytest.mark.conformance
@pytest.mark.timeout(900)
def test_a_role_at_an_endpoint_lets_in_there_and_at_no_other(making: Making, deployer: Deployer) -> None:
    matrix, calls = making("endpoints")
    matrix.sees = True  # the ledger's place is the workspace's to say
    endpoints = f"{matrix.places['workspace']}/onlineEndpoints"
    matrix.places["endpoint"] = matrix.asked[Where.WORKSPACE] = f"{endpoints}/{deployer.endpoint}"
    at_it = calls.only("endpoints.logs", "endpoints.predict", "endpoints.shift_traffic", "endpoints.status")
    at_another = Calls(of={"endpoints.status": always(lambda at: at.endpoints.status("other"))}, become=calls.become)
    roles = [(role, "endpoint", "resources") for role in ROLES]

    assert done(matrix, at_it, roles) == ""
    matrix.asked[Where.WORKSPACE] = f"{endpoints}/other"
    assert done(matrix, at_another, roles) == ""


@pytest.mark.conformance
@pytest.mark.timeout(900)
def test_a_role_at_a_topic_lets_publish_as_it_says(
    opened: Opened, cloud: AzureCloud, as_somebody: Callable[[str], None], namespace: Namespace
) -> None:
    matrix = Matrix(cloud=cloud, platform=opened(**namespace.settings))
    matrix.places["topic"] = matrix.asked[Where.TOPIC]
    with connect(matrix.platform.settings.target) as owner:
        calls = Calls(of=event_calls(owner), become=as_somebody).only("events.publish")

        assert done(matrix, calls, [(role, "topic", "events") for role in ROLES]) == ""
