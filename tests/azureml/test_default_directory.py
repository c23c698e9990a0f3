"""Who there is where no file says it: what a platform team would have made, with no more rights than it needs."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from cloudmlops import connect
from cloudmlops.domain.access import Grant, Role
from cloudmlops.emulators.azure import azureml_emulator as started
from cloudmlops.emulators.azure.cloud import ENDPOINT_IDENTITY, SERVING_ID, SUBSCRIPTION, AzureCloud
from cloudmlops.emulators.core.emulator import Emulator
from cloudmlops.providers.azureml.settings import AzureMLSettings

pytestmark = pytest.mark.conformance(ci=True)


@pytest.fixture
def emulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    with started() as running:
        for name, value in running.environment().items():
            monkeypatch.setenv(name, value)
        yield running


def test_the_identity_that_serves_is_a_reader_of_each_workspace_and_nothing_else(emulator: Emulator) -> None:
    cloud = emulator.cloud(AzureCloud)
    serving = cloud.tokens.directory.by_name("serving").object_id
    for name in ("flights", "others"):
        cloud.ensure_workspace(name, group="ml")

    with connect(f"azureml://{SUBSCRIPTION}/ml/flights") as platform:
        held = [grant for grant in platform.access.list() if grant.principal == serving]
        platform.access.revoke(Role.READER, serving)
        cloud.ensure_workspace("flights", group="ml")
        after = [grant for grant in platform.access.list() if grant.principal == serving]

    assert held == [Grant(principal=serving, role=Role.READER)]
    assert after == [], "what was taken away is not given again"
    kept = {
        one["properties"]["scope"] for one in cloud.access.assignments() if one["properties"]["principalId"] == serving
    }
    others = cloud.resources.get(cloud.ensure_workspace("others", group="ml")) or {}
    assert kept == {others["id"], others["properties"]["storageAccount"]}


def test_the_library_is_told_which_identity_that_is_and_this_machine_has_none(emulator: Emulator) -> None:
    assert emulator.environment()[ENDPOINT_IDENTITY] == SERVING_ID
    settings = AzureMLSettings.from_target(f"azureml://{SUBSCRIPTION}/ml/flights")
    assert settings.endpoint_identity == SERVING_ID

    asked = httpx.get(
        f"{emulator.url}/metadata/identity/oauth2/token",
        params={"api-version": "2018-02-01", "resource": "https://management.azure.com"},
        headers={"metadata": "true"},
        trust_env=False,
    )
    assert (asked.status_code, asked.json()["error_description"]) == (400, "Identity not found")
