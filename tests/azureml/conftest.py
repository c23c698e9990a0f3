from __future__ import annotations

import itertools
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlencode

import pytest

from cloudmlops import Platform, connect
from cloudmlops.emulators.azure import azureml_emulator as started
from cloudmlops.emulators.azure.cloud import SUBSCRIPTION, AzureCloud
from cloudmlops.emulators.azure.redis.service import Redis
from cloudmlops.emulators.core.emulator import Emulator
from cloudmlops.emulators.core.service import Service, Surroundings
from cloudmlops.providers.azureml.backends import AzureMLBackends
from cloudmlops.providers.azureml.settings import AzureMLSettings

from .custom_roles import take_all
from .deployments import Deployer
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
name = "server"
kind = "ManagedIdentity"

[[principals]]
name = "ada"
kind = "User"

[[principals]]
name = "reviewers"
kind = "Group"
members = ["seniors"]

[[principals]]
name = "seniors"
kind = "Group"
members = ["worker"]
"""
_numbers = itertools.count(1)
Opened = Callable[..., AzureMLBackends]
Connects = Callable[..., Platform]


@pytest.fixture(scope="session")
def azureml_emulator_of_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    principals = tmp_path_factory.mktemp("azure") / "principals.toml"
    principals.write_text(PRINCIPALS)
    with started(principals=principals) as emulator:
        yield emulator


class JustRedis:
    """An emulated cloud of nothing but Redis."""

    def services(self, surroundings: Surroundings) -> Sequence[Service]:
        self.redis = Redis(surroundings)
        return (self.redis.service(),)

    def environment(self, folder: Path) -> Mapping[str, str | None]:
        return {}

    def reset(self) -> None:
        self.redis.door.lose_answers(0)


@pytest.fixture(scope="session", params=["redis-server", "substitute"])
def redis_of_session(request: pytest.FixtureRequest) -> Iterator[Redis]:
    """Redis beside the emulator: the system's own and the substitute, in turn."""
    with pytest.MonkeyPatch.context() as environment:
        if request.param == "substitute":
            environment.setenv("PATH", "")
        elif shutil.which("redis-server") is None:
            pytest.skip("the system has no redis-server: only the substitute is tested (apt-get install redis-server)")
        cloud = JustRedis()
        running = Emulator([cloud])
        running.begin()
    try:
        yield cloud.redis
    finally:
        running.__exit__(None, None, None)


@pytest.fixture
def redis(redis_of_session: Redis) -> Iterator[Redis]:
    """The same, without what another test has set; what it holds stays, so let a test use views of its own."""
    yield redis_of_session
    redis_of_session.door.lose_answers(0)


@pytest.fixture(scope="session")
def spark_python() -> str:
    """An interpreter with pyspark, which no extra of ours has: an environment of its own."""
    script = Path(__file__).parents[2] / "tools" / "spark_environment.py"
    made = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stdout + made.stderr
    return made.stdout.splitlines()[-1]


@pytest.fixture
def cloud(azureml_emulator: Emulator) -> AzureCloud:
    return azureml_emulator.cloud(AzureCloud)


@pytest.fixture
def ada(cloud: AzureCloud) -> Iterator[str]:
    """Somebody who has no role before the test, and none after it."""
    who = cloud.tokens.directory.by_name("ada").object_id
    yield who
    take_all(cloud, who)


@pytest.fixture
def workspace(cloud: AzureCloud) -> str:
    name = f"workspace-{next(_numbers)}"
    cloud.ensure_environment("steps", "1", workspace=cloud.ensure_workspace(name, group=GROUP))
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


@pytest.fixture
def deployer(opened: Opened, workspace: str, cloud: AzureCloud, tmp_path: Path) -> Iterator[Deployer]:
    """Registers and deploys; the test's endpoints are deleted at its end."""
    settings = {"serving_image": "quick.azurecr.io/scaling:1", "compute": "scoring"}
    with connect(opened(**settings).settings.target) as platform:
        one = Deployer(
            platform=platform, cloud=cloud, folder=tmp_path, endpoint=f"scaling-{workspace}", settings=settings
        )
        one.let_be_quick()
        yield one
    cloud.fleet.settle()
    with connect(opened(**settings).settings.target) as platform:  # the test may have let the other's tokens end
        for status in platform.endpoints.list():
            platform.endpoints.delete(status.name)


@pytest.fixture
def connect_to_run(opened: Opened) -> Iterator[Connects]:
    """Connects to the test's workspace, whose steps run in this environment, with settings such as `compute="cpu"`."""
    kept: list[Platform] = []

    def platform(**settings: str) -> Platform:
        kept.append(connect(opened(**{"environment": "azureml:steps:1", **settings}).settings))
        return kept[-1]

    yield platform
    for one in kept:
        one.close()
