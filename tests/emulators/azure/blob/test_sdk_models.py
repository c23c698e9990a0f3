"""What Blob Storage answers in XML is read whole by the models of azure-storage-blob itself."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import pytest
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import BlobBlock, BlobServiceClient
from tests.emulators.azure.blob.places import Place
from tests.emulators.azure.conftest import Azure
from tests.emulators.azure.sdk_reading import read_xml

MODELS: Final = "azure.storage.blob._generated.models"
ANSWERS: Final = {
    "list of containers": "ListContainersSegmentResponse",
    "list of blobs": "ListBlobsFlatSegmentResponse",
    "list of a folder": "ListBlobsHierarchySegmentResponse",
    "block list": "BlockList",
    "key": "UserDelegationKey",
}
_OF_BLOBS: Final = {"?Blobs.Blob.Properties.Content-CRC64", "!Blobs.Blob.Deleted", "!Blobs.Blob.Snapshot"}
LEFT_OVER: Final = {
    **{kind: set[str]() for kind in ANSWERS},
    "list of blobs": _OF_BLOBS,
    "list of a folder": _OF_BLOBS,
}
"""What the service sends and the models do not know, after `?`, and what they want of blobs that are not deleted and no
snapshots, and it does not send, after `!`: so it is in recorded traffic (`test_recorded`)."""


def kind_of(url: str) -> str:
    query = {name: value[0] for name, value in parse_qs(urlsplit(url).query).items()}
    if query.get("comp") == "list":
        if "restype" not in query:
            return "list of containers"
        return "list of a folder" if "delimiter" in query else "list of blobs"
    return {"blocklist": "block list", "userdelegationkey": "key"}.get(query.get("comp", ""), "")


def test_every_answer_in_xml_is_read_by_the_sdks_own_models(emulated: Place, azure: Azure) -> None:
    told: defaultdict[str, list[bytes]] = defaultdict(list)

    def keep(response: Any) -> None:
        if response.http_response.status_code == 200 and response.http_request.method != "PUT":
            told[kind_of(response.http_request.url)].append(response.http_response.internal_response.content)

    with emulated.service(raw_response_hook=keep) as service, emulated.container(raw_response_hook=keep) as container:
        container.set_container_metadata({"team": "a"})
        blob = container.upload_blob("folder/äö <1>.txt", b"one", metadata={"k": "v"})
        container.upload_blob("two", b"two")
        blob.acquire_lease().release()
        parts = container.get_blob_client("parts")
        parts.stage_block("MQ==", b"one")
        parts.commit_block_list([BlobBlock("MQ==")])
        parts.stage_block("Mg==", b"two")
        parts.get_block_list("all")
        list(service.list_containers(include_metadata=True, results_per_page=1))
        list(container.list_blobs(include=["metadata", "uncommittedblobs", "copy"], results_per_page=1))
        list(container.walk_blobs())
    url = f"https://{emulated.account}.blob.core.windows.net"
    owner = BlobServiceClient(url, credential=azure.credential("owner"), raw_response_hook=keep)
    now = datetime.now(UTC)
    owner.get_user_delegation_key(now, now + timedelta(hours=1))

    left = {kind: set().union(*(read_xml(MODELS, ANSWERS[kind], one) for one in told[kind])) for kind in ANSWERS}
    assert left == LEFT_OVER


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ('<EnumerationResults ServiceEndpoint="http://x" ContainerName="c"/>', {"!Blobs"}),
        ('<EnumerationResults ServiceEndpoint="http://x" Container="c"><Blobs/></EnumerationResults>', None),
        (
            """<EnumerationResults ServiceEndpoint="http://x" ContainerName="c">
            <Blobs><Blob><Name>a</Name><Size>1</Size></Blob></Blobs></EnumerationResults>""",
            {"?Blobs.Blob.Size", "!Blobs.Blob.Deleted", "!Blobs.Blob.Snapshot", "!Blobs.Blob.Properties"},
        ),
    ],
    ids=["no-blobs", "another-attribute", "another-element"],
)
def test_what_a_model_does_not_know_and_what_it_needs_are_noticed(answer: str, found: set[str] | None) -> None:
    expected = {"?Container", "!ContainerName"} if found is None else found

    assert read_xml(MODELS, ANSWERS["list of blobs"], answer) == expected


def test_an_error_is_read_by_the_sdk_with_its_code(emulated: Place) -> None:
    with pytest.raises(HttpResponseError) as caught:
        emulated.service().get_container_client("nowhere").get_container_properties()

    assert str(caught.value.error_code) == "ContainerNotFound"
