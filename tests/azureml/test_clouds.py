"""Which of Azure's clouds is asked."""

from __future__ import annotations

from typing import Any

import pytest

from cloudmlops.emulators.core.emulator import Emulator
from cloudmlops.emulators.core.faults import Fault, Refused
from cloudmlops.errors import ConfigurationError, UnavailableError, UnexpectedReplyError
from cloudmlops.providers.azureml.clouds import PUBLIC, cloud_of
from cloudmlops.providers.azureml.settings import AzureMLSettings
from cloudmlops.providers.azureml.wire import Wire

from .conftest import Opened

CHINA: dict[str, Any] = {
    "name": "AzureChinaCloud",
    "portal": "https://portal.azure.cn",
    "resourceManager": "https://management.chinacloudapi.cn/",
    "authentication": {"loginEndpoint": "https://login.chinacloudapi.cn/", "audiences": []},
    "suffixes": {"storage": "core.chinacloudapi.cn"},
}
OWN = {
    **CHINA,
    "name": "Own",
    "resourceManager": "https://management.local.azurestack.external",
    "authentication": {"loginEndpoint": "https://adfs.local.azurestack.external/adfs"},
}


def test_a_resource_manager_tells_where_all_else_is(opened: Opened, azureml_emulator: Emulator) -> None:
    backends = opened(cloud_url="https://management.azure.com")

    backends.objects.put("a", b"b")
    assert list(backends.native.models.list()) == []
    assert backends.access.list() is not None
    assert backends.actor().id
    assert len(azureml_emulator.calls.list("metadata/endpoints")) == 1


def test_nobody_is_asked_where_azure_s_own_cloud_is(opened: Opened, azureml_emulator: Emulator) -> None:
    backends = opened()
    azureml_emulator.calls.clear()

    backends.objects.put("a", b"b")

    assert azureml_emulator.calls.list("metadata/endpoints") == []


def test_the_cloud_of_an_address_is_found_among_those_that_are_shown() -> None:
    found = cloud_of([{"name": "odd"}, OWN, CHINA], "https://management.chinacloudapi.cn")

    assert found is not None
    assert found.scope == "https://management.chinacloudapi.cn/.default"
    assert found.vouched_for
    assert found.metadata["aml_resource_id"] == "https://ml.azure.cn"
    assert found.metadata["storage_endpoint"] == "core.chinacloudapi.cn"


def test_a_login_that_nobody_vouches_for_is_trusted_as_it_is() -> None:
    found = cloud_of([OWN], "https://management.local.azurestack.external")

    assert found is not None
    assert not found.vouched_for
    assert PUBLIC.vouched_for


def test_a_cloud_without_its_addresses_is_an_unexpected_reply() -> None:
    with pytest.raises(UnexpectedReplyError, match="without 'suffixes'"):
        cloud_of([{name: CHINA[name] for name in CHINA if name != "suffixes"}], "https://management.chinacloudapi.cn")


def test_an_address_of_no_cloud_is_refused() -> None:
    assert cloud_of([CHINA], "https://management.azure.com") is None


def test_an_address_that_is_not_its_resource_manager_s_is_refused(opened: Opened) -> None:
    settings = opened().settings
    # The login host answers under another name than any resource manager's.
    wire = Wire(AzureMLSettings.from_target(f"{settings.address}?cloud_url=https://management.azure.com:443"))

    with pytest.raises(ConfigurationError, match="does not say which cloud it is of"):
        wire.client  # noqa: B018 it asks
    wire.close()


def test_a_resource_manager_that_is_away_is_told_as_such(opened: Opened, azureml_emulator: Emulator) -> None:
    settings = opened().settings
    away = Refused("UNAVAILABLE", "away")
    azureml_emulator.faults.set(Fault(matching="arm/GET metadata/endpoints", times=None, refused=away))
    wire = Wire(AzureMLSettings.from_target(f"{settings.address}?cloud_url=https://management.azure.com"))

    with pytest.raises(UnavailableError):
        wire.client  # noqa: B018 it asks
    wire.close()
