from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from urllib.parse import urlencode

import pytest

from cloudmlops import Platform, connect
from cloudmlops.emulators.azure import azureml_emulator as started
from cloudmlops.emulators.azure.cloud import SUBSCRIPTION, AzureCloud
from cloudmlops.emulators.core.emulator import Emulator
from cloudmlops.providers.azureml.backends import AzureMLBackends
from cloudmlops.providers.azureml.settings import AzureMLSettings

from .event_grid import Namespace, made_namespace

GROUP = "experiments"
PRINCIPALS = """
tenant = "contoso"

[[principals]]
name = "owner"
secret = "of-the-owner"
roles = ["Owner", "Storage Blob Data Contributor"]

[[principals]]
name = "reader"
secret = "of-the-reader"
roles = ["Reader"]

[[principals]]
name = "approver"
secret = "of-the-approver"
roles = ["Reader", "Storage Blob Data Contributor"]

[[principals]]
name = "worker"
secret = "of-the-worker"

[[principals]]
name = "ada"
kind = "User"
"""
_numbers = itertools.count(1)
Opened = Callable[..., AzureMLBackends]


@pytest.fixture(scope="session")
def azureml_emulator_of_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    principals = tmp_path_factory.mktemp("azure") / "principals.toml"
    principals.write_text(PRINCIPALS)
    with started(principals=principals) as emulator:
        yield emulator


@pytest.fixture
def cloud(azureml_emulator: Emulator) -> AzureCloud:
    return azureml_emulator.cloud(AzureCloud)


@pytest.fixture
def workspace(cloud: AzureCloud) -> str:
    name = f"workspace-{next(_numbers)}"
    cloud.ensure_workspace(name, group=GROUP)
    return name


@pytest.fixture
def as_somebody(cloud: AzureCloud, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Lets credentials that are made from now on be somebody's."""

    def become(name: str) -> None:
        who = cloud.tokens.directory.by_name(name)
        monkeypatch.setenv("AZURE_CLIENT_ID", who.client_id)
        monkeypatch.setenv("AZURE_CLIENT_SECRET", who.secret)

    return become


@pytest.fixture
def opened(workspace: str, as_somebody: Callable[[str], None]) -> Iterator[Opened]:
    """Opens the test's workspace as somebody, with settings such as `timeout="1"`."""
    kept: list[AzureMLBackends] = []

    def backends(who: str = "owner", **settings: str) -> AzureMLBackends:
        query = f"?{urlencode(settings)}" if settings else ""
        target = f"azureml://{SUBSCRIPTION}/{GROUP}/{workspace}{query}"
        as_somebody(who)
        one = AzureMLBackends(AzureMLSettings.from_target(target))
        one.wire.credential  # noqa: B018 made while the environment says who it is
        as_somebody("owner")
        kept.append(one)
        return one

    yield backends
    for one in kept:
        one.close()


@pytest.fixture
def backends(opened: Opened) -> AzureMLBackends:
    return opened()


@pytest.fixture
def connected(opened: Opened, as_somebody: Callable[[str], None]) -> Iterator[Callable[..., Platform]]:
    """Connects to the test's workspace, as somebody and with settings such as `topic="…"`."""
    kept: list[Platform] = []

    def platform(who: str = "owner", **settings: str) -> Platform:
        target = opened(**settings).settings
        as_somebody(who)
        kept.append(connect(target))
        kept[-1].actor  # noqa: B018 asked while the environment says who it is
        as_somebody("owner")
        return kept[-1]

    yield platform
    for one in kept:
        one.close()


@pytest.fixture
def namespace(cloud: AzureCloud) -> Namespace:
    """A namespace of Event Grid with a topic and a queue, which the owner may send to and receive from."""
    return made_namespace(cloud, GROUP, "owner")
