"""Which of Azure's SDKs go to the emulator's own address, without the redirect: those that let one say where.

Why others do not is in docs/adr/0015-no-direct-addresses-for-azure-ml.md.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import httpx
import pytest
from azure.core.credentials import AzureKeyCredential
from azure.core.exceptions import HttpResponseError, ServiceRequestError

if TYPE_CHECKING:
    from cloudmlops.emulators.azure.cloud import AzureCloud
    from cloudmlops.emulators.core.emulator import Emulator
    from conftest import Azure

pytestmark = [
    pytest.mark.conformance(ci=True),
    # azure-ai-ml 1.35 is written for marshmallow 3, which tells of its fourth
    pytest.mark.filterwarnings("ignore::marshmallow.warnings.RemovedInMarshmallow4Warning"),
]
GROUP = "direct"
_WAYS = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")
"""The variables of the redirect."""


@pytest.fixture
def cloud(azure_emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> AzureCloud:
    """The emulated cloud, to which no variable leads."""
    from cloudmlops.emulators.azure.cloud import AzureCloud

    for way in _WAYS:
        monkeypatch.delenv(way, raising=False)
        monkeypatch.delenv(way.lower(), raising=False)
    return azure_emulator.cloud(AzureCloud)


def asked(emulator: Emulator, cloud: AzureCloud, method: str, path: str, body: object = None) -> dict[str, object]:
    token = cloud.tokens.issue(cloud.tokens.directory.by_name("owner"), "https://management.azure.com")
    reply = httpx.request(
        method,
        f"{emulator.url}{path}",
        json=body,
        headers={"authorization": f"Bearer {token}"},
        params={"api-version": "2025-02-15"},
        trust_env=False,
        verify=False,
    )
    reply.raise_for_status()
    told: dict[str, object] = reply.json() if reply.content else {}
    return told


def test_blobs_are_reached_with_a_key_and_with_a_signature(azure_emulator: Emulator, cloud: AzureCloud) -> None:
    from azure.storage.blob import BlobClient, BlobServiceClient, generate_blob_sas

    workspace = cloud.ensure_workspace("direct-blobs", group=GROUP)
    account = str(cloud.resources.get(workspace)["properties"]["storageAccount"]).rpartition("/")[2]
    key = cloud.blobs.key(account)

    service = BlobServiceClient(f"{azure_emulator.url}/{account}", credential=key)
    container = service.create_container("direct")
    container.upload_blob("a", b"1")
    signature = generate_blob_sas(
        account, "direct", "a", account_key=key, permission="r", expiry=datetime.now(UTC) + timedelta(hours=1)
    )

    assert (
        BlobClient.from_blob_url(f"{container.get_blob_client('a').url}?{signature}").download_blob().readall() == b"1"
    )


def test_events_are_published_and_pulled_with_keys(azure_emulator: Emulator, cloud: AzureCloud) -> None:
    from azure.core.messaging import CloudEvent
    from azure.eventgrid import EventGridConsumerClient, EventGridPublisherClient

    group = f"/subscriptions/00000000-0000-0000-0000-00000000e001/resourceGroups/{GROUP}/providers/Microsoft.EventGrid"
    space = f"{group}/namespaces/direct"
    asked(azure_emulator, cloud, "PUT", space, {"location": "westeurope"})
    asked(azure_emulator, cloud, "PUT", f"{space}/topics/news", {"properties": {}})
    queue = {"deliveryConfiguration": {"deliveryMode": "Queue"}}
    asked(azure_emulator, cloud, "PUT", f"{space}/topics/news/eventSubscriptions/readers", {"properties": queue})
    key = AzureKeyCredential(str(asked(azure_emulator, cloud, "POST", f"{space}/listKeys")["key1"]))
    endpoint = cloud.event_grid.plain("direct.westeurope-1.eventgrid.azure.net")
    event = CloudEvent(source="/direct", type="seen", data={"n": 1})

    EventGridPublisherClient(endpoint, key, namespace_topic="news").send([event])
    consumer = EventGridConsumerClient(endpoint, key, namespace_topic="news", subscription="readers")
    (got,) = consumer.receive(max_events=1, max_wait_time=10)
    consumer.acknowledge(lock_tokens=[got.broker_properties.lock_token])

    assert got.event.data == {"n": 1}


def test_a_machine_s_identity_is_asked_at_a_plain_address(
    azure_emulator: Emulator, cloud: AzureCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    from azure.identity import ManagedIdentityCredential

    machine = cloud.tokens.directory.by_name("machine")
    for name, value in cloud.identities.app_service_environment(machine).items():
        monkeypatch.setenv(name, value)

    token = ManagedIdentityCredential().get_token("https://management.azure.com/.default").token

    assert cloud.tokens.caller(f"Bearer {token}", audiences=("https://management.azure.com",)).name == "machine"


def test_the_resource_manager_is_not_spoken_to_in_plain(azure: Azure, monkeypatch: pytest.MonkeyPatch) -> None:
    from azure.ai.ml import MLClient

    monkeypatch.setenv("AZUREML_CURRENT_CLOUD", "AzureCloud")  # which the SDK overwrites, and keeps for all clients
    plain = {
        "resource_manager": azure.emulator.url,
        "azure_portal": "https://portal.azure.com",
        "active_directory": "https://login.microsoftonline.com",
        "aml_resource_id": "https://ml.azure.com",
        "storage_endpoint": "core.windows.net",
        "registry_discovery_endpoint": "https://eastus.api.azureml.ms/",
    }
    client = MLClient(
        azure.credential(),
        azure.subscription,
        azure.group,
        azure.workspace,
        cloud="Plain",
        cloud_metadata=plain,
        enable_telemetry=False,
    )

    with pytest.raises((HttpResponseError, ServiceRequestError), match="non-TLS"):
        list(client.models.list())


def test_the_base_address_of_mlclient_counts_for_nothing(azure: Azure) -> None:
    from azure.ai.ml import MLClient

    client = MLClient(
        azure.credential(),
        azure.subscription,
        azure.group,
        azure.workspace,
        base_url="http://127.0.0.1:1",
        enable_telemetry=False,
    )

    assert list(client.models.list()) == [], "it went to management.azure.com, by the redirect"
